"""Shifts of first attempts: each counts once, also where a commit was made and its answer lost."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sew_agent.store.postgresql.connections import Connection
from sew_agent.store.postgresql.webhooks import lock_webhooks


class Shifts:
    """Shifts of the webhooks that this agent owns: nobody else changes them meanwhile. Thread-safe.

    One whose outcome is not known is made again by who asked for it: then it begins where the first one did.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before: dict[str, float] = {}
        """Webhook -> seconds before a shift that may have been made, or not."""

    @contextmanager
    def making(self, shifts: Sequence[tuple[str, float]]) -> Iterator[Mapping[str, float]]:
        """Give the seconds of each webhook for `shift`; they count as made where nothing is raised."""
        seconds: dict[str, float] = {}
        for name, more in shifts:
            seconds[name] = seconds.get(name, 0.0) + max(more, 0.0)
        if not any(seconds.values()):
            yield {}
            return
        with self._lock:
            yield seconds
            for name in seconds:
                self._before.pop(name, None)

    def shift(self, db: Connection, seconds: Mapping[str, float]) -> None:
        """Take time during which nothing was sent off the retry horizon of all that was tried before."""
        if not seconds:
            return
        lock_webhooks(db, seconds.keys())
        sql = "SELECT name, shifted FROM webhooks WHERE name = ANY(%s)"
        for name, shifted in db.execute(sql, (list(seconds),)).fetchall():
            until = self._before.setdefault(name, shifted) + seconds[name]
            db.execute("UPDATE webhooks SET shifted = %s WHERE name = %s", (until, name))
