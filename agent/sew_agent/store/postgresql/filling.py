"""Filling of an empty store with a whole one, in one transaction."""

from collections.abc import Iterable, Sequence
from typing import Any

from sew_agent.store.postgresql.connections import Connection
from sew_agent.store.postgresql.webhooks import plain

_UNUSED = "SELECT NOT EXISTS (SELECT 1 FROM webhooks) AND NOT EXISTS (SELECT 1 FROM readers)"


def is_unused(db: Connection) -> bool:
    """Return whether no agent has read or delivered with this store."""
    ((unused,),) = db.execute(_UNUSED).fetchall()
    return bool(unused)


def fill(db: Connection, tables: Iterable[tuple[str, str, Iterable[Sequence[Any]]]]) -> dict[str, int]:
    """Copy tables, each with its columns and rows; return how many rows each had."""
    db.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
    db.execute("DELETE FROM moments")  # the time of the first use is that of the store that comes
    copied: dict[str, int] = {}
    for name, columns, rows in tables:
        copied[name] = 0
        with db.cursor() as cursor, cursor.copy(f"COPY {name} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([plain(value) if isinstance(value, str) else value for value in row])
                copied[name] += 1
    db.execute("UPDATE amounts SET amount = (SELECT count(*) FROM seen) WHERE name = 'seen'")
    return copied


def go_on_after(db: Connection, numbers: Iterable[tuple[str, str, int]]) -> None:
    """Give no number again: `numbers` are table, column and the highest one that was ever given."""
    for table, column, last in numbers:
        if last:
            db.execute("SELECT setval(pg_get_serial_sequence(%s, %s), %s)", (table, column, last))
