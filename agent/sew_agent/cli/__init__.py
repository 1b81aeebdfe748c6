"""The agent's commands. What they do is done elsewhere: here are only flags, output and exit codes."""
