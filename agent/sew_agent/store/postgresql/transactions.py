"""Transactions of a store: checked by what the agent owns, and counted where other processes must notice them."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from time import time
from typing import Any, TypeVar

from sew_agent.base.health import Heartbeat
from sew_agent.store.balance import READING
from sew_agent.store.postgresql.connections import Connection, Connections
from sew_agent.store.postgresql.filling import fill, go_on_after, is_unused
from sew_agent.store.postgresql.membership import AgentMembership, members
from sew_agent.store.records import Member, Ownership, StoreError
from sew_agent.store.rows import STEPS

Result = TypeVar("Result")

_VERSION_FOR = 0.1
"""Seconds for which the number of others' changes is not asked for again."""


class Transactions:
    """What a store of an agent, or of a command beside one (`membership` is None), does with its connections."""

    def __init__(
        self, connections: Connections, membership: AgentMembership | None, steady: Callable[[], float]
    ) -> None:
        self._connections = connections
        self._membership = membership
        self._steady = steady
        self._own_changes = 0
        self._version, self._version_until = 0, float("-inf")
        self._lock = threading.Lock()

    def ownership(self) -> Ownership:
        return self._membership.ownership() if self._membership else Ownership.LOST

    def sharing(self) -> AgentMembership | None:
        return self._membership if self._membership and not self._membership.alone else None

    def members(self) -> Sequence[Member]:
        return members(self._connections)

    def clock(self) -> float:
        return self._membership.clock() if self._membership else time()

    def heartbeats(self) -> Mapping[str, Heartbeat]:
        return {"store-lease": self._membership.heartbeat} if self._membership else {}

    def close(self) -> None:
        if self._membership:
            self._membership.close()
        self._connections.close()

    def version(self) -> int:
        """Return it as it was a tenth of a second ago at most: it is asked for before each delivery."""
        now = self._steady()
        if now >= self._version_until:
            ((changes,),) = self._connections.read("SELECT amount FROM amounts WHERE name = 'changes'")
            self._version, self._version_until = int(changes) - self._own_changes, now + _VERSION_FOR
        return self._version

    def fill(
        self, tables: Iterable[tuple[str, str, Iterable[Sequence[Any]]]], numbers: Iterable[tuple[str, str, int]]
    ) -> Mapping[str, int]:
        """Take in a whole store, in one transaction; return how many rows each table had. Raises StoreError.

        `numbers`: table, column and the highest number that was ever given there. This store must be unused.
        """

        def change(db: Connection) -> Mapping[str, int]:
            if not is_unused(db):
                raise StoreError(f"there is a store in {self._connections.place} already: nothing was changed")
            copied = fill(db, tables)
            go_on_after(db, numbers)
            return copied

        return self._write(change, long=True)

    def _write(
        self, change: Callable[[Connection], Result], *, owning: Collection[str] = (READING,), long: bool = False
    ) -> Result:
        """Change in one transaction, which fails where this agent does not own all of what is named."""
        membership = self._membership
        if membership is None:
            return self._connections.write(change, long=long)

        def fenced(db: Connection) -> Result:
            membership.check(db, owning)
            return change(db)

        return self._connections.write(fenced, long=long)

    def _changing(self, change: Callable[[Connection], Result], changes: Callable[[Result], bool]) -> Result:
        """Change what other processes must notice, and count it as our own: see `version`.

        In the moment between both, `version` differs once: what was read ahead is read again.
        """
        result = self._write(change)
        if changes(result):
            with self._lock:
                self._own_changes += 1
        return result

    def _repeat(self, step: Callable[[Connection], tuple[int, bool]]) -> int:
        """Run some steps, until one says that there is no more; return the sum of their counts."""
        whole = 0
        for _ in range(STEPS):
            count, more = self._write(step)
            whole += count
            if not more:
                break
        return whole
