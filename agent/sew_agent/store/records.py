"""The contract of the store: every promise of the agent is a row in it before anything is sent."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from kubectl_sew.errors import SewError
from kubectl_sew.event import Event


class StoreError(SewError):
    """The state folder cannot be used: which file, why, and what to do."""


class StoreFullError(StoreError):
    """The disk is full: nothing was written; it heals by itself when there is room again."""


class DeliveryState(Enum):
    """What became of a delivery. `seen` is the sum of all four, for each webhook, always."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"


class DropReason(Enum):
    """Why a delivery will never be sent: a closed set, used as a metric's label."""

    DEBUG = "debug"
    DELETED = "deleted"
    PURGED = "purged"
    BACKLOG_DROPPED = "backlog_dropped"
    EXPIRED = "expired"


BY_HAND = (DropReason.BACKLOG_DROPPED, DropReason.PURGED)
"""What a person did."""


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """One event and the webhooks it goes to; `debug` ones are counted as dropped at once.

    `time` is the event's own (epoch seconds), where that stands elsewhere than in the document's `time`.
    """

    event: Event
    webhooks: tuple[str, ...]
    debug: tuple[str, ...] = ()
    time: float | None = None


@dataclass(frozen=True, slots=True)
class EnqueueBatch:
    """What one transaction takes in: new (webhook, event) pairs, and the readers' positions behind them."""

    owed: Sequence[NewDelivery]
    positions: Mapping[str, str]
    """Reader -> the source's opaque position after these events."""
    read_at: float


@dataclass(frozen=True, slots=True)
class EnqueueResult:
    """What an intake became: pairs that are new, pairs that were known, webhooks whose share of the room is full.

    Nothing at all was written, positions neither, where `full` is not empty: read again without those webhooks.
    """

    new: int
    known: int
    full: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event owed to one webhook. Times are in seconds since the epoch."""

    seq: int
    """Rises in the order in which deliveries were taken in."""
    webhook: str
    delivery_id: str
    event: Event
    read_at: float
    attempts: int = 0
    first_attempt: float | None = None
    """Moved forward by the time that its webhook was disabled or parked."""
    due: float = 0.0
    in_doubt: bool = False
    """An attempt began whose outcome is unknown: look for it at the receiver first, where the receiver can be asked."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that ended without success, kept for a person: read, replay or purge."""

    number: int
    webhook: str
    delivery_id: str
    event: Event
    reason: str
    detail: str
    attempts: int
    died_at: float


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The result of an attempt, written before the worker takes anything else."""

    delivery: Delivery
    state: DeliveryState
    at: float
    attempts: int
    due: float = 0.0
    reason: str = ""
    detail: str = ""
    receipt: str = ""
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """What is remembered of a webhook as a receiver, over restarts."""

    webhook: str
    failures: int = 0
    """Failed attempts in a row, of whatever events."""
    parked: bool = False
    held_until: float = 0.0
    """Nothing is sent before (backoff, Retry-After, or the hourly probe of a parked one)."""
    waiting: bool = False
    """`held_until` is the receiver's own word (Retry-After)."""
    reason: str = ""
    detail: str = ""
    since: float = 0.0
    """When parking, waiting or backoff began."""
    settings_digest: str = ""
    """Of the spec and all resolved values: a change ends backoff and parking."""
    endpoint_digest: str = ""
    """Of URL and credentials: a change also ends a wait."""
    proven: bool = False
    """The receiver has taken something since it last failed: an event that fails again is alone the trouble."""
    different: int = 0
    """Different events that failed in a row: what is known of the receiver, whatever one event holds."""
    retry_until: float = 0.0
    """No event that has failed is tried again before."""
    held_at: float = 0.0
    """When the pauses began: a clock that shows less was set back."""
    refused: tuple[int, ...] = ()
    """The `seq` of the events that were rejected in a row, with nothing accepted in between."""


@dataclass(frozen=True, slots=True)
class WebhookRecord:
    """What the store remembers of a webhook besides its deliveries."""

    name: str
    state: str
    """The last state seen in the resource."""
    start: float | None
    """Events before do not belong to it (epoch seconds)."""
    deleted_at: float | None = None
    tested: str = ""
    """Digest of the webhook's content for which the test was last sent; in a cluster more, see kubernetes/tester.py."""
    test_result: str = ""
    since: float = 0.0
    """When `state` was first seen; 0.0 where that is not known."""


@dataclass(frozen=True, slots=True)
class ManualAction:
    """What a person gave up by hand: kept, so that others can see it."""

    number: int
    """Rises with each; 0 for one that is not in the store yet."""
    at: float
    who: str
    what: str
    """A DropReason's value."""
    webhook: str
    count: int


@dataclass(frozen=True, slots=True)
class Counters:
    """One webhook's counts since ever, and what waits."""

    webhook: str
    delivered: int
    pending: int
    dead: int
    dropped: Mapping[str, int]
    """By DropReason."""
    oldest_pending: float | None
    """When the oldest waiting event was read."""
    last_delivered_at: float | None
    last_error: str
    bytes_used: int
    last_error_at: float | None = None

    @property
    def seen(self) -> int:
        """The books balance by definition of what is counted, and a test holds the rows to it."""
        return self.delivered + self.pending + self.dead + sum(self.dropped.values())


class Store(Protocol):
    """Thread-safe. Every method is one transaction, but for those that do some at a time.

    A full disk raises StoreFullError, and nothing is changed.
    """

    def enqueue(self, intake: EnqueueBatch) -> EnqueueResult:
        """Write new pairs and positions together."""

    def seen_by(self, keys: Sequence[bytes]) -> Mapping[bytes, frozenset[str]]:
        """Event's key -> the webhooks that have it, for those of the keys that any has."""

    def first_used(self, now: float) -> float:
        """The moment when this store was first used: `now` at the first call, and the same ever after."""

    def positions(self) -> Mapping[str, str]:
        """Reader -> position."""

    def drop_readers(self, readers: Collection[str]) -> None:
        """Forget readers' positions: they joined another one."""

    def due(
        self,
        webhook: str,
        *,
        now: float,
        limit: int,
        skip: Collection[int] = (),
        retries: bool = True,
        longest: float = float("inf"),
    ) -> Sequence[Delivery]:
        """Pending deliveries of a webhook that are due, without those whose `seq` is in `skip`.

        At most `limit` that were never tried, oldest first; then, with `retries`, as many as there is room for of those
        that failed, as they are due: one in any case where it is due for more than `longest` seconds. What is due more
        than `longest` ahead is due too: the clock was ahead when that was written. No more after 4 MiB of payloads.
        """

    def next_due(self, webhook: str) -> float | None:
        """When the earliest pending delivery of a webhook is due: 0.0 where one was never tried, None where none is
        pending."""

    def version(self) -> int:
        """A number that changes when another process has changed the store."""

    def waiting(self) -> Mapping[str, int]:
        """Webhook -> number of its pending deliveries, where there are any."""

    def oldest_times(self) -> Mapping[str, float]:
        """Webhook -> the oldest own time among the events that wait for it, where any of them has one."""

    def begin(self, delivery: Delivery) -> None:
        """Put an attempt on disk, synchronously, before it is sent (for receivers that can be asked afterwards)."""

    def record_results(
        self,
        results: Sequence[DeliveryResult],
        receivers: Sequence[ReceiverState],
        shifts: Sequence[tuple[str, float]] = (),
        revived: Sequence[int] = (),
    ) -> None:
        """Write results and what they mean for their webhooks, together.

        `shifts`: webhooks with the seconds for which they were parked, which do not count against the retry horizon:
        first attempts move forward. `revived`: the `seq` of dead letters that are pending after all.
        """

    def receivers(self) -> Mapping[str, ReceiverState]:
        """Every webhook's lane."""

    def known(self) -> Mapping[str, WebhookRecord]:
        """Every webhook ever seen and not yet forgotten."""

    def remember(self, known: WebhookRecord, *, shift: float = 0.0) -> None:
        """Insert or replace, and move its first attempts forward by `shift` seconds, in which nothing was sent."""

    def drop(
        self, webhook: str, reason: DropReason, *, older_than: float | None = None, most: int | None = None
    ) -> int:
        """Count pending deliveries as dropped, some at a time; how many: all that there are now, or about `most`.

        Only those read before `older_than` (epoch seconds).
        """

    def dead_letters(self, webhook: str | None = None) -> Iterator[DeadLetter]:
        """Oldest first, some at a time."""

    def replay(self, numbers: Sequence[int] | None, webhook: str | None = None) -> int:
        """Dead letters become pending again, with the same id, some at a time; how many."""

    def purge(self, numbers: Sequence[int] | None, webhook: str | None = None) -> int:
        """Dead letters are counted as dropped, some at a time; how many."""

    def record(self, act: ManualAction) -> None:
        """Keep what a person did: the last hundred."""

    def manual_actions(self, after: int = 0) -> Sequence[ManualAction]:
        """What persons did after that number, oldest first."""

    def counters(self) -> Sequence[Counters]:
        """All webhooks' counts in one consistent read."""

    def room(self) -> Mapping[str, float]:
        """Webhook -> how full its share of the store is; nothing is read for it from 1.0 on."""

    def forget(self, now: float) -> int:
        """Forget pairs that are known for long enough, and webhooks that are gone for good; how many pairs.

        Some at a time, and not all at one call. Where the store is nearly full, pairs are forgotten sooner.
        """

    def expire(self, before: float) -> int:
        """Count dead letters that died before (epoch seconds) as dropped, some at a time; how many at this call."""

    def shrink(self) -> None:
        """Give room that is not needed back to the disk, some at a time."""

    def close(self) -> None:
        """Write what is left and let go of the lock."""
