"""Deliveries that a person, or a webhook's end, changes: in batches, so that nobody waits for long."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sew_agent.store.postgresql.connections import Connection
from sew_agent.store.postgresql.results import Row
from sew_agent.store.postgresql.webhooks import add, lock_webhooks
from sew_agent.store.rows import AT_ONCE, EVER

Change = Callable[[Connection, Sequence[Row]], None]
Write = Callable[[Callable[[Connection], tuple[int, int, int]]], tuple[int, int, int]]
"""Runs a change in one transaction."""

_PENDING = (
    "SELECT seq, webhook, event, bytes, read_at FROM deliveries WHERE died_at IS NULL"
    " AND (webhook, seq) > ((SELECT id FROM webhooks WHERE name = %s), %s)"
    " AND (webhook, seq) <= ((SELECT id FROM webhooks WHERE name = %s), %s) ORDER BY webhook, seq LIMIT %s FOR UPDATE"
)
_DEAD = _PENDING.replace("IS NULL", "IS NOT NULL")
_CHOSEN = (
    "SELECT seq, webhook, event, d.bytes FROM deliveries d JOIN webhooks w ON w.id = d.webhook"
    " WHERE seq = ANY(%s) AND died_at IS NOT NULL AND name = coalesce(%s, name) ORDER BY seq FOR UPDATE OF d"
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Deliveries of a webhook that are pending (or dead), not after `last`, and were read before `before`."""

    webhook: str
    last: int
    before: float = EVER
    dead: bool = False


def change_deliveries(write: Write, chosen: Chosen, change: Change, most: float = EVER) -> int:
    """Change these deliveries in batches; return how many, about `most`."""
    seq, changed = 0, 0

    def step(db: Connection) -> tuple[int, int, int]:
        lock_webhooks(db, [chosen.webhook])
        sql = _DEAD if chosen.dead else _PENDING
        rows = db.execute(sql, (chosen.webhook, seq, chosen.webhook, chosen.last, AT_ONCE)).fetchall()
        done = changed_rows(db, [row[:4] for row in rows if row[4] < chosen.before], change)
        return done, len(rows), rows[-1][0] if rows else 0

    while changed < most:
        done, read, seq = write(step)
        changed += done
        if read < AT_ONCE:
            break
    return changed


def change_chosen(db: Connection, numbers: Sequence[int], webhook: str | None, change: Change) -> int:
    """Change the dead letters among these numbers; return how many there were."""
    return changed_rows(db, db.execute(_CHOSEN, (list(numbers), webhook)).fetchall(), change)


def changed_rows(db: Connection, rows: Sequence[Row], change: Change) -> int:
    """Change these rows, let other processes notice, and return their number."""
    if rows:
        change(db, rows)
        add(db, "changes", 1)
    return len(rows)
