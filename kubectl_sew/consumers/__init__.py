"""Receivers' protocols: pure code that checks a configuration, renders a request and classifies the answer.

No network, clock, disk or randomness enters here; retries, limits, metrics and logs belong to the agent's delivery.
"""
