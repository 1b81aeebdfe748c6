"""Acquires, renews and releases the Lease, and knows whether this agent is the leader."""

import threading
from collections.abc import Callable

from sew_agent.base.health import Heartbeat
from sew_agent.base.threads import start_thread
from sew_agent.kubernetes.client import ApiError, ConflictError, NotFoundError
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.lease import (
    LEASE_DURATION,
    RETRY_PERIOD,
    Lease,
    LeaseAction,
    decide,
    held_with_another_store,
)
from sew_agent.kubernetes.lease_client import LEASE_REQUEST_SECONDS, MATTER, RELEASED, LeaseClient
from sew_agent.store.records import StoreError

LONGEST_STEP = 2 * LEASE_REQUEST_SECONDS + RETRY_PERIOD
"""Seconds between two heartbeats at most: a step is two requests."""


class LeaderElector:
    """A thread that makes this agent the leader, or lets it stand by.

    While the API server cannot be reached the leader goes on: where that is so for all, nobody can acquire the Lease.
    Where this agent alone is cut off another one acquires it, and both deliver: the same ids, twice.
    """

    def __init__(
        self,
        context: ClusterContext,
        client: LeaseClient,
        *,
        on_another_store: Callable[[], None],
        heartbeat: Heartbeat,
    ) -> None:
        """`on_another_store` is called when an agent with another store holds the Lease, before this one acquires it.

        It is called too where the Lease is deleted in between. Where it raises StoreError, the Lease is not acquired.
        """
        self._client = client
        self._context = context
        self.identity = client.identity
        self._on_another_store = on_another_store
        self.heartbeat = heartbeat
        self._stop = threading.Event()
        self._checked_at = float("-inf")
        """The beginning of the last step that was answered, or could not be."""
        self._observed: tuple[str, str] = ("", "")
        """Holder and renewal of the Lease, as last read."""
        self._observed_at = 0.0
        self._duration = RETRY_PERIOD
        """The duration of the Lease as last read: a holder that has ended leaves it a short one."""
        self._lease: Lease | None = None
        self._another_store_pending = False
        """True from when another store was seen until `on_another_store` has succeeded."""
        self._position: str | None = None
        self.inherited_position = ""
        """The position that the Lease held when this agent acquired it."""
        self.leading = threading.Event()
        """Set while this agent holds the Lease, by the last answer."""
        self.terms = 0
        """How often this agent acquired the Lease: only this shows one that was lost and acquired again in between."""
        self.holder = ""
        """The holder by the last answer."""

    def start(self) -> None:
        """Start the thread."""
        start_thread(self._run, "lease")

    @property
    def is_leader(self) -> bool:
        """True while this agent holds the Lease, and no other one can have acquired it since the last step.

        After a pause of this process (its machine slept, or was moved) that is false until it has asked again. Where
        the API server cannot be reached, others cannot reach it either.
        """
        return self.leading.is_set() and self._context.monotonic() - self._checked_at < LEASE_DURATION

    def keep_position(self, position: str) -> None:
        """Write this position into the Lease, from the next renewal on."""
        self._position = position

    def release(self) -> None:
        """Let the next agent begin at once: this one has ended its work. Does nothing where it is not the leader."""
        self._stop.set()
        if not self.leading.is_set() or self._lease is None:
            return
        self.leading.clear()
        try:
            self._client.write(self._lease, duration=RELEASED, position=self._position)
        except ApiError as error:
            self._context.log.warning("lease_not_released", message=str(error))

    def _run(self) -> None:
        while not self._stop.is_set():
            self.heartbeat.beat()
            began = self._context.monotonic()
            self._try()
            self._checked_at = began
            self._stop.wait(RETRY_PERIOD if self.leading.is_set() else min(RETRY_PERIOD, self._duration))

    def _try(self) -> None:
        problems = self._context.problems
        try:
            self._acquire_or_renew()
            problems.clear(MATTER)
        except (NotFoundError, ConflictError):
            pass  # another agent was faster, or the Lease was deleted in between: it is read again
        except ApiError as error:
            then = "delivery goes on" if self.leading.is_set() else "it is tried again"
            problems.report_error(MATTER, error, f"{error}; {then}")
        except StoreError as error:
            problems.report(MATTER, f"this agent does not acquire the Lease: {error}")

    def _acquire_or_renew(self) -> None:
        lease = self._get()
        action = decide(lease, self.identity, observed_for=self._context.monotonic() - self._observed_at)
        another_store = held_with_another_store(lease, self.identity)
        if another_store or action is LeaseAction.WAIT:
            self._stop_leading()
        self._note_another_store(seen=another_store)
        if action is LeaseAction.WAIT:
            return
        if not self.leading.is_set():
            self._position, self.inherited_position = None, lease.position if lease else ""
        answer = self._client.write(lease, position=self._position)
        if self._stop.is_set():
            return
        self._lease = answer
        self.holder = self.identity.holder
        if not self.leading.is_set():
            self._context.log.info("lease_taken", holder=self.identity.holder, before=lease.holder if lease else "")
            self.terms += 1
            self.leading.set()

    def _get(self) -> Lease | None:
        lease = self._client.read()
        if lease is None:
            return None
        if (lease.holder, lease.renewed) != self._observed:
            self._observed, self._observed_at = (lease.holder, lease.renewed), self._context.monotonic()
        self.holder, self._duration = lease.holder, lease.duration
        return lease

    def _note_another_store(self, *, seen: bool) -> None:
        """Call `on_another_store` until it succeeds: the Lease may be deleted in between."""
        self._another_store_pending = self._another_store_pending or seen
        if self._another_store_pending:
            self._on_another_store()
            self._another_store_pending = False

    def _stop_leading(self) -> None:
        if self.leading.is_set():
            self.leading.clear()
            message = "another agent delivers; this one stands by"
            self._context.log.error("lease_lost", holder=self.holder, message=message)
