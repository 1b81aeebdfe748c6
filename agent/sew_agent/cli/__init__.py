"""Commands of the agent: flags, output and exit codes. The work is done by the other packages."""
