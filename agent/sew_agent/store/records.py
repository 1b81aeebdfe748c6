"""Records that go into a store and come out of it, and its errors. See sew_agent.store.contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import NamedTuple

from kubectl_sew.errors import SewError
from kubectl_sew.event import Event

PAGE_BYTES = 4 * 2**20
"""Bytes of the payloads in a page of deliveries at most, unless it is one alone."""


class StoreError(SewError):
    """Failure of the store: which file, why, and what to do."""


class StoreFullError(StoreError):
    """Full disk: nothing was written; it goes on by itself when there is room again."""


class StoreAwayError(StoreError):
    """Failure to reach a store that may be reached later: its server is away, starting, or has no room for more."""


class StoreHeldError(StoreError):
    """Refusal of a store that another agent has: whose it is, for those that wait."""

    def __init__(self, text: str, holder: str) -> None:
        super().__init__(text)
        self.holder = holder


class Ownership(Enum):
    """Right of a process to what is in a store."""

    HELD = "held"
    """No other process can send or record."""
    UNSURE = "unsure"
    """Another process may have taken over: nothing may be sent until the store has said that none did."""
    LOST = "lost"
    """Another process has taken over, and nothing more can be written."""


@dataclass(frozen=True, slots=True)
class Member:
    """An agent that is alive, of those that share a store."""

    name: str
    reads: bool
    """True for the one that reads events for all."""
    webhooks: tuple[str, ...]
    """Webhooks whose deliveries it owns, by name."""
    said: str = ""
    """Text that it gave to the others; "" where it gave none."""


def owners(members: Sequence[Member]) -> Mapping[str, str]:
    """Return the agent that owns each webhook's deliveries, where one does."""
    return {webhook: member.name for member in members for webhook in member.webhooks}


class DeliveryState(Enum):
    """State of a delivery. For each webhook, `Counters.seen` is always the sum of all four."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"


class DropReason(Enum):
    """Reason why a delivery will never be sent: a closed set, used as a metric's label."""

    DEBUG = "debug"
    SUPPRESSED = "suppressed"
    DELETED = "deleted"
    PURGED = "purged"
    BACKLOG_DROPPED = "backlog_dropped"
    EXPIRED = "expired"


BY_HAND = (DropReason.BACKLOG_DROPPED, DropReason.PURGED)
"""Reasons that a person gave."""


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """An event and the webhooks it goes to; for `debug` webhooks it is counted as dropped at once.

    So it is for `suppressed` ones, which would get it but for an exception.
    `time` is the event's own, where that is not the document's `time`.
    """

    event: Event
    webhooks: tuple[str, ...]
    debug: tuple[str, ...] = ()
    suppressed: tuple[str, ...] = ()
    time: float | None = None
    again: str = ""
    """Id of the replay that sends what its webhooks have seen once more; "" for any other delivery."""

    @property
    def seen_key(self) -> bytes:
        """Return 16 bytes that stand for the event, in a replay that sends it again for the event in this replay."""
        return self.event.key if not self.again else sha256(self.again.encode() + b"\0" + self.event.key).digest()[:16]

    @property
    def all_webhooks(self) -> tuple[str, ...]:
        """Every webhook that has seen the event with this."""
        return (*self.webhooks, *self.debug, *self.suppressed)


@dataclass(frozen=True, slots=True)
class EnqueueBatch:
    """Content of one transaction: events that were read, and the readers' positions after them."""

    deliveries: Sequence[NewDelivery]
    positions: Mapping[str, str]
    """Positions of the readers after these events; opaque to the store."""
    read_at: float


@dataclass(frozen=True, slots=True)
class EnqueueResult:
    """Deliveries that were new, deliveries that were seen before, and webhooks whose share of the store is full.

    Where `full` is not empty nothing was written, positions neither: read again without those webhooks.
    """

    new: int
    duplicates: int
    full: frozenset[str] = frozenset()
    suppressed: frozenset[bytes] = frozenset()
    """Keys of the events that were suppressed for a webhook, and that no webhook had seen before."""


class Delivery(NamedTuple):
    """A pending delivery of one event to one webhook."""

    seq: int
    """Number that rises in the order in which deliveries were enqueued, and is never used again."""
    webhook: str
    delivery_id: str
    """`kubectl_sew.event.delivery_id` of webhook and event: the same at every attempt and after a replay."""
    event: Event
    read_at: float
    attempts: int = 0
    first_attempt: float | None = None
    """Time of the first attempt, moved forward by the time during which the webhook was disabled or parked."""
    due: float = 0.0
    in_doubt: bool = False
    """True after an attempt whose outcome is unknown: where the receiver can be asked, it is asked first."""
    again: bool = False
    """True where a replay sends it once more, though the receiver may have it."""
    digest: str = ""
    """Id of the digest that holds it, from before that is sent until its receiver has surely not taken it."""
    size: int = 0
    """Bytes of its event's payload."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that ended without success, kept for a person to read, replay or purge."""

    number: int
    """The delivery's `seq`."""
    webhook: str
    delivery_id: str
    event: Event
    reason: str
    detail: str
    attempts: int
    died_at: float


class DeliveryResult(NamedTuple):
    """Result of an attempt: `state` is PENDING (with `due`), DELIVERED or DEAD."""

    delivery: Delivery
    state: DeliveryState
    at: float
    attempts: int
    """Number of attempts so far, this one included."""
    due: float = 0.0
    reason: str = ""
    detail: str = ""
    receipt: str = ""
    in_doubt: bool = False
    digest: str = ""
    """Id of the digest that holds a pending delivery from now on."""


class LoggedAttempt(NamedTuple):
    """An attempt to deliver, as the log of deliveries keeps it. Its texts are clean, cut, and hold no secret."""

    webhook: str
    delivery: int
    """The delivery's `seq`."""
    delivery_id: str
    event: str
    """The event's id."""
    source: str
    """The event's Elasticsearch index, "" for files."""
    time: float | None
    """The event's own time."""
    type: str
    severity: int | None
    attempt: int
    """Number of attempts of the delivery so far, this one included."""
    at: float
    """End of the attempt."""
    milliseconds: int
    outcome: str
    """Value of the DeliveryState after it."""
    reason: str
    detail: str
    """The answer's status and the receiver's own words, or why there was no answer."""
    status: int | None
    """Status of the answer; None without one."""
    sent_to: str
    """Scheme and host of the last request, of each of several; "" where nothing was sent."""
    sent_bytes: int
    """Bytes of its body, or of their bodies."""
    receipt: str
    """Receiver's name for it, e.g. Jira's issue key."""
    next_try: float | None = None
    """Time before which it is not tried again, as things were then; None where it has ended."""
    again: bool = False
    """True where a replay sent once more what its webhook had seen."""
    digest: str = ""
    """Id of the digest that it was sent in; "" where it went alone."""


@dataclass(frozen=True, slots=True)
class KeptDelivery:
    """A delivery whose event the store still has: pending, or dead since `died_at`. `reason` of the last failure."""

    delivery: Delivery
    reason: str
    detail: str
    died_at: float | None


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """State of a webhook's receiver that survives restarts. A store keeps it as it is."""

    webhook: str
    failures: int = 0
    """Failed attempts in a row, of whatever events."""
    parked: bool = False
    held_until: float = 0.0
    """End of the pause: backoff, Retry-After, or the hourly probe of a parked receiver."""
    waiting: bool = False
    """True where `held_until` is the receiver's own (Retry-After)."""
    reason: str = ""
    detail: str = ""
    since: float = 0.0
    """Beginning of parking, waiting or backoff."""
    settings_digest: str = ""
    """Digest of the spec and all resolved values: a change ends backoff and parking."""
    endpoint_digest: str = ""
    """Digest of URL and credentials: a change also ends a wait."""
    proven: bool = False
    """True where the receiver has accepted something since it last failed: an event that fails again is itself the
    problem."""
    different: int = 0
    """Different events that failed in a row: a failure of the receiver, whatever one event holds."""
    retry_until: float = 0.0
    """Earliest time of the next retry of any event."""
    held_at: float = 0.0
    """Beginning of the pauses: a clock that shows less was set back."""
    refused: tuple[int, ...] = ()
    """`seq` of the events that were rejected in a row, with nothing accepted in between."""


@dataclass(frozen=True, slots=True)
class WebhookRecord:
    """A webhook as it was last reconciled. A store reads `name`, `state` and `deleted_at` alone."""

    name: str
    state: str
    """Last effective state of the resource; "" for a webhook that is gone for good, see Store.forget."""
    start: float | None
    """Time from which events belong to it."""
    deleted_at: float | None = None
    tested: str = ""
    """Digest of the content for which a test delivery was last sent; in a cluster more, see kubernetes/tester.py."""
    test_result: str = ""
    since: float = 0.0
    """Time when `state` was first seen; 0.0 where that is not known."""
    begun: float | None = None
    """Value of the annotation from which a webhook that was taken over has begun: it begins there once."""
    end: float | None = None
    """Time before which events belong to a webhook that was handed back; None where none do."""


@dataclass(frozen=True, slots=True)
class ManualAction:
    """Deliveries that a person dropped, kept so that others can see it."""

    number: int
    """Number that rises with each action; 0 for one that is not in the store yet."""
    at: float
    who: str
    what: str
    """Value of a DropReason."""
    webhook: str
    count: int


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts of one webhook since its first event."""

    webhook: str
    delivered: int
    pending: int
    dead: int
    dropped: Mapping[str, int]
    """Count for each DropReason's value."""
    oldest_pending: float | None
    """Time when the oldest pending event was read."""
    last_delivered_at: float | None
    last_error: str
    bytes_used: int
    last_error_at: float | None = None

    @property
    def seen(self) -> int:
        """Return how many events the webhook has seen; a test compares it with the rows."""
        return self.delivered + self.pending + self.dead + sum(self.dropped.values())
