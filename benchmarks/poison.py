"""Measure how much bad events delay good ones: `python -m benchmarks.poison [HOURS]`.

The dispatcher and the store are the real ones; the receiver refuses some events, and the clock is moved to whatever
comes next.
"""

import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from kubectl_sew.consumers.base import Request, Response
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event, delivery_id
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.dispatcher import Dispatcher
from sew_agent.delivery.queues import Queues
from sew_agent.delivery.retry import Policy
from sew_agent.store.records import EnqueueBatch, NewDelivery
from sew_agent.store.sqlite.store import SqliteStore, open_store

START = 1_800_000_000.0
AHEAD, BEHIND = 5, 50
EVERY = 10.0
SHARE = 0.01
STATUSES = (500, 403, 400)
TOOK = 0.05


class PoisonHarness:
    """A webhook whose receiver answers bad events with `status`, and the time at which each good one arrived."""

    def __init__(self, folder: Path, status: int, chance: Callable[[], float]) -> None:
        self.now = START
        self.store: SqliteStore = open_store(folder)
        self.status, self.bad = status, set[str]()
        self.arrived: dict[str, float] = {}
        policy = Policy(2.0, 900.0, 72 * 3600.0, chance)
        queues = Queues(self.store, dict.fromkeys(CONSUMERS, 1000.0), 256, policy)
        self.dispatcher = Dispatcher(self.store, queues, self, self, self._clock, self._clock)
        self.dispatcher.serve({"bench": Route("bench", CONSUMERS["Generic"], {"url": "http://receiver/"})})

    def enqueue(self, number: int, *, bad: bool) -> str:
        event = Event("", str(number), {"id": str(number)})
        name = delivery_id("bench", event)
        self.store.enqueue(EnqueueBatch([NewDelivery(event, ("bench",))], {}, self.now))
        self.dispatcher.notify({"bench"})
        if bad:
            self.bad.add(name)
        return name

    def until(self, end: float) -> None:
        while self.now < end:
            self.now += min(self.dispatcher.step(), max(end - self.now, 0.0))

    def begin(self, requests: Sequence[Request], done: Callable[[Sequence[Response]], None]) -> None:
        """Answer at once, as the dispatcher's transport."""
        self.now += TOOK
        done([self._answer(dict(request.headers)["webhook-id"]) for request in requests])

    def attempted(self, *_: object) -> None:
        pass

    store_failed = run = wake = attempted

    def _clock(self) -> float:
        return self.now

    def _answer(self, name: str) -> Response:
        if name in self.bad:
            return Response(self.status, {}, b"")
        self.arrived[name] = self.now
        return Response(204, {}, b"")


def ahead(status: int) -> None:
    """Print the delay of good events behind bad ones, with the longest pauses that chance allows."""
    with tempfile.TemporaryDirectory() as folder:
        scene = PoisonHarness(Path(folder), status, lambda: 1.0)
        for number in range(AHEAD + BEHIND):
            scene.enqueue(number, bad=number < AHEAD)
        scene.until(START + 120)
        first, last = (f"{bound(scene.arrived.values()) - START:.1f}" for bound in (min, max))
        count = len(scene.arrived)
        print(f"{AHEAD} bad ({status}) ahead of {BEHIND} good: first after {first} s, {count} by {last} s")


def steady(status: int, hours: float) -> None:
    """Print the delay where an event comes every ten seconds, and one of a hundred is bad."""
    chance = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        scene = PoisonHarness(Path(folder), status, chance.random)
        enqueued = {}
        for number in range(int(hours * 3600 / EVERY)):
            scene.until(START + number * EVERY)
            bad = chance.random() < SHARE
            name = scene.enqueue(number, bad=bad)
            if not bad:
                enqueued[name] = scene.now
        scene.until(scene.now + 600)
        seconds = sorted(scene.arrived[name] - at for name, at in enqueued.items() if name in scene.arrived)
        p99 = statistics.quantiles(seconds, n=100)[98]
        print(
            f"{SHARE:.0%} bad ({status}) for {hours:g} h: {len(seconds):,} of {len(enqueued):,} good ones delivered,"
            f" p99 {p99:.1f} s, at most {seconds[-1]:.1f} s"
        )


def main() -> None:
    for status in STATUSES:
        ahead(status)
    for status in STATUSES:
        steady(status, float(sys.argv[1]) if len(sys.argv) > 1 else 48.0)


if __name__ == "__main__":
    main()
