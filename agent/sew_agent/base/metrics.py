"""Metrics: the counters of this process, and the text format of Prometheus.

The table METRICS is all that is served; the counts of deliveries come from the store (sew_agent.status.collector).
The format:
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format.
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

DURATION_BUCKETS = (0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
LATENCY_BUCKETS = (0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0, 259200.0)


class PollFailure(Enum):
    """Reason of a failed poll: a closed set, used as a metric's label."""

    SOURCE = "source"
    STORE = "store"
    STORE_FULL = "store_full"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. `kind` as Prometheus calls it; `buckets`: upper bounds in seconds, of histograms alone."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()


SEEN = Metric("sew_events_seen_total", "counter", ("webhook",), "events that matched; the sum of sew_deliveries")
DELIVERIES = Metric(
    "sew_deliveries",
    "gauge",
    ("webhook", "state"),
    "deliveries by state: delivered, pending (the backlog), dead, dropped",
)
DROPPED = Metric("sew_dropped_total", "counter", ("webhook", "reason"), "deliveries that will never be sent, by reason")
OLDEST = Metric(
    "sew_backlog_oldest_seconds",
    "gauge",
    ("webhook",),
    "age of the oldest pending delivery, less its webhook's `digest`",
)
STORED = Metric("sew_store_bytes", "gauge", ("webhook",), "bytes of pending deliveries and dead letters in the store")
ROOM = Metric(
    "sew_store_room_ratio",
    "gauge",
    ("webhook",),
    "how full the webhook's share of the store is; at 1 nothing more is read for it",
)
LAST_DELIVERY = Metric(
    "sew_last_delivery_timestamp_seconds",
    "gauge",
    ("webhook",),
    "time of the last successful delivery, since the epoch",
)
PARKED = Metric(
    "sew_webhook_parked",
    "gauge",
    ("webhook",),
    "1 while the webhook is parked: it is tried again when its settings change, and once an hour",
)
FAILURES = Metric("sew_failures_in_a_row", "gauge", ("webhook",), "failed attempts since the last successful one")
ATTEMPTS = Metric(
    "sew_attempts_total", "counter", ("webhook", "outcome", "reason"), "attempts to deliver, by outcome and reason"
)
ATTEMPT_SECONDS = Metric(
    "sew_attempt_duration_seconds",
    "histogram",
    ("consumer",),
    "duration of an attempt; requests sent side by side are one",
    DURATION_BUCKETS,
)
WEBHOOK_SECONDS = Metric(
    "sew_webhook_attempt_duration_seconds",
    "summary",
    ("webhook",),
    "duration of the webhook's attempts, which is its receiver's latency: the sum and the number of them",
)
EVENT_LATENCY = Metric(
    "sew_event_latency_seconds",
    "histogram",
    ("consumer",),
    "time from an event's own time to its delivery",
    LATENCY_BUCKETS,
)
DELIVERY_LATENCY = Metric(
    "sew_delivery_latency_seconds",
    "histogram",
    ("consumer",),
    "time from reading an event to its delivery",
    LATENCY_BUCKETS,
)
ACCEPTED = Metric(
    "sew_webhook_accepted",
    "gauge",
    ("webhook",),
    "1 if the webhook is accepted, 0 if it is refused: its conditions say why",
)
READ_LAG = Metric(
    "sew_read_lag_seconds",
    "gauge",
    ("webhook",),
    "how far behind reading is: the age of the moment up to which everything was read",
)
POLLS = Metric("sew_polls_total", "counter", (), "polls for new events, including failed ones")
POLL_ERRORS = Metric("sew_poll_errors_total", "counter", ("reason",), "polls for new events that failed, by reason")
POLL_SECONDS = Metric(
    "sew_poll_duration_seconds", "histogram", (), "duration of a poll for new events", DURATION_BUCKETS
)
WARNINGS = Metric(
    "sew_source_warnings_total", "counter", ("kind",), "lines and documents that are not events, e.g. not JSON"
)
READ = Metric(
    "sew_events_read_total",
    "counter",
    (),
    "events that were read, selected by a query or not; from Elasticsearch all writes, including changes",
)
TOO_OLD = Metric(
    "sew_events_too_old_total", "counter", (), "events older than SEW_MAX_EVENT_AGE when read, and not delivered"
)
BEFORE_START = Metric(
    "sew_events_before_start_total",
    "counter",
    (),
    "events that match a webhook but are older than its start, and are not delivered to it",
)
SUPPRESSED = Metric(
    "sew_events_suppressed_total",
    "counter",
    ("exception",),
    "events that match a webhook and were not delivered, since the AlertException selects them; each counts once",
)
BUILD_INFO = Metric("sew_build_info", "gauge", ("version",), "always 1; the label is the version of the agent")
CPU_SECONDS = Metric("process_cpu_seconds_total", "counter", (), "processor time that the agent has used")
MEMORY = Metric("process_resident_memory_bytes", "gauge", (), "memory that the agent has in use, where the system says")
OPEN_FILES = Metric("process_open_fds", "gauge", (), "open files and connections of the agent, where the system says")
MOST_OPEN_FILES = Metric("process_max_fds", "gauge", (), "how many files and connections the agent may have open")
STARTED = Metric("process_start_time_seconds", "gauge", (), "time of the agent's start, since the epoch")
_LEFT_OUT = {"too_old": TOO_OLD, "before_start": BEFORE_START}

METRICS = (
    *(SEEN, DELIVERIES, DROPPED, OLDEST, STORED, ROOM, LAST_DELIVERY, PARKED, FAILURES),
    *(ATTEMPTS, WEBHOOK_SECONDS, ATTEMPT_SECONDS, EVENT_LATENCY, DELIVERY_LATENCY),
    *(ACCEPTED, READ_LAG),
    *(POLLS, POLL_ERRORS, POLL_SECONDS, READ, WARNINGS, TOO_OLD, BEFORE_START, SUPPRESSED),
    *(BUILD_INFO, CPU_SECONDS, MEMORY, OPEN_FILES, MOST_OPEN_FILES, STARTED),
)
"""Every metric, in the order in which it is served and documented."""

Labels = tuple[str, ...]
Samples = Mapping[Labels, float]


@dataclass(slots=True)
class _Distribution:
    counts: list[int]
    """Counts of the buckets, not cumulative; the last one has no upper bound."""
    total: float = 0.0


@dataclass(slots=True)
class _Sum:
    count: int = 0
    total: float = 0.0


class Metrics:
    """Counters, summaries and histograms of this process. Thread-safe."""

    def __init__(self, process: Callable[[], Mapping[Metric, Samples]] = dict) -> None:
        """`process` returns what the system says of this process, at each scrape."""
        self._lock = threading.Lock()
        self._process = process
        self._counters: dict[Metric, Counter[Labels]] = {}
        self._counters |= {metric: Counter() for metric in (ATTEMPTS, WARNINGS, SUPPRESSED)}
        self._counters |= {metric: Counter({(): 0}) for metric in (POLLS, READ, TOO_OLD, BEFORE_START)}
        self._counters[POLL_ERRORS] = Counter({(reason.value,): 0 for reason in PollFailure})
        self._histograms: dict[Metric, dict[Labels, _Distribution]] = {
            metric: {} for metric in METRICS if metric.kind == "histogram"
        }
        self._seconds: dict[str, _Sum] = {}
        """Of each webhook, the duration of its attempts."""
        self._accepted: Mapping[str, bool] = {}
        self._read_to: Mapping[str, float] = {}

    def attempted(self, webhook: str, consumer: str, outcome: str, reason: str, seconds: float) -> None:
        """Count an attempt to deliver. `outcome` and `reason` are values of Verdict and FailureReason."""
        with self._lock:
            self._counters[ATTEMPTS][webhook, outcome, reason] += 1
            summed = self._seconds.get(webhook)
            if summed is None:
                summed = self._seconds[webhook] = _Sum()
            summed.count += 1
            summed.total += seconds
            self._observe(ATTEMPT_SECONDS, (consumer,), seconds)

    def delivered(self, consumer: str, *, now: float, read_at: float, event_time: float | None) -> None:
        """Count a delivery. Times in seconds since the epoch; an event dated in the future counts as 0 s."""
        with self._lock:
            self._observe(DELIVERY_LATENCY, (consumer,), now - read_at)
            if event_time is not None:
                self._observe(EVENT_LATENCY, (consumer,), now - event_time)

    def polled(self, seconds: float, failure: PollFailure | None = None) -> None:
        """Count a poll for new events."""
        with self._lock:
            self._counters[POLLS][()] += 1
            self._observe(POLL_SECONDS, (), seconds)
            if failure:
                self._counters[POLL_ERRORS][failure.value,] += 1

    def skipped(self, kind: str, count: int = 1) -> None:
        """Count input that is not delivered. `kind` is one of a closed set, not text that was read."""
        with self._lock:
            self._counters[WARNINGS][kind,] += count
            if left_out := _LEFT_OUT.get(kind):
                self._counters[left_out][()] += count

    def suppressed(self, exceptions: Collection[str]) -> None:
        """Count an event for each exception that selects it."""
        with self._lock:
            self._counters[SUPPRESSED].update((name,) for name in exceptions)

    def set_exceptions(self, exceptions: Collection[str]) -> None:
        """Serve the counters of these exceptions, from 0 on, and drop those of all others: they are deleted."""
        with self._lock:
            counted = self._counters[SUPPRESSED]
            self._counters[SUPPRESSED] = Counter({(name,): counted[name,] for name in exceptions})

    def suppressed_events(self) -> Mapping[str, int]:
        """Return for each exception how many events it has suppressed."""
        with self._lock:
            return {name: count for (name,), count in self._counters[SUPPRESSED].items()}

    def read(self, events: int) -> None:
        """Count events that were read."""
        with self._lock:
            self._counters[READ][()] += events

    def set_webhooks(self, accepted: Mapping[str, bool], read_to: Mapping[str, float]) -> None:
        """Set the webhooks' status: accepted or not, and the moment up to which everything was read for each."""
        with self._lock:
            self._accepted, self._read_to = accepted, read_to

    def webhook_gauges(self, now: float) -> Mapping[Metric, Samples]:
        """Return the gauges of the webhooks' last status; `now` in seconds since the epoch."""
        with self._lock:
            return {
                ACCEPTED: {(name,): float(run) for name, run in self._accepted.items()},
                READ_LAG: {(name,): max(now - moment, 0.0) for name, moment in self._read_to.items()},
            }

    def keep(self, webhooks: Collection[str]) -> None:
        """Drop the counters of all other webhooks: they are deleted."""
        with self._lock:
            attempts = self._counters[ATTEMPTS]
            for labels in [key for key in attempts if key[0] not in webhooks]:
                del attempts[labels]
            for webhook in self._seconds.keys() - set(webhooks):
                del self._seconds[webhook]

    def write(self, gauges: Mapping[Metric, Samples]) -> str:
        """Return the text for Prometheus; `gauges` holds what this process does not count."""
        given = {**gauges, **self._process()}
        with self._lock:
            return "\n".join(line for metric in METRICS for line in self._lines(metric, given)) + "\n"

    def _observe(self, metric: Metric, labels: Labels, value: float) -> None:
        by_labels = self._histograms[metric]
        distribution = by_labels.get(labels)
        if distribution is None:
            distribution = by_labels[labels] = _Distribution([0] * (len(metric.buckets) + 1))
        value = max(value, 0.0)
        distribution.counts[bisect_left(metric.buckets, value)] += 1
        distribution.total += value

    def _lines(self, metric: Metric, gauges: Mapping[Metric, Samples]) -> Iterator[str]:
        yield f"# HELP {metric.name} {metric.meaning}"
        yield f"# TYPE {metric.name} {metric.kind}"
        for labels, distribution in self._histograms.get(metric, {}).items():
            yield from _histogram(metric, labels, distribution)
        if metric is WEBHOOK_SECONDS:
            yield from self._summary()
        samples: Samples = self._counters.get(metric) or gauges.get(metric, {})
        for labels, value in samples.items():
            yield _sample(metric.name, metric.labels, labels, value)

    def _summary(self) -> Iterator[str]:
        for webhook, summed in self._seconds.items():
            for part, value in (("sum", summed.total), ("count", summed.count)):
                yield _sample(f"{WEBHOOK_SECONDS.name}_{part}", WEBHOOK_SECONDS.labels, (webhook,), value)


def _histogram(metric: Metric, labels: Labels, distribution: _Distribution) -> Iterator[str]:
    count = 0
    for bound, more in zip((*metric.buckets, float("inf")), distribution.counts, strict=True):
        count += more
        yield _sample(f"{metric.name}_bucket", (*metric.labels, "le"), (*labels, _number(bound)), count)
    yield _sample(f"{metric.name}_sum", metric.labels, labels, distribution.total)
    yield _sample(f"{metric.name}_count", metric.labels, labels, count)


def _sample(name: str, names: Sequence[str], values: Iterable[str], value: float) -> str:
    pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in zip(names, values, strict=True))
    return f"{name}{{{pairs}}} {_number(value)}" if pairs else f"{name} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
