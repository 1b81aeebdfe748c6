"""Prepares the store of an agent that gets the Lease after another one had it: it starts as a fresh store does.

The agent reads again from where the other was; events that it has seen already are not enqueued twice. Its own pending
deliveries it still sends: that the other agent sent them too cannot be known, and receivers get the same id. A webhook
that is refused now begins there when it is valid again; pending deliveries of a deleted webhook are dropped.
"""

from dataclasses import replace
from pathlib import Path

from sew_agent.base.log import Log
from sew_agent.store.contract import Store
from sew_agent.store.records import DropReason, StoreError
from sew_agent.webhooks.base import Snapshot, WebhookSource
from sew_agent.webhooks.plan import FORGOTTEN

MARKER = "afresh"
"""A file in the state folder: made when another agent is seen to hold the Lease, removed when the new start is in the
store."""


def mark(state: Path) -> None:
    """Note that this store has to start afresh, whatever happens in between. Raises StoreError."""
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
    """The new start of one store, in two steps: `begin` at once, `complete` when the webhooks are known."""

    def __init__(self, state: Path, store: Store, log: Log) -> None:
        self._marker = state / MARKER
        self._store = store
        self._log = log
        self._pending = False

    def begin(self) -> None:
        """Drop all positions, if the store has to start afresh. Raises StoreError."""
        self._pending = self._marker.exists()
        if self._pending:
            self._store.drop_readers(list(self._store.positions()))

    def complete(self, snapshot: Snapshot) -> None:
        """Forget all webhooks, before anything is made of the first snapshot. Raises StoreError: then call it again."""
        if not self._pending:
            return
        existing = snapshot.webhooks.keys() | snapshot.refused.keys()
        for name, record in self._store.webhook_records().items():
            if snapshot.complete and name not in existing:
                dropped = self._store.drop(name, DropReason.DELETED)
                self._log.warning("webhook_forgotten", webhook=name, dropped=dropped)
            self._store.save_webhook(replace(record, state=FORGOTTEN, deleted_at=None))
        self._marker.unlink(missing_ok=True)
        self._pending = False


class WebhooksAfterFailover:
    """A webhook source that completes the failover before it gives anybody the first webhooks that are known."""

    def __init__(self, source: WebhookSource, failover: Failover) -> None:
        self._source = source
        self._failover = failover

    def snapshot(self) -> Snapshot:
        """Return what is wanted now. Raises StoreError."""
        snapshot = self._source.snapshot()
        if snapshot.known:
            self._failover.complete(snapshot)
        return snapshot

    def close(self) -> None:
        """Stop watching."""
        self._source.close()
