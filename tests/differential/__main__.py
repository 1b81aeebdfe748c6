"""Compare N random triples with both servers, and exit with 1 where one differs: `make fuzz-query N=… SEED=…`."""

import sys

from testbed.servers.elasticsearch import V8, V9, elasticsearch_url
from tests.differential.compare import ElasticsearchUnderTest, differences


def main(count: int, seed: int) -> int:
    worst = 0
    for version in (V8, V9):
        with elasticsearch_url(version) as url, ElasticsearchUnderTest(url) as server:
            differing = 0
            for difference in differences(server, seed, count):
                differing += 1
                print(difference, end="\n\n", flush=True)
        print(f"Elasticsearch {version.number}: {count} triples of seed {seed}, {differing} differences", flush=True)
        worst = max(worst, differing)
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
