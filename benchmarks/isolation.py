"""Measure how much other webhooks slow a healthy one: `python -m benchmarks.isolation [SECONDS]`.

The dispatcher is the real one; the receivers only take time.
"""

import heapq
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import random

from kubectl_sew.consumers.base import FailureReason, Request, Response
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from sew_agent.base.settings import from_environment
from sew_agent.delivery.attempt import Answer, Route
from sew_agent.delivery.dispatcher import Dispatcher
from sew_agent.delivery.http.errors import SendError
from sew_agent.delivery.queues import Queues
from sew_agent.delivery.retry import Policy
from sew_agent.store.records import EnqueueBatch, NewDelivery
from sew_agent.store.sqlite.store import open_store

PENDING, PENDING_BESIDE = 40_000, 2_000
"""Deliveries of the healthy webhook, and of each other one."""
SETTLING = 4.0
TAKES = {"healthy": 0.2, "slow": 5.0, "hanging": 10.0, "failing": 0.2}
BESIDE = {
    "alone": (),
    "beside one that takes 5 s and accepts": ("slow",),
    "beside three whose two Alertmanagers hang": ("hanging",) * 3,
    "beside twenty that fail": ("failing",) * 20,
}
_ANSWERS: Mapping[str, Answer] = {
    "failing": Response(500, {}, b""),
    "hanging": SendError(FailureReason.TIMEOUT, "no whole answer within 10 s"),
}


class TimedReceivers:
    """Transport to receivers that answer after their time, by the first part of their name.

    The healthy one counts its requests.
    """

    def __init__(self) -> None:
        self.got = 0
        self._ends: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._woken = threading.Event()

    def begin(self, requests: Sequence[Request], done: Callable[[Sequence[Answer]], None]) -> None:
        kind = requests[0].url.split("/")[2].partition("-")[0]
        self._number += 1
        end = partial(self._end, kind, len(requests), done)
        heapq.heappush(self._ends, (time.monotonic() + TAKES[kind], self._number, end))

    def run(self, seconds: float) -> None:
        left = self._ends[0][0] - time.monotonic() if self._ends else seconds
        self._woken.wait(max(min(seconds, left), 0.0))
        self._woken.clear()
        while self._ends and self._ends[0][0] <= time.monotonic():
            heapq.heappop(self._ends)[2]()

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        """Nothing is held."""

    def attempted(self, *_: object) -> None:
        pass

    store_failed = attempted

    def _end(self, kind: str, count: int, done: Callable[[Sequence[Answer]], None]) -> None:
        self.got += count if kind == "healthy" else 0
        done([_ANSWERS.get(kind, Response(204, {}, b""))] * count)


def route(name: str) -> Route:
    if name.startswith("hanging"):
        urls = ",".join(f"http://{name}-{peer}/api/v2/alerts" for peer in (1, 2))
        return Route(name, CONSUMERS["AlertManager"], {"url": urls})
    return Route(name, CONSUMERS["Generic"], {"url": f"http://{name}/"})


def rate(others: Sequence[str], seconds: float) -> float:
    """Return the deliveries a second of the healthy one."""
    receivers = TimedReceivers()
    names = ["healthy", *(f"{kind}-{number}" for number, kind in enumerate(others))]
    workers = from_environment({})[0].workers
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        webhooks = [tuple(names)] * PENDING_BESIDE + [("healthy",)] * (PENDING - PENDING_BESIDE)
        deliveries = [NewDelivery(Event("", str(number), {}), some) for number, some in enumerate(webhooks)]
        store.enqueue(EnqueueBatch(deliveries, {}, time.time()))
        queues = Queues(store, dict.fromkeys(CONSUMERS, 1e9), workers, Policy(2, 900, 259_200, random))
        dispatcher = Dispatcher(store, queues, receivers, receivers, time.time, time.monotonic)
        dispatcher.serve({name: route(name) for name in names})
        dispatcher.start(int)
        time.sleep(SETTLING + max((TAKES[name] for name in others), default=0.0))
        before = receivers.got
        time.sleep(seconds)
        rate_a_second = (receivers.got - before) / seconds
        dispatcher.stop(TAKES["hanging"] + 1)
        store.close()
    return rate_a_second


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    alone = 0.0
    for words, others in BESIDE.items():
        rate_a_second = rate(others, seconds)
        alone = alone or rate_a_second
        print(f"a healthy webhook (0.2 s) {words}: {rate_a_second:.1f}/s, {rate_a_second / alone:.0%}")


if __name__ == "__main__":
    main()
