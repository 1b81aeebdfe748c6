"""Counters as they were while somebody looked: the only history that there is without a metrics server. Pure."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

MOST = 120
"""Samples that are kept: then every second one is left out, and half as many are taken from then on."""
BUCKETS = 30
"""Steps of a chart."""


@dataclass(frozen=True, slots=True)
class CounterSample:
    """Counters at a moment (epoch seconds): webhook -> how many were delivered, and how many are or became dead."""

    at: float
    counts: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class ChartStep:
    """A stretch of time, and what happened in it."""

    start: float
    end: float
    delivered: int
    failed: int


class History:
    """The samples of one run of the dashboard. Its methods may be called by several threads."""

    def __init__(self) -> None:
        self._samples: list[CounterSample] = []
        self._pause = 0.0
        self._lock = threading.Lock()

    def add(self, at: float, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Take a sample from the rows that the agent reports, if the last one is old enough."""
        with self._lock:
            if self._samples and at - self._samples[-1].at < self._pause:
                return
            counts = {name: (_count(row, "delivered"), _count(row, "deadLetters")) for name, row in rows.items()}
            self._samples.append(CounterSample(at, counts))
            if len(self._samples) > MOST:
                del self._samples[1::2]
                self._pause = (self._samples[-1].at - self._samples[0].at) / MOST * 1.9

    def steps(self, webhook: str) -> list[ChartStep]:
        """Return what happened to a webhook, at most BUCKETS steps; empty before the second sample."""
        with self._lock:
            samples = [sample for sample in self._samples if webhook in sample.counts]
        if len(samples) < 2:
            return []
        size = -(-(len(samples) - 1) // BUCKETS)
        edges = samples[::size]
        if edges[-1] is not samples[-1]:
            edges.append(samples[-1])
        return [_step(webhook, one, other) for one, other in pairwise(edges)]


def _step(webhook: str, one: CounterSample, other: CounterSample) -> ChartStep:
    """What was counted between two samples; a counter that fell (a new store, a purge) counts for nothing."""
    (delivered, dead), (later, more) = one.counts[webhook], other.counts[webhook]
    return ChartStep(one.at, other.at, max(0, later - delivered), max(0, more - dead))


def _count(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    return value if isinstance(value, int) else 0
