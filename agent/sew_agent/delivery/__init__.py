"""How what is owed is sent: when, to where, how often, and what an answer changes."""
