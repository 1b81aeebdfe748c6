"""Rows of webhooks within a transaction: their ids, their counts, and the totals of the store."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from sew_agent.store.postgresql.connections import Connection
from sew_agent.store.records import DropReason, ReceiverState
from sew_agent.store.rows import write_json

_IDS = "SELECT name, id FROM webhooks WHERE name = ANY(%s)"
_NEW = (
    "WITH back AS (DELETE FROM gone WHERE name = ANY(%s) RETURNING name, id)"
    " INSERT INTO webhooks (name, id)"
    " SELECT new.name, coalesce(back.id, nextval(pg_get_serial_sequence('webhooks', 'id')))"
    " FROM unnest(%s::text[]) AS new (name) LEFT JOIN back USING (name)"
    " ON CONFLICT (name) DO NOTHING RETURNING name, id"
)


@dataclass(slots=True)
class Deltas:
    """Amounts by which the counts of one webhook change."""

    pending: int = 0
    dead: int = 0
    bytes: int = 0


def webhook_ids(db: Connection, names: Collection[str]) -> Mapping[str, int]:
    """Return each webhook's id, its old one where it comes back. No id is given to two names."""
    there: dict[str, int] = dict(db.execute(_IDS, (list(names),)).fetchall())
    if new := sorted(set(names) - there.keys()):
        there |= dict(db.execute(_NEW, (new, new)).fetchall())
        if len(there) < len(set(names)):  # another process was quicker
            there |= dict(db.execute(_IDS, (new,)).fetchall())
    return there


def record_receivers(db: Connection, receivers: Sequence[ReceiverState]) -> None:
    """Write the states of receivers."""
    webhook_ids(db, {receiver.webhook for receiver in receivers})
    states = columns((receiver.webhook, write_json(asdict(receiver))) for receiver in receivers)
    sql = "UPDATE webhooks w SET receiver = r.state FROM unnest(%s::text[], %s::text[]) AS r (name, state)"
    db.execute(f"{sql} WHERE w.name = r.name", states)


def lock_webhooks(db: Connection, names: Collection[str]) -> None:
    """Lock webhooks before their deliveries, always in one order, so that two transactions wait and do not lock up."""
    sql = "SELECT 1 FROM webhooks WHERE name = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
    db.execute(sql, (list(names),))


def change_counts(db: Connection, deltas: Mapping[int, Deltas]) -> None:
    """Change the counts of webhooks, by id, in the order of `lock_webhooks`."""
    if len(deltas) > 1:
        db.execute("SELECT 1 FROM webhooks WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", (list(deltas),))
    if deltas:
        db.execute(
            "UPDATE webhooks w SET pending = w.pending + d.pending, dead = w.dead + d.dead, bytes = w.bytes + d.bytes"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS d (id, pending, dead, bytes)"
            " WHERE w.id = d.id",
            columns((webhook, delta.pending, delta.dead, delta.bytes) for webhook, delta in deltas.items()),
        )


def count_dropped(db: Connection, counts: Mapping[int, int], reason: DropReason) -> None:
    """Add to the dropped counts of webhooks, by id."""
    db.execute(
        "INSERT INTO dropped SELECT id, %s, n FROM unnest(%s::bigint[], %s::bigint[]) AS c (id, n) ORDER BY id"
        " ON CONFLICT (webhook, reason) DO UPDATE SET count = dropped.count + excluded.count",
        (reason.value, list(counts), list(counts.values())),
    )


def add(db: Connection, name: str, more: int) -> None:
    """Add to one of the totals of the store: last in a transaction, since others wait for it."""
    db.execute("UPDATE amounts SET amount = amount + %s WHERE name = %s", (more, name))


def total(db: Connection, name: str) -> int:
    """Return one of the totals of the store."""
    ((amount,),) = db.execute("SELECT amount FROM amounts WHERE name = %s", (name,)).fetchall()
    return int(amount)


def plain(text: str) -> str:
    """Return a text for people without what PostgreSQL's `text` cannot hold."""
    return text.encode("utf-8", "replace").decode().replace("\0", "�")


def columns(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    """Return the columns of some rows, for `unnest`."""
    return [list(column) for column in zip(*rows, strict=True)]
