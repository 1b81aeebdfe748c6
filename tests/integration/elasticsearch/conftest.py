"""What the tests of the event source share: a real server, an index pattern of its own for each test, and readers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from tests.integration.elasticsearch.faults import Proxy, proxy
from tests.integration.elasticsearch.harness import Scene


@pytest.fixture(scope="session")
def client(elasticsearch_8: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(elasticsearch_8, request_timeout=60) as made:
        yield made


@pytest.fixture
def scene(client: Elasticsearch, elasticsearch_8: str, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(client, elasticsearch_8, tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def between(elasticsearch_8: str) -> Iterator[Proxy]:
    """Before the server, for tests whose scene goes through it."""
    with proxy(elasticsearch_8) as made:
        yield made
