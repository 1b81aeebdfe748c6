"""Foundation of the agent: settings, log, metrics, health, backoff. Imports no other part of the agent."""
