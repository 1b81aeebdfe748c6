"""The agent's life in a Kubernetes cluster: what it watches, what it writes, and which of several agents is active.

Deciding is pure (`discovery`, `holding`, `conditions`, `lease`); `api` alone knows the `kubernetes` client, and is
imported only where resources come from a cluster.
"""
