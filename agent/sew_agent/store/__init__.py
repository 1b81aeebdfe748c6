"""Durable state of the agent: pending deliveries, readers' positions, seen events, dead letters and counters.

The contract says what a store must do, the records what goes in and out; each package in here is one store.
Nothing here knows sources, receivers or Kubernetes.
"""
