"""Fixtures of all tests: examples that repeat, the session's real servers, and the duration of each part of a run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from testbed.receivers import Receiver, generic
from testbed.servers import opensearch
from testbed.servers.elasticsearch import V8, V8_NEWEST, V9, V9_NEWEST, Version, elasticsearch_url
from testbed.servers.images import agent_image
from testbed.servers.kubernetes import Kubernetes, find, kubernetes
from testbed.servers.postgresql import PostgreSQL, postgresql
from testbed.servers.postgresql import find as find_postgresql
from testbed.servers.required import required
from tests.e2e.sew_agent import Folder
from tests.times import DurationReport

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,  # a busy machine is no failure
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """A folder with an agent, stopped at the test's end."""
    made = Folder(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of any JSON."""
    with generic() as made:
        yield made


@pytest.fixture(scope="session")
def cluster() -> Iterator[Kubernetes]:
    """One API server for all tests of a run: each keeps to names of its own, and leaves it as it was.

    A test that stops the server, or needs it empty, runs its own by `testbed.servers.kubernetes.kubernetes`.
    """
    with required(), kubernetes(find()) as server:
        yield server


@pytest.fixture(scope="session")
def elasticsearch_8() -> Iterator[str]:
    """The URL of an Elasticsearch 8.17 that all tests share: make indices of your own names in it."""
    with required(), elasticsearch_url(V8) as url:
        yield url


@pytest.fixture(scope="session")
def elasticsearch_9() -> Iterator[str]:
    """The URL of an Elasticsearch 9.0 that all tests share."""
    with required(), elasticsearch_url(V9) as url:
        yield url


@pytest.fixture(scope="session")
def elasticsearch_8_19() -> Iterator[str]:
    """The URL of an Elasticsearch 8.19 that all tests share."""
    with required(), elasticsearch_url(V8_NEWEST) as url:
        yield url


@pytest.fixture(scope="session")
def elasticsearch_9_5() -> Iterator[str]:
    """The URL of an Elasticsearch 9.5 that all tests share."""
    with required(), elasticsearch_url(V9_NEWEST) as url:
        yield url


@pytest.fixture(scope="session")
def opensearch_2() -> Iterator[str]:
    """The URL of an OpenSearch 2.19 that all tests share."""
    with required(), elasticsearch_url(opensearch.V2) as url:
        yield url


@pytest.fixture(scope="session")
def opensearch_3() -> Iterator[str]:
    """The URL of an OpenSearch 3.9 that all tests share."""
    with required(), elasticsearch_url(opensearch.V3) as url:
        yield url


VERSIONS = {
    "elasticsearch_8": V8,
    "elasticsearch_8_19": V8_NEWEST,
    "elasticsearch_9": V9,
    "elasticsearch_9_5": V9_NEWEST,
    "opensearch_2": opensearch.V2,
    "opensearch_3": opensearch.V3,
}
SEARCH_SERVER = os.environ.get("SEARCH_SERVER", "")
"""One of them, which `make test-matrix` chooses for the tests of the event source and of previews."""


@pytest.fixture(scope="session")
def search_version() -> Version:
    """The version of the chosen server, for tests that run their own."""
    return VERSIONS[SEARCH_SERVER or "elasticsearch_8"]


@pytest.fixture
def search_url(request: pytest.FixtureRequest) -> str:
    """The URL of the chosen server, else of Elasticsearch 8."""
    url: str = request.getfixturevalue(SEARCH_SERVER or "elasticsearch_8")
    return url


@pytest.fixture
def opensearch_url(request: pytest.FixtureRequest) -> str:
    """The URL of the chosen server where that is an OpenSearch, else of OpenSearch 2."""
    url: str = request.getfixturevalue(SEARCH_SERVER if SEARCH_SERVER.startswith("opensearch") else "opensearch_2")
    return url


@pytest.fixture(params=[SEARCH_SERVER] if SEARCH_SERVER else ["elasticsearch_8", "elasticsearch_9"])
def each_elasticsearch(request: pytest.FixtureRequest) -> str:
    """The URL of the one and of the other, for what must hold on both; of the chosen server, where there is one."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """One PostgreSQL for all tests of a run: each makes a schema of its own.

    A test that stops the server runs its own by `testbed.servers.postgresql.postgresql`.
    """
    with required(), postgresql(find_postgresql()) as server:
        yield server


@pytest.fixture(scope="session")
def agent_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OCI archive of `AGENT`, the image of this checkout's agent."""
    with required():
        return agent_image(tmp_path_factory.mktemp("image") / "agent.tar")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(DurationReport(), "times")
