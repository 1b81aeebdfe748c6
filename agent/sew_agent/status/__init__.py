"""What the agent reports about itself: metrics, conditions, the report file and the pages for probes."""
