"""Measure the longest time for which housekeeping holds the store, and the cost of deleted webhooks.

    python -m benchmarks.housekeeping 1000000

A second thread reads and writes something small all the time: the longest that it waits is the longest hold.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from kubectl_sew.event import Event
from sew_agent.store.contract import Store
from sew_agent.store.records import DropReason, EnqueueBatch, NewDelivery, ReceiverState, WebhookRecord
from sew_agent.store.sqlite.store import open_store

NOW = 1_800_000_000.0
DAY = 86_400.0


def fill(store: Store, count: int, *, at: float = NOW, webhook: str = "hook", size: int = 300) -> None:
    """Enqueue `count` deliveries."""
    for start in range(0, count, 1000):
        names = range(start, min(start + 1000, count))
        deliveries = [NewDelivery(Event("", f"{at}-{number}", {"text": "x" * size}), (webhook,)) for number in names]
        store.enqueue(EnqueueBatch(deliveries, {"common": str(start)}, at))


def longest_wait(store: Store, work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that another thread waited at most while `work` was done, and that the work took."""
    ended, waits = threading.Event(), [0.0]

    def ask() -> None:
        for number in count():
            if ended.is_set():
                return
            started = time.perf_counter()
            store.positions()
            read = time.perf_counter()
            store.record_results((), [ReceiverState("other", failures=number)])
            waits.extend((read - started, time.perf_counter() - read))
            time.sleep(0.0005)

    asking = threading.Thread(target=ask)
    asking.start()
    started = time.perf_counter()
    work()
    took = time.perf_counter() - started
    ended.set()
    asking.join()
    return max(waits), took


def report(name: str, store: Store, work: Callable[[], object]) -> None:
    wait, took = longest_wait(store, work)
    print(f"{name:<58} {wait * 1000:8.1f} ms held at most, {took:8.2f} s in all", flush=True)


def timed(work: Callable[[int], object], times: int = 50) -> float:
    """Return the milliseconds of one call."""
    started = time.perf_counter()
    for number in range(times):
        work(number)
    return (time.perf_counter() - started) / times * 1000


def names(store: Store, count: int) -> None:
    """Print the cost of one event and of the counters beside `count` deleted webhooks."""

    def take(number: int) -> None:
        event = Event("", f"new-{count}-{number}", {})
        store.enqueue(EnqueueBatch([NewDelivery(event, ("hook",))], {"common": f"{number}"}, NOW))

    print(
        f"with {count:,} names gone: one event {timed(take):.2f} ms, counts {timed(lambda _: store.counters()):.2f} ms"
    )


def forget_all(store: Store, now: float) -> None:
    while store.forget(now):
        pass


def shrink(store: Store, times: int) -> None:
    for _ in range(times):
        store.shrink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=100_000)
    count: int = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder), max_bytes=2**40)
        names(store, 0)
        for number in range(10_000):
            store.save_webhook(WebhookRecord(f"gone-{number}", "", None, deleted_at=NOW - DAY))
        forget_all(store, NOW)
        names(store, 10_000)
        fill(store, count, at=NOW)
        for number in range(0, min(count, 50_000), 1000):
            debug = [NewDelivery(Event("", f"later-{number + more}", {}), (), ("hook",)) for more in range(1000)]
            store.enqueue(EnqueueBatch(debug, {}, NOW + 1))
        calls = (count + 50_000) // 10_000 + 1
        name = f"forget 50,000, with {count:,} older ones that are still pending"
        report(name, store, lambda: [store.forget(NOW + 2 * DAY) for _ in range(calls)])
        report("shift", store, lambda: store.record_results((), (), [("hook", 60.0)]))
        report(f"drop of {count:,}", store, lambda: store.drop("hook", DropReason.BACKLOG_DROPPED))
        report("let go of their payloads", store, lambda: [store.forget(NOW) for _ in range(count // 5_000 + 1)])
        before = (Path(folder) / "sew.db").stat().st_size
        report("give the room back", store, lambda: shrink(store, count // 4_000 + 1))
        store.close()
        after = (Path(folder) / "sew.db").stat().st_size
        print(f"the file: {before / 2**20:.0f} MiB before, {after / 2**20:.0f} MiB after")


if __name__ == "__main__":
    main()
