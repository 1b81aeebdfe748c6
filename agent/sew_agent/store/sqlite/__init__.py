"""The store in SQLite: one file, one connection, one lock."""
