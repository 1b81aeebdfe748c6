"""What every part of the agent may use: settings, log, metrics, health, backoff. Imports nothing else of the agent."""
