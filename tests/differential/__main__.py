"""`make fuzz-query N=… SEED=…`: any number of random triples against both servers; exit 1 where one differs."""

import sys

from testbed.servers.elasticsearch import V8, V9, elasticsearch_url
from tests.differential.compare import Server, differences


def main(count: int, seed: int) -> int:
    worst = 0
    for version in (V8, V9):
        with elasticsearch_url(version) as url, Server(url) as server:
            found = 0
            for difference in differences(server, seed, count):
                found += 1
                print(difference, end="\n\n", flush=True)
        print(f"Elasticsearch {version.number}: {count} triples of seed {seed}, {found} differences", flush=True)
        worst = max(worst, found)
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
