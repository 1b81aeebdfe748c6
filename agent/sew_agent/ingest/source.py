"""The contract of an event source: pages of matching events from a position that the caller keeps."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kubectl_sew.access import IndexProblem
from kubectl_sew.errors import SewError
from kubectl_sew.event import Event
from kubectl_sew.query import FieldSet, Node


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """Why events, or some of them, cannot be read now, and what to do."""

    message: str
    problem: IndexProblem = IndexProblem.OTHER


def joined(problems: Iterable[SourceProblem]) -> str:
    """One line of all; "" where there is none."""
    return "; ".join(each.message for each in problems)


class SourceError(SewError):
    """Events cannot be read now: what failed and what to do. The caller keeps its position and tries again."""

    def __init__(self, message: str, problem: IndexProblem = IndexProblem.OTHER) -> None:
        super().__init__(message)
        self.problem = SourceProblem(message, problem)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook that events are read for. Events whose own time is before `start` (epoch seconds) are not its own."""

    webhook: str
    query: Node
    start: float | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event, and the webhooks whose queries select it (never empty). `time` is its own, in epoch seconds."""

    event: Event
    webhooks: tuple[str, ...]
    time: float | None = None


@dataclass(frozen=True, slots=True)
class SourceWarning:
    """What was read and is not delivered, e.g. a line that is not JSON: `count` of one `kind`, named by `text`.

    `webhooks` are those that it would have gone to; empty where that cannot be known.
    """

    kind: str
    text: str
    count: int = 1
    webhooks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read found. `position`, opaque to all but the source, is stored in one transaction with the arrivals."""

    arrivals: Sequence[Arrival]
    position: str
    more: bool
    """There is more to read at once."""
    done: bool
    """All that there was to read has been read."""
    warnings: Sequence[SourceWarning] = ()
    problems: Sequence[SourceProblem] = ()
    """What could not be read this time; its place in the position is kept."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Webhook -> why its query cannot be answered now: nothing was read for it, and its position stays.

    Where a reader begins with this read, nothing was there to read before `position`.
    """
    deferred: Collection[str] = ()
    """The webhooks that nothing was read for this time, since the others would wait: their positions stay."""
    failed: bool = False
    """There was something to read, and none of it could be: it is not worth trying again at once."""
    scanned: int = 0
    """Events that were read, whether or not a query selects them. Elasticsearch counts writes: changes, too."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a new webhook's own reader begins. `beside`: it reads what was before, and the common one all else."""

    position: str
    beside: bool


class EventSource(Protocol):
    """Not thread-safe: one thread reads."""

    @property
    def fields(self) -> FieldSet:
        """What queries may ask here. A new object after it changed."""

    @property
    def seekable(self) -> bool:
        """False for a stream: it has one reader, which can go back to its last position and no further."""

    def origin(self, start: float) -> Origin:
        """Where a reader begins that finds all from the moment `start` (epoch seconds) on."""

    def read(self, subscriptions: Sequence[Subscription], position: str | None, *, now: float, limit: int) -> Batch:
        """The next matching events, about `limit`, after `position`. Raises SourceError.

        None: where a reader begins that no other was before. All reads of one poll have the same `now`.
        """

    def read_to(self, position: str | None) -> float | None:
        """The moment (epoch seconds) up to which a reader at `position` has read everything.

        None where a source cannot tell; minus infinity for one that has not begun.
        """

    def reached(self, position: str, other: str) -> bool:
        """Whether `position` stands at or beyond `other`: a reader that caught up joins the common one again."""

    def close(self) -> None:
        """Let go of files and connections."""
