"""Elasticsearch and OpenSearch for both programs: addresses, credentials, and the module that talks to the client."""
