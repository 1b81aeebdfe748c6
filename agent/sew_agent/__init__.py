"""The agent: reads events from a source, keeps what is owed in a store, and delivers every one of it."""
