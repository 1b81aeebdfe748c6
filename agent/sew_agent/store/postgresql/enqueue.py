"""Enqueueing within one transaction, a statement for each table."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from kubectl_sew.event import Event
from sew_agent.store import room
from sew_agent.store.postgresql.connections import Connection
from sew_agent.store.postgresql.webhooks import Deltas, add, change_counts, columns, count_dropped, total
from sew_agent.store.records import DropReason, EnqueueBatch, EnqueueResult, NewDelivery
from sew_agent.store.rows import seen_until, write_json

Pair = tuple[bytes, int]
"""Key of an event, and id of a webhook."""
_HELD = (
    "SELECT e.key, d.webhook FROM deliveries d JOIN events e ON e.id = d.event JOIN webhooks w ON w.id = d.webhook"
    " WHERE w.name = ANY(%s::text[]) AND e.key = ANY(%b::bytea[]) AND d.died_at {0}"
)
"""Deliveries of these events: each half has its index."""


def filled(db: Connection, max_bytes: int) -> Mapping[str, float]:
    """Return how full each webhook's share is. One that is gone for good has none unless it still fills some bytes."""
    sql = "SELECT name, bytes FROM webhooks WHERE bytes > 0 OR state IS NULL OR state <> ''"
    used: dict[str, int] = dict(db.execute(sql).fetchall())
    return room.filled(used, max_bytes, seen_bytes(db))


def seen_bytes(db: Connection) -> int:
    """Return the bytes that all seen events fill."""
    return total(db, "seen") * room.SEEN_EVENT


def enqueue(db: Connection, batch: EnqueueBatch, ids: Mapping[str, int], known_for: float) -> EnqueueResult:
    """Insert what is new; nothing is full."""
    first = _unseen(db, {new.event.key for new in batch.deliveries if new.suppressed})
    held = _held(db, [new for new in batch.deliveries if new.again])
    offered = [(ids[name], new) for new in batch.deliveries for name in new.all_webhooks]
    pairs = [(webhook, new) for webhook, new in offered if (new.event.key, webhook) not in held]
    left = _insert_seen(db, [(new.seen_key, webhook, _until(new, batch, known_for)) for webhook, new in pairs])
    again = [(new.event.key, webhook, _until(new, batch, known_for)) for webhook, new in offered if new.again]
    remembered = len(left) + len(_insert_seen(db, again))
    many, kept, suppressed = len(left), list[tuple[int, NewDelivery]](), set[bytes]()
    dropped = {DropReason.DEBUG: Counter[int](), DropReason.SUPPRESSED: Counter[int]()}
    for new in batch.deliveries:
        key = new.seen_key
        kept += [(webhook, new) for webhook in _taken(left, key, new.webhooks, ids)]
        dropped[DropReason.DEBUG].update(_taken(left, key, new.debug, ids))
        kept_back = _taken(left, key, new.suppressed, ids)
        dropped[DropReason.SUPPRESSED].update(kept_back)
        suppressed |= {key} & first if kept_back else set()
    if kept:
        change_counts(db, _insert_deliveries(db, kept, batch.read_at))
    for reason, counts in dropped.items():
        if counts:
            count_dropped(db, counts, reason)
    if remembered:
        add(db, "seen", remembered)
    return EnqueueResult(many, len(pairs) - many, suppressed=frozenset(suppressed))


def _taken(left: set[Pair], key: bytes, names: Sequence[str], ids: Mapping[str, int]) -> list[int]:
    """Take the pairs of an event with these webhooks from those that are left; return the webhooks' ids."""
    taken = [webhook for webhook in dict.fromkeys(map(ids.__getitem__, names)) if (key, webhook) in left]
    left.difference_update((key, webhook) for webhook in taken)
    return taken


def _unseen(db: Connection, keys: Collection[bytes]) -> set[bytes]:
    """Return those of the events that no webhook has seen."""
    if not keys:
        return set()
    seen = db.execute("SELECT DISTINCT event FROM seen WHERE event = ANY(%b::bytea[])", (list(keys),))
    return set(keys) - {bytes(event) for (event,) in seen}


def _held(db: Connection, again: Sequence[NewDelivery]) -> set[Pair]:
    """Return the pairs of these events with webhooks that are pending or dead."""
    if not again:
        return set()
    keys = [new.event.key for new in again]
    names = list({name for new in again for name in new.webhooks})
    rows = db.execute(f"{_HELD.format('IS NULL')} UNION ALL {_HELD.format('IS NOT NULL')}", (names, keys) * 2)
    return {(bytes(key), webhook) for key, webhook in rows}


def move_readers(db: Connection, positions: Mapping[str, str]) -> None:
    """Write the positions of readers."""
    db.execute(
        "INSERT INTO readers SELECT * FROM unnest(%s::text[], %s::text[])"
        " ON CONFLICT (name) DO UPDATE SET position = excluded.position",
        (list(positions), list(positions.values())),
    )


def _until(new: NewDelivery, batch: EnqueueBatch, known_for: float) -> float:
    return seen_until(batch.read_at, _time(new), known_for)


def _time(new: NewDelivery) -> float | None:
    return new.event.time if new.time is None else new.time


def _insert_seen(db: Connection, rows: Sequence[tuple[bytes, int, float]]) -> set[Pair]:
    """Insert pairs, and return those that were new."""
    if not rows:
        return set()
    cursor = db.execute(
        "INSERT INTO seen SELECT * FROM unnest(%b::bytea[], %s::bigint[], %s::float8[])"
        " ON CONFLICT DO NOTHING RETURNING event, webhook",
        columns(rows),
    )
    return {(bytes(event), webhook) for event, webhook in cursor}


def _insert_deliveries(db: Connection, kept: Sequence[tuple[int, NewDelivery]], read_at: float) -> dict[int, Deltas]:
    """Insert deliveries in their order; return by how much the counts of their webhooks rise."""
    references = Counter(new.event.key for _, new in kept)
    first = {new.event.key: new.event for _, new in kept}
    documents = {key: write_json(event.document).encode() for key, event in first.items()}
    events = _insert_events(db, first, documents, references)
    rows, deltas = list[tuple[object, ...]](), dict[int, Deltas]()
    for webhook, new in kept:
        size = len(documents[new.event.key]) + room.OVERHEAD
        rows.append((webhook, events[new.event.key], size, _time(new), bool(new.again)))
        rise = deltas.setdefault(webhook, Deltas())
        rise.pending += 1
        rise.bytes += size
    db.execute(
        "INSERT INTO deliveries (webhook, event, bytes, time, again, read_at)"
        " SELECT webhook, event, bytes, time, again, %s"
        " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::float8[], %s::boolean[]) WITH ORDINALITY"
        " AS d (webhook, event, bytes, time, again, place) ORDER BY place",
        (read_at, *columns(rows)),
    )
    return deltas


def _insert_events(
    db: Connection,
    first: Mapping[bytes, Event],
    documents: Mapping[bytes, bytes],
    references: Mapping[bytes, int],
) -> dict[bytes, int]:
    """Insert payloads that are not there yet; return the ids of all, by key."""
    rows = sorted(
        (key, _text(event.id), _text(event.index), documents[key], references[key]) for key, event in first.items()
    )
    cursor = db.execute(
        "INSERT INTO events (key, name, source, document, references_left)"
        " SELECT * FROM unnest(%b::bytea[], %b::bytea[], %b::bytea[], %b::bytea[], %s::bigint[])"
        " ON CONFLICT (key) DO UPDATE SET references_left = events.references_left + excluded.references_left"
        " RETURNING key, id",
        columns(rows),
    )
    return {bytes(key): number for key, number in cursor}


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
