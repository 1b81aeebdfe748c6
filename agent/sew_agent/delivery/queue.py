"""One webhook's queue, what it begins, and what is learnt of an outcome. No clock, and no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kubectl_sew.consumers.base import FailureReason, Outcome, Verdict
from sew_agent.base.token_bucket import TokenBucket
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.concurrency_limit import ConcurrencyLimit
from sew_agent.delivery.digests import Bundle
from sew_agent.delivery.gathering import Gathering, Message
from sew_agent.delivery.pace import Pace
from sew_agent.delivery.retry import Decision, Staleness
from sew_agent.store.records import Delivery, DeliveryResult, ReceiverState

_HEADING = 256
"""Bytes that are left of an event in a digest, about."""


@dataclass(slots=True)
class Queue:
    """A served webhook: its receiver's state, which the store keeps, and what only this process knows."""

    route: Route
    receiver: ReceiverState
    bucket: TokenBucket
    prefetched: list[Delivery] = field(default_factory=list)
    in_flight: set[int] = field(default_factory=set)
    settings_version: int = 0
    """Number of changes of the webhook's settings."""
    receiver_version: int = 0
    """Number of changes of what the receiver does."""
    empty: bool = False
    """True where the last read of the store returned nothing."""
    sleeps_until: float = 0.0
    rests_until: float = 0.0
    """Time before which it starts nothing: its last one took long to make."""
    rests: bool = False
    """True while it has all in flight that it may have: the end of one wakes it."""
    size: int = 0
    """Bytes of the event that it began or waited with last: of the next one, as long as that is not read."""
    limit: ConcurrencyLimit = field(default_factory=ConcurrencyLimit)
    pace: Pace = field(default_factory=Pace)
    gathering: Gathering | None = None
    """Where it has digests: what is known ahead, in place of `prefetched`."""

    @property
    def reads_ahead(self) -> bool:
        """Return whether more is to be read of what waits for digests."""
        return self.gathering is not None and not self.empty and self.gathering.has_room


class Assignment(NamedTuple):
    """A delivery that starts now, and what was known at its start; for a digest, one that stands for its members."""

    queue: Queue
    route: Route
    delivery: Delivery
    started: float
    settings_version: int
    receiver_version: int
    proven: bool
    gathering: Gathering | None = None
    message: Message | None = None
    bundle: Bundle | None = None

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """Return all that it delivers."""
        return self.bundle.members if self.bundle else (self.delivery,)

    @property
    def size(self) -> int:
        """Return the bytes of its event, or about those that are left of a digest's."""
        return _HEADING * len(self.bundle.members) if self.bundle else self.delivery.size

    @property
    def group(self) -> str | None:
        """Return what stands for the values of its group; None where it is not gathered."""
        return self.message.group if self.message and not self.message.alone else None

    @property
    def marked_first(self) -> bool:
        """Return whether the store must know of it before it is sent.

        Of what is gathered, each message: after a kill it goes again as it was, and not as a part of another one.
        """
        return bool(self.gathering or self.route.finder)


class QueueChanges(NamedTuple):
    """Changes by one outcome, written together. `receiver`: None where its state is unchanged."""

    decision: Decision
    receiver: ReceiverState | None
    shifts: Sequence[tuple[str, float]]
    results: Sequence[DeliveryResult]
    """The decision's result, or that of each member of a digest."""


def learn(assignment: Assignment, outcome: Outcome, now: float) -> None:
    """Learn from an outcome how many requests its receiver takes at once, and at which pace."""
    queue = assignment.queue
    if outcome.verdict in (Verdict.DELIVERED, Verdict.REJECTED):
        queue.limit.answered(assignment.started, now, len(queue.in_flight))
        queue.pace.accept()
    elif outcome.verdict is not Verdict.PARKED:
        queue.limit.failed(assignment.started, now)
        if outcome.reason is FailureReason.RATE_LIMITED:
            queue.pace.refuse(assignment.started, now, max(queue.receiver.held_until - now, 0.0))


def has_its_settings(assignment: Assignment, queue: Queue | None) -> bool:
    """Return whether a webhook's queue still has the settings under which an assignment began."""
    return queue is assignment.queue and queue.settings_version == assignment.settings_version


def staleness_of(assignment: Assignment, queue: Queue) -> Staleness:
    if not has_its_settings(assignment, queue):
        same = queue.route.endpoint_digest == assignment.route.endpoint_digest
        return Staleness.SETTINGS if same else Staleness.ENDPOINT
    return Staleness.NOTHING if queue.receiver_version == assignment.receiver_version else Staleness.RECEIVER
