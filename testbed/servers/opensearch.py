"""Real OpenSearch nodes on loopback, from the jars of Maven Central, run as those of Elasticsearch are.

There is no security in them, and no scripts; unlike there, `/` says what answers. Free of pytest.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.servers.building import UnavailableError
from testbed.servers.by_hand import serve
from testbed.servers.elasticsearch import Version, elasticsearch

_MAIN = "sew.opensearch.ClassPathNode"
_ELECTING = "cluster.initial_cluster_manager_nodes"
V2 = Version(
    "2.19.6",
    17,
    23,  # the security manager, which it needs, ended with 24
    product="OpenSearch",
    main=_MAIN,
    electing=_ELECTING,
    plugins=("org.opensearch.transport.Netty4Plugin",),
    pinned={"log4j": "2.25.4"},
)
V3 = Version(
    "3.9.0",
    21,
    99,
    product="OpenSearch",
    main=_MAIN,
    electing=_ELECTING,
    plugins=("org.opensearch.transport.Netty4ModulePlugin",),
    pinned={"log4j": "2.25.5"},
)


@contextmanager
def _by_hand(major: str) -> Iterator[str]:
    versions = {version.major: version for version in (V2, V3)}
    if major not in versions:
        raise UnavailableError(f"OpenSearch {major} is not under test: name {' or '.join(versions)}")
    with elasticsearch(versions[major]) as node:
        yield f"export ELASTICSEARCH_URL={node.url}"


if __name__ == "__main__":
    serve(_by_hand(sys.argv[1] if len(sys.argv) > 1 else V2.major))
