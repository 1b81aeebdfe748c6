"""Events from NDJSON: a file that grows and is rotated, or standard input."""
