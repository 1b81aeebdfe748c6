"""Enqueueing within one transaction."""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence

from sew_agent.store.records import DropReason, NewDelivery
from sew_agent.store.room import OVERHEAD, filled
from sew_agent.store.rows import seen_until, write_json
from sew_agent.store.sqlite.results import count_dropped
from sew_agent.store.sqlite.upkeep import add, seen_bytes


def room(db: sqlite3.Connection, max_bytes: int) -> Mapping[str, float]:
    """Return how full each webhook's share is. One that is gone for good has none unless it still fills some bytes.

    Seen events fill room, too.
    """
    sql = "SELECT name, bytes FROM webhooks WHERE bytes > 0 OR known IS NULL OR json_extract(known, '$.state') != ''"
    used = dict(db.execute(sql).fetchall())
    return filled(used, max_bytes, seen_bytes(db))


class Enqueuer:
    """Insertion of new deliveries within one transaction. Counters are written at the end, once for each webhook."""

    def __init__(self, db: sqlite3.Connection, ids: Mapping[str, int], read_at: float, known_for: float) -> None:
        self._db, self._ids, self._read_at, self._known_for = db, ids, read_at, known_for
        self.new = 0
        self._remembered = 0
        self.duplicates = 0
        self._pending: Counter[int] = Counter()
        self._bytes: Counter[int] = Counter()
        self._dropped: dict[DropReason, Counter[int]] = {DropReason.DEBUG: Counter(), DropReason.SUPPRESSED: Counter()}
        self.suppressed: set[bytes] = set()
        """Keys of the suppressed events that no webhook had seen before."""

    def add(self, new: NewDelivery) -> None:
        key = new.event.key
        time = new.event.time if new.time is None else new.time
        until = seen_until(self._read_at, time, self._known_for)
        first = bool(new.suppressed) and not self._is_seen(key)
        webhooks = self._new_again(new, until) if new.again else self._new(key, new.webhooks, until)
        self._dropped[DropReason.DEBUG].update(self._new(key, new.debug, until))
        suppressed = self._new(key, new.suppressed, until)
        self._dropped[DropReason.SUPPRESSED].update(suppressed)
        if first and suppressed:
            self.suppressed.add(key)
        if webhooks:
            self._insert(new, webhooks, time)

    def write_counts(self) -> None:
        add(self._db, "pairs", self._remembered)
        for webhook, count in self._pending.items():
            sql = "UPDATE webhooks SET pending = pending + ?, bytes = bytes + ? WHERE id = ?"
            self._db.execute(sql, (count, self._bytes[webhook], webhook))
        for reason, counts in self._dropped.items():
            for webhook, count in counts.items():
                count_dropped(self._db, webhook, reason, count)

    def _is_seen(self, key: bytes) -> bool:
        return self._db.execute("SELECT 1 FROM pairs WHERE event = ? LIMIT 1", (key,)).fetchone() is not None

    def _new(self, key: bytes, webhooks: Sequence[str], until: float) -> list[int]:
        """Return the ids of those webhooks that had not seen the event."""
        return [id_ for id_ in map(self._ids.__getitem__, webhooks) if self._is_new(key, id_, until)]

    def _new_again(self, new: NewDelivery, until: float) -> list[int]:
        """Return the ids of those webhooks that this replay has not given the event yet, and that do not hold it."""
        payload = self._db.execute("SELECT id FROM events WHERE key = ?", (new.event.key,)).fetchone()
        ids = []
        for webhook in map(self._ids.__getitem__, new.webhooks):
            self._remember(new.event.key, webhook, until)
            if not (payload and self._holds(webhook, *payload)) and self._is_new(new.seen_key, webhook, until):
                ids.append(webhook)
        return ids

    def _holds(self, webhook: int, event: int) -> bool:
        """Return whether an event is pending or dead for a webhook; each half has its index."""
        half = "SELECT 1 FROM deliveries WHERE webhook = ? AND event = ? AND died_at"
        sql = f"{half} IS NULL UNION ALL {half} IS NOT NULL LIMIT 1"
        return self._db.execute(sql, (webhook, event, webhook, event)).fetchone() is not None

    def _is_new(self, key: bytes, webhook: int, until: float) -> bool:
        new = self._remember(key, webhook, until)
        self.new += new
        self.duplicates += not new
        return new

    def _remember(self, key: bytes, webhook: int, until: float) -> bool:
        """Remember a pair, and return whether it was new."""
        new = self._db.execute("INSERT OR IGNORE INTO pairs VALUES (?, ?, ?)", (key, webhook, until)).rowcount == 1
        self._remembered += new
        return new

    def _insert(self, new: NewDelivery, webhooks: Sequence[int], time: float | None) -> None:
        event, again = new.event, bool(new.again)
        document = write_json(event.document).encode()
        sql = (
            "INSERT INTO events (key, name, source, document, owed) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET owed = owed + excluded.owed RETURNING id"
        )
        ((row,),) = self._db.execute(sql, (event.key, event.id, event.index, document, len(webhooks))).fetchall()
        size = len(document) + OVERHEAD
        for webhook in webhooks:
            sql = "INSERT INTO deliveries (webhook, event, bytes, read_at, time, again) VALUES (?, ?, ?, ?, ?, ?)"
            self._db.execute(sql, (webhook, row, size, self._read_at, time, again))
            self._pending[webhook] += 1
            self._bytes[webhook] += size
