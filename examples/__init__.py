"""The examples: webhooks and events that the documentation speaks of, and a demonstration that runs them."""
