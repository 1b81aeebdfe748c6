"""Collection of a scrape: the store's counters, read at one moment, with those of this process."""

from collections.abc import Mapping, Sequence

from sew_agent.base import metrics
from sew_agent.base.metrics import Metric, Metrics, Samples
from sew_agent.store.records import Counters, DeliveryState, ReceiverState


def collect(
    counters: Sequence[Counters],
    receivers: Mapping[str, ReceiverState],
    room: Mapping[str, float],
    gathered: Mapping[str, float],
    counted: Metrics,
    now: float,
) -> str:
    """Return the text for Prometheus; `now` in seconds since the epoch.

    `gathered`: webhook -> seconds for which what waits is gathered into digests.
    """
    gauges = _counter_gauges(counters) | _receiver_gauges(receivers)
    gauges[metrics.OLDEST] = {(row.webhook,): _oldest(row, gathered.get(row.webhook, 0.0), now) for row in counters}
    gauges[metrics.ROOM] = {(name,): filled for name, filled in room.items()}
    counted.keep({row.webhook for row in counters})
    return counted.write({**gauges, **counted.webhook_gauges(now)})


def _counter_gauges(counters: Sequence[Counters]) -> dict[Metric, Samples]:
    """Return the gauges of the counters, from one consistent read: seen is the sum of the four states."""
    return {
        metrics.SEEN: {(row.webhook,): row.seen for row in counters},
        metrics.DELIVERIES: {
            (row.webhook, state.value): count for row in counters for state, count in _states(row).items()
        },
        metrics.DROPPED: {
            (row.webhook, reason): count for row in counters for reason, count in sorted(row.dropped.items())
        },
        metrics.STORED: {(row.webhook,): row.bytes_used for row in counters},
        metrics.LAST_DELIVERY: {
            (row.webhook,): row.last_delivered_at for row in counters if row.last_delivered_at is not None
        },
    }


def _oldest(counters: Counters, gathered: float, now: float) -> float:
    return 0.0 if counters.oldest_pending is None else max(now - counters.oldest_pending - gathered, 0.0)


def _states(counters: Counters) -> Mapping[DeliveryState, int]:
    return {
        DeliveryState.DELIVERED: counters.delivered,
        DeliveryState.PENDING: counters.pending,
        DeliveryState.DEAD: counters.dead,
        DeliveryState.DROPPED: sum(counters.dropped.values()),
    }


def _receiver_gauges(receivers: Mapping[str, ReceiverState]) -> dict[Metric, Samples]:
    return {
        metrics.PARKED: {(name,): float(receiver.parked) for name, receiver in receivers.items()},
        metrics.FAILURES: {(name,): receiver.failures for name, receiver in receivers.items()},
    }
