"""Compare N random triples with real servers, and exit with 1 where one differs: `make fuzz-query N=… SEED=…`."""

import sys

from testbed.servers import opensearch
from testbed.servers.elasticsearch import V8, V9, V9_NEWEST, elasticsearch_url
from tests.differential.compare import ElasticsearchUnderTest, differences

VERSIONS = {
    "elasticsearch_8": V8,
    "elasticsearch_9": V9,
    "elasticsearch_9_5": V9_NEWEST,
    "opensearch_2": opensearch.V2,
    "opensearch_3": opensearch.V3,
}


def main(count: int, seed: int, *names: str) -> int:
    worst = 0
    for version in map(VERSIONS.__getitem__, names or ("elasticsearch_8", "elasticsearch_9")):
        with elasticsearch_url(version) as url, ElasticsearchUnderTest(url) as server:
            differing = 0
            for difference in differences(server, seed, count):
                differing += 1
                print(difference, end="\n\n", flush=True)
        tried = f"{version.product} {version.number}: {count} triples of seed {seed}"
        print(f"{tried}, {differing} differences", flush=True)
        worst = max(worst, differing)
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3]), *sys.argv[3:]))
