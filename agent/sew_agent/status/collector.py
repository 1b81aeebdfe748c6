"""Collection of a scrape: the store's counters, read at one moment, with those of this process."""

from collections.abc import Mapping, Sequence

from sew_agent.base import metrics
from sew_agent.base.metrics import Metric, Metrics, Samples
from sew_agent.store.records import Counters, DeliveryState, ReceiverState


def collect(
    counters: Sequence[Counters],
    receivers: Mapping[str, ReceiverState],
    room: Mapping[str, float],
    counted: Metrics,
    now: float,
) -> str:
    """Return the text for Prometheus; `now` in seconds since the epoch."""
    gauges = _of_books(counters, now) | _of_lanes(receivers)
    gauges[metrics.ROOM] = {(name,): filled for name, filled in room.items()}
    counted.keep({each.webhook for each in counters})
    return counted.write({**gauges, **counted.webhook_status(now)})


def _of_books(counters: Sequence[Counters], now: float) -> dict[Metric, Samples]:
    """Return the gauges of the counters, from one consistent read: seen is the sum of the four states."""
    return {
        metrics.SEEN: {(each.webhook,): each.seen for each in counters},
        metrics.DELIVERIES: {
            (each.webhook, state.value): count for each in counters for state, count in _states(each).items()
        },
        metrics.DROPPED: {
            (each.webhook, reason): count for each in counters for reason, count in sorted(each.dropped.items())
        },
        metrics.OLDEST: {
            (each.webhook,): max(0.0 if each.oldest_pending is None else now - each.oldest_pending, 0.0)
            for each in counters
        },
        metrics.STORED: {(each.webhook,): each.bytes_used for each in counters},
        metrics.LAST_DELIVERY: {
            (each.webhook,): each.last_delivered_at for each in counters if each.last_delivered_at is not None
        },
    }


def _states(counters: Counters) -> Mapping[DeliveryState, int]:
    return {
        DeliveryState.DELIVERED: counters.delivered,
        DeliveryState.PENDING: counters.pending,
        DeliveryState.DEAD: counters.dead,
        DeliveryState.DROPPED: sum(counters.dropped.values()),
    }


def _of_lanes(receivers: Mapping[str, ReceiverState]) -> dict[Metric, Samples]:
    return {
        metrics.PARKED: {(name,): float(receiver.parked) for name, receiver in receivers.items()},
        metrics.FAILURES: {(name,): receiver.failures for name, receiver in receivers.items()},
    }
