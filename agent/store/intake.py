"""What is taken in within one transaction, and for whom there is room."""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence

from agent.store.base import DropReason, Owed
from agent.store.ending import count_dropped
from kubectl_sew.event import Event

OVERHEAD = 300
"""Bytes that a delivery takes beside its event's payload."""
LEAST_SHARE = 0.05

write_json = json.JSONEncoder(separators=(",", ":")).encode


def room(db: sqlite3.Connection, max_bytes: int) -> Mapping[str, float]:
    """Webhook -> how full its share is. One that was deleted for good has none unless it fills something still."""
    sql = "SELECT name, bytes FROM webhooks WHERE bytes > 0 OR known IS NULL OR json_extract(known, '$.state') != ''"
    used = dict(db.execute(sql).fetchall())
    return {name: used[name] / share if share else 1.0 for name, share in shares(used, max_bytes).items()}


def shares(used: Mapping[str, int], max_bytes: int) -> Mapping[str, float]:
    """Webhook -> bytes that it may fill: an even part of what others leave, at least 5 % while there is room."""
    whole = sum(used.values())
    if whole >= max_bytes:
        return dict.fromkeys(used, 0.0)
    least = LEAST_SHARE * max_bytes
    return {name: max((max_bytes - whole + size) / len(used), least) for name, size in used.items()}


class Intaker:
    """Takes in events within one transaction, and counts."""

    def __init__(self, db: sqlite3.Connection, ids: Mapping[str, int], read_at: float, known_for: float) -> None:
        self._db, self._ids, self._read_at, self._known_for = db, ids, read_at, known_for
        self.new = 0
        self.known = 0
        self._pending: Counter[int] = Counter()
        self._bytes: Counter[int] = Counter()
        self._debug: Counter[int] = Counter()

    def take(self, owed: Owed) -> None:
        key = owed.event.key
        time = owed.event.time if owed.time is None else owed.time
        until = max(self._read_at, time or 0.0) + self._known_for
        webhooks = [each for each in map(self._ids.__getitem__, owed.webhooks) if self._is_new(key, each, until)]
        self._debug.update(each for each in map(self._ids.__getitem__, owed.debug) if self._is_new(key, each, until))
        if webhooks:
            self._keep(key, owed.event, webhooks, time)

    def count(self) -> None:
        for webhook, count in self._pending.items():
            sql = "UPDATE webhooks SET pending = pending + ?, bytes = bytes + ? WHERE id = ?"
            self._db.execute(sql, (count, self._bytes[webhook], webhook))
        for webhook, count in self._debug.items():
            count_dropped(self._db, webhook, DropReason.DEBUG, count)

    def _is_new(self, key: bytes, webhook: int, until: float) -> bool:
        new = self._db.execute("INSERT OR IGNORE INTO pairs VALUES (?, ?, ?)", (key, webhook, until)).rowcount == 1
        self.new += new
        self.known += not new
        return new

    def _keep(self, key: bytes, event: Event, webhooks: Sequence[int], time: float | None) -> None:
        document = write_json(event.document).encode()
        sql = (
            "INSERT INTO events (key, name, source, document, owed) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET owed = owed + excluded.owed RETURNING id"
        )
        ((row,),) = self._db.execute(sql, (key, event.id, event.index, document, len(webhooks))).fetchall()
        size = len(document) + OVERHEAD
        for webhook in webhooks:
            sql = "INSERT INTO deliveries (webhook, event, bytes, read_at, time) VALUES (?, ?, ?, ?, ?)"
            self._db.execute(sql, (webhook, row, size, self._read_at, time))
            self._pending[webhook] += 1
            self._bytes[webhook] += size
