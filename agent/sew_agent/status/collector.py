"""One scrape: the counts in the store, read at one moment, with those of this process."""

from collections.abc import Mapping, Sequence

from sew_agent.base import metrics
from sew_agent.base.metrics import Metric, Metrics, Samples
from sew_agent.store.records import Books, Lane, State


def scrape(
    books: Sequence[Books], lanes: Mapping[str, Lane], room: Mapping[str, float], counted: Metrics, now: float
) -> str:
    """The text for Prometheus; `now` in seconds since the epoch."""
    gauges = _of_books(books, now) | _of_lanes(lanes)
    gauges[metrics.ROOM] = {(name,): filled for name, filled in room.items()}
    counted.keep({each.webhook for each in books})
    return counted.write({**gauges, **counted.standing(now)})


def _of_books(books: Sequence[Books], now: float) -> dict[Metric, Samples]:
    """From one consistent read, so that seen is the sum of the four states at every scrape."""
    return {
        metrics.SEEN: {(each.webhook,): each.seen for each in books},
        metrics.DELIVERIES: {
            (each.webhook, state.value): count for each in books for state, count in _states(each).items()
        },
        metrics.DROPPED: {
            (each.webhook, reason): count for each in books for reason, count in sorted(each.dropped.items())
        },
        metrics.OLDEST: {
            (each.webhook,): max(0.0 if each.oldest_pending is None else now - each.oldest_pending, 0.0)
            for each in books
        },
        metrics.STORED: {(each.webhook,): each.bytes_used for each in books},
        metrics.LAST_DELIVERY: {
            (each.webhook,): each.last_delivered_at for each in books if each.last_delivered_at is not None
        },
    }


def _states(books: Books) -> Mapping[State, int]:
    return {
        State.DELIVERED: books.delivered,
        State.PENDING: books.pending,
        State.DEAD: books.dead,
        State.DROPPED: sum(books.dropped.values()),
    }


def _of_lanes(lanes: Mapping[str, Lane]) -> dict[Metric, Samples]:
    return {
        metrics.PARKED: {(name,): float(lane.parked) for name, lane in lanes.items()},
        metrics.FAILURES: {(name,): lane.failures for name, lane in lanes.items()},
    }
