"""The agent's reports about itself: metrics, conditions, the report file and the pages for probes."""
