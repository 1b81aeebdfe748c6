"""An agent among all that share a store: its row with an end, and what it owns, each with a token.

Times are the server's. What an agent owns is its own until it releases it, or until its row has ended and another one
has removed that: then its token is another one's, and so nothing more of it can be written.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from sew_agent.base.health import Heartbeat
from sew_agent.base.threads import start_thread
from sew_agent.store.balance import READING, Owned, Shares
from sew_agent.store.postgresql.clock import DatabaseClock
from sew_agent.store.postgresql.connections import Connection, Connections
from sew_agent.store.records import Member, Ownership, StoreError, StoreHeldError

LASTS = 10.0
"""Seconds after which others may take over from an agent that is not heard of."""
RENEWED_EVERY = 2.5
_LONGEST_STEP = 120.0
"""Seconds between two heartbeats at most: a renewal is tried five times, each on several hosts where there are."""
_READINGS = 3
"""Readings of the clock at the start: joining takes long, and the quickest answer proves most."""
_JOIN_LOCK = int.from_bytes(b"sewagent")
"""Key of the advisory lock under which an agent joins."""

_END_SESSIONS = (
    # A transaction of an agent that is paused or cut off may hold its rows for ever: the server's own limits do not
    # end a pipeline that waits for its next statement.
    "SELECT pg_terminate_backend(s.pid) FROM pg_stat_activity s, store_schema t"
    " WHERE s.datname = current_database() AND s.usename = current_user AND s.pid <> pg_backend_pid()"
    " AND left(s.application_name, 46) = 'sew-agent ' || t.identity AND NOT EXISTS (SELECT 1 FROM agents a"
    " WHERE a.until > clock_timestamp() AND s.application_name = concat('sew-agent ', t.identity, ' ', a.id))"
)
_REMOVE_ENDED = "DELETE FROM agents WHERE until < clock_timestamp()"
_IN_THE_WAY = (
    "SELECT name FROM agents WHERE alone OR %s"
    " UNION ALL SELECT owner FROM leases WHERE until > clock_timestamp() AND owner <> %s LIMIT 1"
)
_JOIN = (
    "INSERT INTO agents (name, until, alone) VALUES (%s, clock_timestamp() + %s * interval '1 second', %s)"
    " RETURNING id, extract(epoch FROM clock_timestamp())::float8"
)
_RENEW = (
    "UPDATE agents SET until = clock_timestamp() + %s * interval '1 second' WHERE id = %s"
    " RETURNING extract(epoch FROM clock_timestamp())::float8"
)
_ALIVE = "SELECT id, name, leaving, backs_off_until > clock_timestamp() FROM agents WHERE until > clock_timestamp()"
_BACK_OFF = "UPDATE agents SET backs_off_until = clock_timestamp() + %s * interval '1 second' WHERE id = %s"
_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
_CLAIM = (
    # by the owner that was seen: one that came and claimed since is not known to this statement
    "UPDATE owned o SET owner = %s, token = nextval('tokens') FROM unnest(%s::text[], %s::bigint[]) AS c (name, owner)"
    " WHERE o.name = c.name AND o.wanted AND o.owner IS NOT DISTINCT FROM c.owner"
    " AND (o.owner = %s OR NOT EXISTS (SELECT 1 FROM agents a WHERE a.id = o.owner)) RETURNING o.name, o.token"
)
# The checks divide by zero where something is another's: an error ends the transaction without a wait for an answer.
_CHECK = (
    "SELECT 1 / ((SELECT count(*) FROM (SELECT 1 FROM unnest(%s::text[], %s::bigint[]) AS t (name, token)"
    " JOIN owned o ON o.name = t.name AND o.token = t.token FOR KEY SHARE OF o) AS held) = %s)::int"
)
_CHECK_ALONE = "SELECT 1 / (SELECT count(*) FROM (SELECT 1 FROM agents WHERE id = %s FOR KEY SHARE) AS held)"


class AgentMembership:
    """Membership of one agent, from `join` until `close`. Thread-safe."""

    def __init__(self, connections: Connections, name: str, steady: Callable[[], float], *, alone: bool) -> None:
        """`name`: of the agent. One that has it already is that agent itself, from before its restart.

        `steady`: seconds of a clock that nobody sets. `alone`: no other agent may be there, and all is its own.
        """
        self._connections = connections
        self._name = name
        self._steady = steady
        self._alone = alone
        self._me = 0
        self._until = 0.0
        self._lost = False
        self._tokens: dict[str, int] = {}
        """Tokens of what it owns; replaced as a whole."""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.clock = DatabaseClock(steady)
        self.heartbeat = Heartbeat(_LONGEST_STEP, steady)

    @property
    def alone(self) -> bool:
        """True where all is this agent's own."""
        return self._alone

    @property
    def me(self) -> int:
        """The agent's number."""
        return self._me

    @property
    def held(self) -> Collection[str]:
        """Names of what this agent owns."""
        return self._tokens.keys()

    @property
    def reads(self) -> bool:
        """True where this agent is the one that reads."""
        return READING in self._tokens

    def join(self) -> None:
        """Join the others. Raises StoreHeldError where one of them, or this one, is to be alone."""
        self._connections.read(_END_SESSIONS)
        asked = self._steady()

        def change(db: Connection) -> tuple[str, int, float]:
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_JOIN_LOCK,))
            db.execute(f"{_REMOVE_ENDED} OR name = %s", (self._name,))
            if others := db.execute(_IN_THE_WAY, (self._alone, self._name)).fetchall():
                return others[0][0], 0, 0.0
            ((number, at),) = db.execute(_JOIN, (self._name, LASTS, self._alone)).fetchall()
            return "", number, at

        holder, self._me, at = self._connections.write(change)
        if holder:
            raise StoreHeldError(f"the store in {self._connections.place} is used by another agent, {holder}", holder)
        self._heard(asked, at)
        ((store,),) = self._connections.read("SELECT identity::text FROM store_schema")
        self._connections.name_sessions(f"sew-agent {store} {self._me}")
        for _ in range(_READINGS):
            asked = self._steady()
            ((at,),) = self._connections.read(_NOW)
            self.clock.heard(asked, self._steady(), at)

    def keep(self) -> None:
        """Renew it from now on, in a thread of its own. Raises NoThreadError."""
        start_thread(self._renew_until_ended, "store-lease")

    def renew(self) -> None:
        """Make it last longer. Raises StoreError; then it is renewed later, if nobody else has ended it."""
        asked = self._steady()
        rows = self._connections.write(lambda db: db.execute(_RENEW, (LASTS, self._me)).fetchall())
        if rows:
            self._heard(asked, rows[0][0])
        else:
            self._lost = True

    def ownership(self) -> Ownership:
        """Return whether this agent may send what it owns: no other one can have taken that over yet."""
        if self._lost:
            return Ownership.LOST
        return Ownership.HELD if self._steady() < self._until else Ownership.UNSURE

    def check(self, db: Connection, names: Collection[str]) -> None:
        """Make a transaction fail that is not this agent's to make; another one gets these only after its end.

        Raises StoreError where this agent has given one of them up.
        """
        if self._alone:
            db.execute(_CHECK_ALONE, (self._me,))
            return
        tokens = self._tokens
        if not tokens.keys() >= set(names):
            raise StoreError(f"this agent does not own what it would change in {self._connections.place}")
        db.execute(_CHECK, (list(names), [tokens[name] for name in names], len(names)))

    def shares(self) -> Shares:
        """Return who is alive, and what there is to own. Raises StoreError."""
        read = self._connections.read
        agents = read(_ALIVE)
        owned = read("SELECT name, owner, wanted FROM owned")
        return Shares(
            {number: name for number, name, _, _ in agents},
            {number for number, _, leaves, _ in agents if leaves},
            [Owned(*row) for row in owned],
            {number for number, _, _, backs_off in agents if backs_off},
        )

    def want(self, webhooks: Collection[str]) -> None:
        """Let these webhooks, and no others, be owned from now on; who reads says so. Raises StoreError."""
        names = sorted(webhooks)

        def change(db: Connection) -> None:
            self.check(db, [READING])
            db.execute(
                "INSERT INTO owned (name) SELECT * FROM unnest(%s::text[])"
                " ON CONFLICT (name) DO UPDATE SET wanted = true WHERE NOT owned.wanted",
                (names,),
            )
            db.execute(
                "UPDATE owned SET wanted = false WHERE wanted AND name <> %s AND NOT name = ANY(%s)", (READING, names)
            )
            db.execute(
                "DELETE FROM owned WHERE NOT wanted AND NOT EXISTS (SELECT 1 FROM agents a WHERE a.id = owned.owner)"
            )

        self._connections.write(change)

    def claim(self, wanted: Sequence[Owned]) -> None:
        """Take what nobody alive has; what another agent takes at the same time is one's alone. Raises StoreError."""
        if not wanted:
            return
        if any(one.owner not in (None, self._me) for one in wanted):
            self._connections.read(_END_SESSIONS)
        values = (self._me, [one.name for one in wanted], [one.owner for one in wanted], self._me)

        def change(db: Connection) -> dict[str, int]:
            db.execute(_CHECK_ALONE, (self._me,))
            db.execute(_REMOVE_ENDED)
            return dict(db.execute(_CLAIM, values).fetchall())

        claimed = self._connections.write(change)
        with self._lock:
            self._tokens = {**self._tokens, **claimed}

    def release(self, names: Collection[str]) -> None:
        """Give up what is sent no more: another agent may have it at once. Raises StoreError; then it is nobody's."""
        if not names:
            return
        with self._lock:
            self._tokens = {name: token for name, token in self._tokens.items() if name not in names}
        values = (list(names), self._me)

        def change(db: Connection) -> None:
            db.execute("DELETE FROM owned WHERE name = ANY(%s) AND owner = %s AND NOT wanted", values)
            db.execute("UPDATE owned SET owner = NULL WHERE name = ANY(%s) AND owner = %s", values)

        self._connections.write(change)

    def say(self, text: str) -> None:
        """Let the others read this. Raises StoreError."""
        sql = "UPDATE agents SET said = %s WHERE id = %s"
        self._connections.write(lambda db: db.execute(sql, (text, self._me)))

    def back_off(self, seconds: float) -> None:
        """Let the others read for so long, if any of them can. Raises StoreError."""
        self._connections.write(lambda db: db.execute(_BACK_OFF, (seconds, self._me)))

    def leave(self) -> None:
        """Let the others know that this agent is about to end. Raises StoreError."""
        sql = "UPDATE agents SET leaving = true WHERE id = %s"
        self._connections.write(lambda db: db.execute(sql, (self._me,)))

    def close(self) -> None:
        """Leave all to the others at once."""
        self._ended.set()
        with suppress(StoreError):
            self._connections.write(lambda db: db.execute("DELETE FROM agents WHERE id = %s", (self._me,)))

    def _heard(self, asked: float, at: float) -> None:
        self.clock.heard(asked, self._steady(), at)
        self._until = asked + LASTS

    def _renew_until_ended(self) -> None:
        try:
            while not self._ended.wait(RENEWED_EVERY):
                self.heartbeat.beat()
                with suppress(StoreError):
                    self.renew()
        except Exception as error:  # noqa: BLE001 - whatever it is, the agent's health must say that it sends nothing more
            self.heartbeat.fail(error)


def members(connections: Connections) -> Sequence[Member]:
    """Return the agents that are alive, by name, with what each owns. Raises StoreError."""
    agents = connections.read("SELECT id, name, said, alone FROM agents WHERE until > clock_timestamp() ORDER BY name")
    owned: dict[int, list[str]] = {}
    for name, owner in connections.read("SELECT name, owner FROM owned WHERE owner IS NOT NULL ORDER BY name"):
        owned.setdefault(owner, []).append(name)
    return [
        Member(name, alone or READING in owned.get(number, ()), tuple(filter(None, owned.get(number, ()))), said)
        for number, name, said, alone in agents
    ]
