"""The store in PostgreSQL, which several agents can reach: a pool of connections, and short transactions."""
