"""Six writers at once in real time, over refreshes, kills of the server, and kills of nodes that hold primaries."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan

from sew_agent.ingest.source import SourceError
from testbed.servers.elasticsearch import ElasticsearchNode, Version, cluster, elasticsearch
from testbed.servers.indices import connect
from testbed.servers.required import required
from testbed.servers.running import slowness
from tests.integration.elasticsearch.harness import IngestHarness, ids
from tests.integration.elasticsearch.writers import Writers

pytestmark = pytest.mark.server
SECONDS = 60.0
SLOW = "30s"


class WritersHarness:
    """Reads as the agent does, by the real clock."""

    def __init__(self, harness: IngestHarness) -> None:
        harness.clock = time.monotonic
        harness.now = time.time()
        harness.restart()
        self.harness = harness
        self.failures = 0

    def read(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and not done():
            self.harness.now = time.time()
            try:
                more = self.harness.poller.poll(self.harness.now).more
            except SourceError:
                self.failures += 1
                more = False
            if not more:
                time.sleep(0.3)  # the agent's own pause, shortened

    def read_all(self, client: Elasticsearch) -> None:
        """Poll until all that is in the index has been read, or for long enough that it should have been."""
        client.indices.refresh(index=f"{self.harness.prefix}.*")
        written = in_index(client, f"{self.harness.prefix}.*")
        self.read(120 * slowness(), lambda: self.harness.count() >= len(written))
        self.read(15)  # nothing more comes
        got = self.harness.got()
        lost, twice = written - got, got - written  # pytest would take minutes to show where the whole differs
        assert (lost.total(), sorted(lost)[:5]) == (0, [])
        assert (twice.total(), sorted(twice)[:5]) == (0, [])


def in_index(client: Elasticsearch, pattern: str) -> Counter[str]:
    return Counter(hit["_id"] for hit in scan(client, index=pattern, query={"_source": False}, size=5_000))


def test_six_writers_over_five_shards_of_two_indices(harness: IngestHarness) -> None:
    harness.index("a", shards=3)
    harness.index("b", shards=2, refresh=SLOW)
    live = WritersHarness(harness)
    harness.serve(start=harness.now - 86_400)
    live.read(1)
    writers = Writers([harness.url], [f"{harness.prefix}.a", f"{harness.prefix}.b"])
    writers.start()
    live.read(SECONDS)
    writers.stop()
    assert harness.count() > 500
    live.read_all(harness.client)


@pytest.fixture(scope="module")
def node(search_version: Version, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticsearchNode]:
    """A server of our own, that may be killed, and keeps snapshots in a folder."""
    snapshots = str(tmp_path_factory.mktemp("snapshots"))
    with required(), elasticsearch(search_version, settings={"path.repo": snapshots}) as made:
        yield made


def test_an_index_that_is_restored_over_itself_is_read_again_without_a_duplicate(
    node: ElasticsearchNode, tmp_path: Path
) -> None:
    with connect(node.url) as client:
        harness = IngestHarness(client, node.url, tmp_path / "state")
        name = harness.index()
        harness.serve()
        harness.record_results()
        harness.write(range(10))
        harness.record_results()
        place = {"type": "fs", "settings": {"location": node.settings["path.repo"]}}
        client.snapshot.create_repository(name="repository", repository=place)
        client.snapshot.create(repository="repository", snapshot="one", indices=name, wait_for_completion=True)
        harness.write(range(10, 20))
        harness.record_results()
        client.indices.close(index=name)
        client.snapshot.restore(repository="repository", snapshot="one", indices=name, wait_for_completion=True)
        harness.write(range(20, 30))
        harness.record_results()
        assert harness.got() == ids(*range(30))
        assert harness.kinds() == {"history": 1}
        harness.close()


def test_a_server_that_is_killed_and_started_again(node: ElasticsearchNode, tmp_path: Path) -> None:
    with connect(node.url) as client:
        harness = IngestHarness(client, node.url, tmp_path / "state")
        harness.index("a", shards=2)
        live = WritersHarness(harness)
        harness.serve(start=harness.now - 86_400)
        live.read(1)
        writers = Writers([node.url], [f"{harness.prefix}.a"])
        writers.start()
        live.read(3)
        node.kill()
        live.read(3)
        node.start()
        live.read(5)
        writers.stop()
        assert live.failures
        live.read_all(client)
        harness.close()


def test_nodes_that_hold_primaries_are_killed_again_and_again(search_version: Version, tmp_path: Path) -> None:
    with required(), cluster(search_version) as nodes, connect([node.url for node in nodes]) as client:
        harness = IngestHarness(client, ",".join(node.url for node in nodes), tmp_path / "state")
        harness.index("a", shards=5, replicas=1)
        live = WritersHarness(harness)
        harness.serve(start=harness.now - 86_400)
        live.read(2)
        writers = Writers([node.url for node in nodes], [f"{harness.prefix}.a"])
        writers.start()
        for _ in range(2):
            live.read(5)
            node = max(nodes, key=lambda candidate: primaries(client, candidate.name))
            node.kill()
            live.read(8)
            node.start()
            client.cluster.health(wait_for_status="green", timeout="60s")
        writers.stop()
        live.read_all(client)
        harness.stop()


def primaries(client: Elasticsearch, node: str) -> int:
    return sum(shard["prirep"] == "p" and shard["node"] == node for shard in client.cat.shards(format="json"))
