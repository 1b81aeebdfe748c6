"""Records as the rows of a database hold them, and the bounds of what is read or kept. Pure."""

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any

from kubectl_sew.event import Event, delivery_id
from sew_agent.store.records import (
    PAGE_BYTES,
    DeadLetter,
    Delivery,
    KeptDelivery,
    LoggedAttempt,
    ReceiverState,
    WebhookRecord,
)

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
Page = tuple[list[Any], bool]
"""Rows, and whether more follow that did not fit."""
_IN_A_ROW = 32
"""Attempts in one row of the log of deliveries at most."""

write_json = json.JSONEncoder(separators=(",", ":")).encode
_write_text = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def bounded(rows: Iterable[Any], most_bytes: float = PAGE_BYTES) -> Page:
    """Return rows until their payloads, the last column, fill a page, one at least; and whether more follow."""
    page, size = list[Any](), 0
    for row in rows:
        size += len(row[-1])
        if page and size > most_bytes:
            return page, True
        page.append(row)
    return page, False


def due_rows(  # noqa: PLR0913 - one for each bound
    fresh: Callable[[], Page],
    tried: Callable[[float, float, int], Page],
    *,
    now: float,
    limit: int,
    retries: bool,
    longest: float,
    most_bytes: int,
) -> list[Any]:
    """Return the rows of `Store.due`.

    `fresh` reads those without an attempt; `tried` those that are due after one moment and until another, so many.
    """
    rows, full = fresh()
    if not retries:
        return rows
    new = len(rows)
    if not full:
        for after, until in ((-EVER, now), (now + longest, EVER)):  # the clock was ahead when the last were written
            if len(rows) < limit:
                rows += tried(after, until, limit - len(rows))[0]
        full = len(rows) == new == limit
        rows, cut = bounded(rows, most_bytes)
        full = full or (cut and len(rows) == new)
    return rows + tried(-EVER, now - longest, 1)[0] if full else rows


def seen_until(read_at: float, time: float | None, known_for: float) -> float:
    """Return until when an event stays seen. `time`: the event's own."""
    return max(read_at, min(time or 0.0, read_at + FURTHEST)) + known_for


def delivery_of(webhook: str, row: Sequence[Any]) -> Delivery:
    """Decode a pending delivery. Raises ValueError where its payload is damaged."""
    seq, read_at, attempts, first_attempt, due, in_doubt, again, digest, *stored = row
    event = _event(*stored)
    return Delivery(
        seq,
        webhook,
        delivery_id(webhook, event),
        event,
        read_at,
        attempts,
        first_attempt,
        due,
        in_doubt=bool(in_doubt),
        again=bool(again),
        digest=digest,
        size=len(stored[-1]),
    )


def dead_letter_of(row: Sequence[Any]) -> DeadLetter:
    """Decode a dead letter. Raises ValueError where its payload is damaged."""
    webhook, seq, source, name, document, *rest = row
    event = _event(source, name, document)
    return DeadLetter(seq, webhook, delivery_id(webhook, event), event, *rest)


def kept_of(rows: Iterable[Sequence[Any]]) -> list[KeptDelivery]:
    """Decode deliveries that are pending or dead; those of one event share it. Raises ValueError as above."""
    kept, events = list[KeptDelivery](), dict[bytes, Event]()
    for webhook, reason, detail, died_at, *rest in rows:
        delivery = delivery_of(webhook, rest)
        event = events.setdefault(delivery.event.key, delivery.event)
        kept.append(KeptDelivery(delivery._replace(event=event), reason, detail, died_at))
    return kept


def packed(attempts: Sequence[LoggedAttempt], last: int) -> list[tuple[int, float, str]]:
    """Return attempts of one webhook as rows of its log: number and time of each row's last attempt, and all in it.

    Several in one row, and lists without names, cost the dispatcher a third of a row for each. `last`: number of the
    newest attempt before them. Fields are added at an entry's end.
    """
    rows = []
    for start in range(0, len(attempts), _IN_A_ROW):
        some = attempts[start : start + _IN_A_ROW]
        last += len(some)
        rows.append((last, some[-1].at, _write_text([attempt[1:] for attempt in some])))
    return rows


def unpacked(webhook: str, entries: str) -> list[LoggedAttempt]:
    """Decode a row of the log."""
    return [LoggedAttempt(webhook, *entry) for entry in json.loads(entries)]


def surplus(rows: Sequence[tuple[int, float]], last: int, most: int, before: float) -> Sequence[int]:
    """Return the numbers of those of the oldest rows of a webhook's log, with their times, that are let go.

    `last`: number of its newest attempt. `most`: how many it may hold; what is older than `before` goes as well.
    """
    return [number for number, _ in takewhile(lambda row: row[0] <= last - most or row[1] < before, rows)]


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
