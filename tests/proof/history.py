"""What a proof knows of a run: events, webhooks, requests, faults and the agent's own books. Only values.

Moments are seconds since the run began, by the oracle's steady clock. Events are numbered; webhooks have names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

NEVER = float("inf")
OTHER_ID = "its id is that of another delivery"
"""Flaw of a request whose id is not made of what is in it."""


class State(Enum):
    """What a webhook is told to do."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of a webhook. `generation` rises by one with each; receivers see it in the event's labels."""

    webhook: str
    generation: int
    state: State
    severity: int
    """It selects events of at least this severity."""
    token: int = 0
    """Number of the word in its URL: a receiver refuses one that has been replaced."""
    secret: int = 0
    """Number of the secret that signs its requests."""
    digest: int = 0
    """Seconds within which a group of its events has one message; 0 for none."""
    group_by: str = ""
    """`type`, or "" where all its events are one group."""

    @property
    def query(self) -> str:
        return f"severity >= {self.severity}"


@dataclass(slots=True)
class Change:
    """A definition that was written at `began`, and that the agent was seen to use at `settled`."""

    definition: Definition
    began: float
    settled: float = NEVER


@dataclass(frozen=True, slots=True)
class Written:
    """An event as it was written. `bad`: webhooks whose receivers refuse it for good."""

    number: int
    at: float
    severity: int
    kind: str = ""
    """Its type."""
    bad: frozenset[str] = frozenset()
    gone: bool = False
    """True where its source may have lost it: its file was truncated before it was read."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request at a webhook's receiver, and the answer: `status` 0 is none that a client could use."""

    webhook: str
    events: tuple[int, ...]
    """Numbers of the events in its body; -1 for each that is none of ours. Several are a digest."""
    identity: str
    """Id under which it was sent: a message that is sent again keeps it."""
    began: float
    ended: float
    """When the answer was sent; NEVER for none."""
    status: int
    retry_after: float = 0.0
    generation: int = 0
    """Generation of the webhook's definition that it was made by."""
    flaw: str = ""
    """What is wrong with it: its body, its id, or its signature."""

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def shown(self) -> str:
        if len(self.events) == 1:
            return f"event {self.events[0]}"
        return f"a digest of {len(self.events)} events, the first one {self.events[0]}"


@dataclass(frozen=True, slots=True)
class Disruption:
    """Something that cut off what was in flight ("kill"), held it up ("stop"), or kept results from the "store"."""

    kind: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Books:
    """What the agent says of one webhook at the end: its counters, and the events of its dead letters."""

    seen: int
    delivered: int
    pending: int
    dead: int
    dropped: int
    dead_letters: frozenset[int] = frozenset()


@dataclass(slots=True)
class History:
    """Everything that happened in a run."""

    events: Sequence[Written] = ()
    changes: Sequence[Change] = ()
    """By webhook in the order in which they were made."""
    arrivals: Sequence[Arrival] = ()
    disruptions: Sequence[Disruption] = ()
    begins: Sequence[float] = ()
    """Moments at which an agent began to send for webhooks, and did not know when they had been sent to."""
    books: Mapping[str, Books] = field(default_factory=dict)
    problems: Sequence[str] = ()
    """What the oracle itself saw: an agent that ended by itself, a traceback, a wait that never ended."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run allows. Seconds, as far as nothing else is said."""

    workers: int
    """Requests that one agent has in flight at most."""
    timeout: float
    """Time that the agent has for a request."""
    forget_after: float
    """Time for which a deleted webhook's deliveries are kept."""
    in_flight: float
    """Time that a request may be on its way to the receiver, or an answer back."""
    effect: float
    """Time after which a change that was seen to be used is used by all."""
    ordered: bool = True
    """True where events are read in the order of their numbers; else a webhook starts by the events' own time."""
    dated: float = 0.0
    """Time by which an event's own time may be before its writing."""
