"""HTTP requests to receivers: names, addresses, proxies, TLS, connections that are kept, answers."""
