"""What each receiver wants: pure code that checks a configuration, renders a request and reads the answer.

No network, clock, disk or randomness enters here; retries, limits, metrics and logs belong to the agent's delivery.
"""
