"""Elasticsearch for both programs: addresses and credentials, and the one module that talks to its client."""
