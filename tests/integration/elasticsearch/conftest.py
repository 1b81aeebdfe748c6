"""Fixtures for tests of the event source: a real server, an index pattern of its own for each test, and readers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from tests.integration.elasticsearch.faults import Proxy, proxy
from tests.integration.elasticsearch.harness import IngestHarness


@pytest.fixture(scope="session")
def client(elasticsearch_8: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(elasticsearch_8, request_timeout=60) as made:
        yield made


@pytest.fixture
def harness(client: Elasticsearch, elasticsearch_8: str, tmp_path: Path) -> Iterator[IngestHarness]:
    made = IngestHarness(client, elasticsearch_8, tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def between(elasticsearch_8: str) -> Iterator[Proxy]:
    """A proxy before the server, for tests whose harness goes through it."""
    with proxy(elasticsearch_8) as made:
        yield made
