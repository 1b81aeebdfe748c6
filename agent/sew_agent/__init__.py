"""The agent: reads events from a source, keeps what waits to be sent in a store, and delivers all of it."""
