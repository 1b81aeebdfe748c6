"""An agent that gets the Lease after another one had it starts as one with a fresh store does.

It reads again from where the other was, and what it knows already is not taken twice. What it owes it still sends: that
the other sent it, too, cannot be known, and receivers get the same id. One that is refused now begins there when it is
valid again; what is owed to one that was deleted is dropped.
"""

from dataclasses import replace
from pathlib import Path

from sew_agent.base.log import Log
from sew_agent.store.records import DropReason, Store, StoreError
from sew_agent.webhooks.base import Snapshot
from sew_agent.webhooks.plan import FORGOTTEN

MARKER = "afresh"
"""A file in the state folder, made when another agent is seen to have the Lease, gone when the new start is in the
store."""


def mark(state: Path) -> None:
    """From now on this store has to start afresh, whatever happens in between. Raises StoreError."""
    marker = state / MARKER
    try:
        if not marker.exists():
            marker.touch(mode=0o600)
    except OSError as error:
        raise StoreError(
            f"the state folder {state} cannot be written ({error.strerror or error}): make room there, and give the "
            "agent's user the right to write"
        ) from None


class Failover:
    """The new start of one store, in two parts: at once, and when the webhooks are known."""

    def __init__(self, state: Path, store: Store, log: Log) -> None:
        self._marker = state / MARKER
        self._store = store
        self._log = log
        self._due = self._marker.exists()
        if self._due:
            store.drop_readers(list(store.positions()))

    def begin(self, snapshot: Snapshot) -> None:
        """Before anything is made of the first webhooks that are known. Raises StoreError: then it is tried again."""
        if not self._due:
            return
        there = snapshot.webhooks.keys() | snapshot.refused.keys()
        for name, known in self._store.known().items():
            if snapshot.complete and name not in there:
                dropped = self._store.drop(name, DropReason.DELETED)
                self._log.warning("webhook_forgotten", webhook=name, dropped=dropped)
            self._store.remember(replace(known, state=FORGOTTEN, deleted_at=None))
        self._marker.unlink(missing_ok=True)
        self._due = False
