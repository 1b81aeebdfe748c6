"""Validation of webhooks as a whole, as the plugin and the agent see them. Pure.

On a layer of its own, since resource, query and consumers do not know each other.
"""
