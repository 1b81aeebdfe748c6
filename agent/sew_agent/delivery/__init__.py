"""Delivery of pending events: when, to where, how often, and what an answer changes."""
