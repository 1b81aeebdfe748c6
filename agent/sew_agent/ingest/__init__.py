"""Event sources, and the poller that reads them into the store; nothing here knows the delivery."""
