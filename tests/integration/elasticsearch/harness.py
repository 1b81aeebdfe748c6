"""An agent's reading without delivery, over a real server; its clock is moved by hand."""

import json
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from kubectl_sew.elasticsearch.access import Access
from kubectl_sew.query import CALICO, parse
from kubectl_sew.resource import Condition, checkpoint
from sew_agent.ingest.elasticsearch.source import ElasticsearchSource, IngestSettings
from sew_agent.ingest.poller import Polled, Poller
from sew_agent.ingest.source import Arrival, SourceWarning, Subscription
from sew_agent.store.records import Delivery, DeliveryResult, DeliveryState, EnqueueResult, WebhookRecord
from sew_agent.store.sqlite.store import SqliteStore, open_store
from testbed.servers.indices import CALICO_MAPPINGS, CALICO_SETTINGS

NOW = 1_800_000_000.0
WAIT = 14.0
"""Seconds after which all earlier writes are proven to be visible, where the refresh interval is the default."""
STEP = 2.0
"""Seconds between two polls at most, as an agent polls."""


class RecordingObserver:
    """Records what the poller reports."""

    def __init__(self) -> None:
        self.warnings: list[SourceWarning] = []
        self.full: set[str] = set()
        self.events = 0
        self.largest_page = 0
        self.replays: list[tuple[str, str]] = []
        self.suppressed: Counter[str] = Counter()

    def warned(self, warnings: Sequence[SourceWarning]) -> None:
        self.warnings += warnings

    def enqueued(self, arrivals: Sequence[Arrival], taken: EnqueueResult) -> None:
        """Record the size of the page, whose events are in the store, and the exceptions that suppressed some."""
        for arrival in arrivals:
            if arrival.event.key in taken.suppressed:
                self.suppressed.update(arrival.suppressed_by)
        page = sum(len(json.dumps(arrival.event.document)) for arrival in arrivals)
        self.largest_page = max(self.largest_page, page)

    def replaying(self, webhook: str, message: str) -> None:
        self.replays.append((webhook, message))

    def store_full(self, webhooks: Collection[str]) -> None:
        self.full |= set(webhooks)

    def scanned(self, events: int) -> None:
        self.events += events


class IngestHarness:
    """`now` is wall clock and monotonic clock in one."""

    def __init__(self, client: Elasticsearch, url: str, state: Path) -> None:
        self.client, self.url, self.state = client, url, state
        self.prefix = f"sew-{uuid.uuid4().hex[:8]}"
        self.reading = IngestSettings(f"{self.prefix}.*")
        self.now = NOW
        self.clock: Callable[[], float] = lambda: self.now
        self.access: Callable[[], Access] = lambda: Access(tuple(url.split(",")))
        self.beat: Callable[[], None] = lambda: None
        self.page_size = 1000
        self.max_bytes = 2**31
        self.subscriptions: dict[str, Subscription] = {}
        self.observer = RecordingObserver()
        self.open()

    def open(self) -> None:
        """Start the agent's reading over the same state."""
        self.store: SqliteStore = open_store(self.state, known_for=self.reading.known_for, max_bytes=self.max_bytes)
        known = self.store.seen_by
        self.source = ElasticsearchSource(self.reading, self.access, known, CALICO, self.clock, self.beat)
        self.source.read_fields()
        self.poller = Poller(
            self.source,
            self.store,
            self.observer,
            page_size=self.page_size,
            pause=2.0,
            known_for=86_400.0,
            clock=self.clock,
        )
        self.poller.serve(self.subscriptions, ())

    def restart(self) -> None:
        self.stop()
        self.open()

    def stop(self) -> None:
        self.source.close()
        self.store.close()

    def close(self) -> None:
        self.stop()
        names = self.client.indices.get_settings(index=f"{self.prefix}*", expand_wildcards="all")
        if names:
            self.client.indices.delete(index=list(names))

    def index(
        self, name: str = "a", *, shards: int = 1, refresh: str = "1s", replicas: int = 0, **mappings: Any
    ) -> str:
        """Create an index of the pattern and return its whole name."""
        numbers = {"number_of_shards": shards, "number_of_replicas": replicas}
        settings = {**CALICO_SETTINGS, **numbers, "refresh_interval": refresh}
        whole = f"{self.prefix}.{name}"
        self.client.indices.create(index=whole, mappings=mappings or CALICO_MAPPINGS, settings=settings)
        return whole

    def write(self, ids: Iterable[Any], *, index: str = "a", refresh: bool = True, **fields: Any) -> None:
        """Write events whose own time is now, unless `time` says another; None for none."""
        document = {"type": "waf", "time": int(self.now), **fields}
        document = {key: value for key, value in document.items() if value is not None}
        name = f"{self.prefix}.{index}"
        bulk(
            self.client, ({"_index": name, "_id": str(number), "_source": document} for number in ids), refresh=refresh
        )

    def refresh(self) -> None:
        self.client.indices.refresh(index=f"{self.prefix}.*")

    def serve(self, query: str = "type = waf", *names: str, start: float | None = NOW, begin: bool = True) -> None:
        """Serve more webhooks with that query, which begin now."""
        added = {name: Subscription(name, parse(query), start) for name in names or ("w",)}
        self.subscriptions = {**self.subscriptions, **added}
        for name in added:
            self.store.save_webhook(WebhookRecord(name, "Enabled", start))
        if begin and start is not None:
            self.poller.begin(dict.fromkeys(added, start), self.now)
        self.poller.serve(self.subscriptions, ())

    def poll(self, seconds: float = 1.0) -> Polled:
        """Poll for so many seconds, and more at once while there is more."""
        steps = max(ceil(seconds / STEP), 1)
        for _ in range(steps - 1):
            self._poll_all(seconds / steps)
        return self._poll_all(seconds / steps)

    def _poll_all(self, seconds: float) -> Polled:
        self.now += seconds
        for _ in range(10_000):
            polled = self.poller.poll(self.now)
            if not polled.more:
                return polled
            self.now += 0.001
        raise AssertionError("there was always more to read at once")

    def record_results(self, wait: float = WAIT) -> None:
        """Poll until all writes have been read for certain: twice the wait, since one may be tracked already."""
        self.refresh()
        for _ in range(3):
            self.poll(wait)

    def got(self, webhook: str = "w") -> Counter[str]:
        """Return the ids of a webhook's pending events, each as often as it is pending."""
        pending: dict[int, str] = {}
        while some := self.store.due(webhook, now=self.now, limit=10**6, skip=pending):
            pending |= {task.seq: task.event.id for task in some}
        return Counter(pending.values())

    def count(self, webhook: str = "w") -> int:
        return self.store.pending_counts().get(webhook, 0)

    def deliver(self, delivery: Delivery) -> None:
        """Record a delivery as if its receiver had accepted it."""
        self.store.record_results([DeliveryResult(delivery, DeliveryState.DELIVERED, self.now, 1)], ())

    def checkpoint(self, webhook: str = "w") -> float | None:
        """Return the checkpoint that a fresh agent would read from the resource."""
        progress = self.poller.progress(self.now)[webhook]
        return checkpoint([Condition("EventsFetched", progress.status, progress.reason.value, progress.message)])

    def message(self, webhook: str = "w") -> str:
        return self.poller.progress(self.now)[webhook].message

    def kinds(self) -> Mapping[str, int]:
        """Return the kind of warning -> how many of them."""
        counts: Counter[str] = Counter()
        for warning in self.observer.warnings:
            counts[warning.kind] += warning.count
        return counts


def ids(*numbers: Any) -> Counter[str]:
    """Return these ids, each counted once."""
    return Counter(str(number) for number in numbers)
