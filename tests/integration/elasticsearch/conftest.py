"""Fixtures for tests of the event source: a real server, an index pattern of its own for each test, and readers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from testbed.servers.indices import connect
from tests.integration.elasticsearch.faults import Proxy, proxy
from tests.integration.elasticsearch.harness import IngestHarness


@pytest.fixture
def client(search_url: str) -> Iterator[Elasticsearch]:
    with connect(search_url) as made:
        yield made


@pytest.fixture
def harness(client: Elasticsearch, search_url: str, tmp_path: Path) -> Iterator[IngestHarness]:
    made = IngestHarness(client, search_url, tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def between(search_url: str) -> Iterator[Proxy]:
    """A proxy before the server, for tests whose harness goes through it."""
    with proxy(search_url) as made:
        yield made
