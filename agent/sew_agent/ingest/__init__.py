"""Where the events come from; nothing here knows the store or the delivery."""
