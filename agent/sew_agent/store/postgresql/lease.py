"""The right of one agent to write: a row with a token and an end, checked in the transaction of every change."""

import threading
from collections.abc import Callable
from contextlib import suppress

from sew_agent.base.health import Heartbeat
from sew_agent.base.threads import start_thread
from sew_agent.store.postgresql.connections import Connection, Connections
from sew_agent.store.records import Ownership, StoreError, StoreHeldError

LASTS = 10.0
"""Seconds after which another agent may take over from one that is not heard of."""
RENEWED_EVERY = 2.5
_LONGEST_STEP = 120.0
"""Seconds between two heartbeats at most: a renewal is tried five times, each on several hosts where there are."""

_TAKE = (
    "INSERT INTO leases VALUES ('agent', 1, %s, clock_timestamp() + %s * interval '1 second')"
    " ON CONFLICT (name) DO UPDATE SET token = leases.token + 1, owner = excluded.owner, until = excluded.until"
    " WHERE leases.until < clock_timestamp() OR leases.owner = excluded.owner RETURNING token"
)
_RENEW = (
    "UPDATE leases SET until = clock_timestamp() + %s * interval '1 second'"
    " WHERE name = 'agent' AND token = %s RETURNING token"
)
_CHECK = (
    # It divides by zero where the token is another's: an error ends the transaction without a wait for an answer.
    "SELECT 1 / (SELECT count(*) FROM (SELECT 1 FROM leases WHERE name = 'agent' AND token = %s FOR KEY SHARE) AS held)"
)


class StoreLease:
    """Lease of one agent, from `take` until `release`. `steady`: seconds of a clock that nobody sets."""

    def __init__(self, connections: Connections, owner: str, steady: Callable[[], float]) -> None:
        """`owner`: name of the agent. One that has it already is that agent's own, from before its restart."""
        self._connections = connections
        self._owner = owner
        self._steady = steady
        self._token = 0
        self._until = 0.0
        self._lost = False
        self._ended = threading.Event()
        self.heartbeat = Heartbeat(_LONGEST_STEP, steady)

    def take(self) -> None:
        """Take it. Raises StoreHeldError where another agent has it."""
        asked = self._steady()
        rows = self._connections.write(lambda db: db.execute(_TAKE, (self._owner, LASTS)).fetchall())
        if not rows:
            ((holder,),) = self._connections.read("SELECT owner FROM leases WHERE name = 'agent'")
            raise StoreHeldError(f"the store in {self._connections.place} is used by another agent, {holder}", holder)
        self._token, self._until = rows[0][0], asked + LASTS

    def keep(self) -> None:
        """Renew it from now on, in a thread of its own. Raises NoThreadError."""
        start_thread(self._renew_until_ended, "store-lease")

    def renew(self) -> None:
        """Make it last longer. Raises StoreError; then it is renewed later, if nobody else has taken it."""
        asked = self._steady()
        if self._connections.write(lambda db: db.execute(_RENEW, (LASTS, self._token)).fetchall()):
            self._until = asked + LASTS
        else:
            self._lost = True

    def ownership(self) -> Ownership:
        """Return whether this agent may send: no other one can have taken over yet."""
        if self._lost:
            return Ownership.LOST
        return Ownership.HELD if self._steady() < self._until else Ownership.UNSURE

    def check(self, db: Connection) -> None:
        """Make a transaction fail that is not this agent's to make; another agent takes over only after its end."""
        db.execute(_CHECK, (self._token,))

    def release(self) -> None:
        """Leave it to the next agent at once."""
        self._ended.set()
        with suppress(StoreError):
            self._connections.write(
                lambda db: db.execute(
                    "UPDATE leases SET until = '-infinity' WHERE name = 'agent' AND token = %s", (self._token,)
                )
            )

    def _renew_until_ended(self) -> None:
        try:
            while not self._ended.wait(RENEWED_EVERY):
                self.heartbeat.beat()
                with suppress(StoreError):
                    self.renew()
        except Exception as error:  # noqa: BLE001 - whatever it is, the agent's health must say that it sends nothing more
            self.heartbeat.fail(error)
