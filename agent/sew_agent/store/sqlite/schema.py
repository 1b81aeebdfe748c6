"""Schema of the database. Names in it are older than today's words, and stay: databases have them.

readers     position of each reader: an opaque text of its source.
webhooks    a row for each webhook: counters, bytes that its deliveries fill, last error, seconds by which its first
            attempts are shifted; as JSON its record (`known`) and its receiver's state (`lane`).
gone        id and name of webhooks that were removed: one that comes back gets its id, and nothing twice.
dropped     how many deliveries were dropped, by webhook and reason.
events      payloads of events with a delivery that is pending or dead, and how many (`owed`).
deliveries  pending ones, and dead letters: those have `died_at`. `time` is the event's own; `again`: a replay
            sends it once more. `digest`: id of the digest that holds it, and may have been sent.
released    events of deliveries that ended and are still counted in `events.owed`: one row each.
pairs       seen events: which webhook has seen which event key, and until when that is remembered.
amounts     totals: rows in `pairs`, and the highest id of a webhook that was ever given (`ids`).
moments     the time of the first use.
acts        the last hundred manual actions.
attempts    the log of deliveries: rows of the newest attempts of each webhook, as JSON. Attempts are numbered
            without a gap; `number` and `at` are those of a row's last one.
"""

import sqlite3
from pathlib import Path

from sew_agent.store.records import StoreError
from sew_agent.store.sqlite.errors import damaged

MIGRATIONS = (
    """
    CREATE TABLE readers (name TEXT PRIMARY KEY, position TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE webhooks (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
        delivered INTEGER NOT NULL DEFAULT 0, pending INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0, last_delivered_at REAL, last_error TEXT NOT NULL DEFAULT '',
        known TEXT, lane TEXT
    );
    CREATE TABLE dropped (
        webhook INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (webhook, reason)
    ) WITHOUT ROWID;
    CREATE TABLE pairs (
        event BLOB NOT NULL, webhook INTEGER NOT NULL, until REAL NOT NULL, PRIMARY KEY (event, webhook)
    ) WITHOUT ROWID;
    CREATE INDEX pairs_until ON pairs (until);
    CREATE TABLE events (
        id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, name TEXT NOT NULL, source TEXT NOT NULL,
        document BLOB NOT NULL, owed INTEGER NOT NULL
    );
    CREATE TABLE deliveries (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, webhook INTEGER NOT NULL, event INTEGER NOT NULL, bytes INTEGER NOT NULL,
        read_at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, first_attempt REAL, due REAL NOT NULL DEFAULT 0,
        in_doubt INTEGER NOT NULL DEFAULT 0, died_at REAL,
        reason TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX deliveries_pending ON deliveries (webhook, seq) WHERE died_at IS NULL;
    CREATE INDEX deliveries_dead ON deliveries (webhook, seq) WHERE died_at IS NOT NULL;
    """,
    """
    CREATE TABLE moments (name TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
    ALTER TABLE deliveries ADD COLUMN time REAL;
    CREATE INDEX deliveries_oldest ON deliveries (webhook, time) WHERE died_at IS NULL AND time IS NOT NULL;
    """,
    "CREATE TABLE released (event INTEGER NOT NULL);",
    """
    CREATE INDEX deliveries_fresh ON deliveries (webhook, seq) WHERE died_at IS NULL AND attempts = 0;
    CREATE INDEX deliveries_tried ON deliveries (webhook, due) WHERE died_at IS NULL AND attempts > 0;
    """,
    """
    ALTER TABLE webhooks ADD COLUMN shifted REAL NOT NULL DEFAULT 0;
    CREATE INDEX deliveries_died ON deliveries (died_at) WHERE died_at IS NOT NULL;
    CREATE TABLE gone (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, at REAL NOT NULL);
    CREATE INDEX gone_at ON gone (at);
    CREATE TABLE amounts (name TEXT PRIMARY KEY, amount INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO amounts SELECT 'pairs', count(*) FROM pairs;
    INSERT INTO amounts SELECT 'ids', coalesce(max(id), 0) FROM webhooks;
    UPDATE pairs SET until = strftime('%s', 'now') + 2678400.0 WHERE until > strftime('%s', 'now') + 2678400.0;
    CREATE TABLE acts (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
        webhook TEXT NOT NULL, count INTEGER NOT NULL
    );
    """,
    "ALTER TABLE webhooks ADD COLUMN last_error_at REAL;",
    """
    CREATE TABLE attempts (
        webhook INTEGER NOT NULL, number INTEGER NOT NULL, at REAL NOT NULL, entries TEXT NOT NULL,
        PRIMARY KEY (webhook, number)
    ) WITHOUT ROWID;
    """,
    "ALTER TABLE deliveries ADD COLUMN again INTEGER NOT NULL DEFAULT 0;",
    """
    ALTER TABLE deliveries ADD COLUMN digest TEXT NOT NULL DEFAULT '';
    CREATE INDEX deliveries_digest ON deliveries (webhook, digest, seq) WHERE died_at IS NULL AND digest <> '';
    """,
)
"""Steps, one for each version of the schema; a store of an older version takes those that are missing."""


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise damaged(path, "it is not a store of this agent")
    for number, step in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {number}; COMMIT;")


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError where the store is of another version: a command changes no schema beside an agent."""
    version = _version(connection)
    if version < len(MIGRATIONS):
        raise StoreError(
            f"the store {path} was written by an older agent (schema {version}, this one needs {len(MIGRATIONS)}): "
            "use the `sew-agent` of that agent's version, or start an agent of this one, which brings it up to date"
        )
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the store {path} was written by a newer agent (schema {version}, this one knows {len(MIGRATIONS)}): "
            "run that version, or move the folder away"
        )


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
