"""Threads that write events while they are read: late, early, without time, and again, whatever the server does."""

import random
import threading
import time
from collections.abc import Sequence

from elasticsearch import ApiError, Elasticsearch, TransportError
from elasticsearch.helpers import BulkIndexError, bulk

from testbed.servers.indices import connect

HOUR = 3600
PAUSE = 0.25
"""Seconds between two writes of one writer at most: together they write all the time, and no more than is soon read."""


class Writers:
    """Six of them, each with names of its own. What failed is written again, so all ends in the index."""

    def __init__(self, urls: Sequence[str], indices: Sequence[str], count: int = 6) -> None:
        self._urls = list(urls)
        self._indices = indices
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, writer: int) -> None:
        chance = random.Random(writer)
        number = 0
        with connect(self._urls, request_timeout=30, max_retries=0) as client:
            while not self._stop.is_set():
                some = [
                    self._document(chance, f"{writer}-{number + offset}") for offset in range(chance.randint(1, 30))
                ]
                number += len(some)
                if number > 100:
                    some.append(self._document(chance, f"{writer}-{chance.randrange(number - 50)}", dismissed=True))
                self._until_written(client, some)
                self._stop.wait(chance.random() * PAUSE)

    def _document(self, chance: random.Random, name: str, **more: object) -> dict[str, object]:
        """Return an action of the bulk API; the same name always goes to the same index."""
        moment = chance.choice([0, 0, 0, -300, -3 * HOUR, 6 * HOUR, None])
        own = {} if moment is None else {"time": int(time.time()) + moment}
        source = {"type": "waf", **own, **more}
        return {"_index": self._indices[hash_of(name) % len(self._indices)], "_id": name, "_source": source}

    def _until_written(self, client: Elasticsearch, documents: list[dict[str, object]]) -> None:
        while True:
            try:
                bulk(client, documents)
            except (ApiError, TransportError, BulkIndexError):
                time.sleep(0.2)  # the server is away: it comes back in its own time
            else:
                return


def hash_of(name: str) -> int:
    """Return a hash that is the same in every process."""
    return sum(map(ord, name))
