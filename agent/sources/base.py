"""The contract of an event source: pages of matching events from a position that the caller keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kubectl_sew.errors import SewError
from kubectl_sew.event import Event
from kubectl_sew.query import FieldSet, Node


class SourceError(SewError):
    """Events cannot be read now: what failed and what to do. The caller keeps its position and tries again."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook that events are read for. Events whose own time is before `start` (epoch seconds) are not its own."""

    webhook: str
    query: Node
    start: float | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event, and the webhooks whose queries select it (never empty)."""

    event: Event
    webhooks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something read that is no event, e.g. a line that is not JSON: counted by `kind` and named by `text`."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read found. `position`, opaque to all but the source, is stored in one transaction with the arrivals."""

    arrivals: Sequence[Arrival]
    position: str
    caught_up: bool
    """True where nothing more can be read now."""
    read_to: float | None = None
    """The event time (epoch seconds) up to which everything has been read; None where a source cannot tell."""
    notes: Sequence[Note] = ()


class EventSource(Protocol):
    """Not thread-safe: one thread reads."""

    @property
    def fields(self) -> FieldSet:
        """What queries may ask here. A new object after it changed."""

    @property
    def seekable(self) -> bool:
        """False for a stream: it has one reader, which can go back to its last position and no further."""

    def read(self, subscriptions: Sequence[Subscription], position: str | None, *, now: float, limit: int) -> Batch:
        """The next matching events, at most `limit`, after `position` (None: the beginning). Raises SourceError."""

    def reached(self, position: str, other: str) -> bool:
        """Whether `position` stands at or beyond `other`: a reader that caught up joins the common one again."""

    def close(self) -> None:
        """Let go of files and connections."""
