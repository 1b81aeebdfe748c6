"""Records as the rows of a database hold them, and the bounds of what is read or kept. Pure."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kubectl_sew.event import Event, delivery_id
from sew_agent.store.records import DeadLetter, Delivery, ReceiverState, WebhookRecord

AT_ONCE = 250
"""Rows that one step of housekeeping, or of a change by hand, reads."""
DEAD_AT_ONCE = 20
"""Dead letters that are read at once."""
STEPS = 40
"""Steps of housekeeping at one call."""
ACTIONS_KEPT = 100
FURTHEST = 30 * 86_400.0
"""Seconds that an event may be dated in the future and stay seen until then."""
EVER = float("inf")
_BYTES_AT_ONCE = 4 * 2**20

write_json = json.JSONEncoder(separators=(",", ":")).encode


def bounded(rows: Iterable[Any]) -> Iterator[Any]:
    """Return rows up to the one whose payload, its last column, fills the bytes of a page."""
    size = 0
    for row in rows:
        yield row
        size += len(row[-1])
        if size >= _BYTES_AT_ONCE:
            return


def retry_spans(now: float, longest: float, *, crowded: bool) -> Sequence[tuple[float, float]]:
    """Return the spans of `due` in which retries are due now. `crowded`: deliveries without an attempt fill the page.

    What is due more than `longest` seconds ahead was written by a clock that was ahead.
    """
    return [(-EVER, now - longest)] if crowded else [(-EVER, now), (now + longest, EVER)]


def seen_until(read_at: float, time: float | None, known_for: float) -> float:
    """Return until when an event stays seen. `time`: the event's own."""
    return max(read_at, min(time or 0.0, read_at + FURTHEST)) + known_for


def delivery_of(webhook: str, row: Sequence[Any]) -> Delivery:
    """Decode a pending delivery. Raises ValueError where its payload is damaged."""
    seq, read_at, attempts, first_attempt, due, in_doubt, *stored = row
    event = _event(*stored)
    return Delivery(
        seq, webhook, delivery_id(webhook, event), event, read_at, attempts, first_attempt, due, bool(in_doubt)
    )


def dead_letter_of(row: Sequence[Any]) -> DeadLetter:
    """Decode a dead letter. Raises ValueError where its payload is damaged."""
    webhook, seq, source, name, document, *rest = row
    event = _event(source, name, document)
    return DeadLetter(seq, webhook, delivery_id(webhook, event), event, *rest)


def receiver_of(text: str) -> ReceiverState:
    """Decode a receiver's state: JSON has no tuples, and fields are missing in one that an older agent wrote."""
    stored = json.loads(text)
    return ReceiverState(**{**stored, "refused": tuple(stored.get("refused", ()))})


def record_of(text: str) -> WebhookRecord:
    """Decode a webhook's record."""
    return WebhookRecord(**json.loads(text))


def _event(source: str, name: str, document: bytes) -> Event:
    try:
        return Event(source, name, json.loads(document))
    except ValueError as error:
        raise ValueError(f"event {name}: {error}") from error
