"""Gives each test an installation on the session's API server, a folder for the agent, and a receiver."""

from collections.abc import Iterator

import pytest

from testbed.servers.kubernetes import Kubernetes, find, kubernetes
from testbed.servers.required import required
from tests.integration.cluster.in_cluster import ClusterHarness, cluster_harness


@pytest.fixture
def harness(cluster: Kubernetes) -> Iterator[ClusterHarness]:
    with cluster_harness(cluster) as made:
        yield made


@pytest.fixture
def own() -> Iterator[ClusterHarness]:
    """Grant the agent's rights on an API server that may be stopped, and that does not serve our kind yet."""
    with required(), kubernetes(find()) as server:
        made = ClusterHarness(server)
        made.install()
        yield made
