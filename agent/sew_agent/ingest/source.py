"""The contract of an event source: pages of matching events from a position that the caller keeps."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kubectl_sew.elasticsearch.access import IndexProblem
from kubectl_sew.errors import SewError
from kubectl_sew.event import Event
from kubectl_sew.query import FieldSet, Node


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """The reason why events, or some of them, cannot be read now, and what to do."""

    message: str
    problem: IndexProblem = IndexProblem.OTHER


def joined(problems: Iterable[SourceProblem]) -> str:
    """Return all problems in one line; "" where there is none."""
    return "; ".join(problem.message for problem in problems)


class SourceError(SewError):
    """Events cannot be read now: what failed and what to do. The caller keeps its position and tries again."""

    def __init__(self, message: str, problem: IndexProblem = IndexProblem.OTHER) -> None:
        super().__init__(message)
        self.problem = SourceProblem(message, problem)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook that events are read for.

    Events whose own time is before `start`, or not before `end` (epoch seconds), are not its own. A source keeps to the
    start, since it seeks; the poller to the end.
    """

    webhook: str
    query: Node
    start: float | None = None
    end: float | None = None
    again: bool = False
    """True where events are wanted that the webhook has already."""

    def has_ended(self, time: float | None) -> bool:
        """Return whether an event of this own time (epoch seconds) is no longer the webhook's."""
        return self.end is not None and time is not None and time >= self.end


@dataclass(frozen=True, slots=True)
class Suppression:
    """An exception that is in force: events that its selector selects go to no webhook."""

    name: str
    query: Node


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event, and the webhooks whose queries select it (never empty). `time` is its own, in epoch seconds.

    `suppressed_by`: the exceptions that select it too.
    """

    event: Event
    webhooks: tuple[str, ...]
    time: float | None = None
    suppressed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceWarning:
    """A warning about input that is not delivered, e.g. a line that is not JSON: `count` of one `kind`.

    `webhooks` are those that it would have gone to; empty where that cannot be known.
    """

    kind: str
    text: str
    count: int = 1
    webhooks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """The result of one read. `position`, opaque to its reader, is stored with the arrivals in one transaction."""

    arrivals: Sequence[Arrival]
    position: str
    more: bool
    """True when there is more to read at once."""
    done: bool
    """True when all that there was to read has been read."""
    warnings: Sequence[SourceWarning] = ()
    problems: Sequence[SourceProblem] = ()
    """Problems with parts that could not be read this time; `position` stays before them."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Webhook -> why its query cannot be answered now: nothing was read for it, and its position stays.

    In the first read of a reader, there was nothing to read before `position`.
    """
    broken_exceptions: Mapping[str, str] = field(default_factory=dict)
    """Exception -> why its selector cannot be answered now: it suppressed nothing of this batch."""
    deferred: Collection[str] = ()
    """Webhooks that nothing was read for this time, since the others would wait: their positions stay."""
    failed: bool = False
    """True when nothing of what there is could be read: it is not worth trying again at once."""
    scanned: int = 0
    """Events that were read, selected by a query or not. Elasticsearch counts writes: changes, too."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The start of a new webhook. `beside`: a backfill reads old events from there, and the shared reader all else."""

    position: str
    beside: bool


class EventSource(Protocol):
    """Not thread-safe: one thread reads."""

    @property
    def fields(self) -> FieldSet:
        """Fields that queries may ask for here; a new object after they changed."""

    @property
    def caveats(self) -> Sequence[str]:
        """Sentences on what may be missing of what is read though nothing fails, and what to do; without secrets."""

    def read_fields(self) -> None:
        """Read the fields again, where they may have changed; what is wrong says the next read of events."""

    @property
    def seekable(self) -> bool:
        """False for a stream: it has one reader, which can go back to its last position and no further."""

    def origin(self, start: float) -> Origin:
        """Return where a reader begins that reads everything from the moment `start` (epoch seconds) on."""

    def window(self, since: float, until: float) -> str:
        """Return the position where a reader begins that reads what there is now of a window of time (epoch seconds).

        It may give other events, too. Only for a source that is seekable.
        """

    def narrowed(self, position: str, since: float | None, until: float) -> str:
        """Return the position of a reader that goes on there, with the events of a window of time alone.

        In epoch seconds; `since`: None for all that `position` has. A reader that finds its events by their place needs
        no window: it is told where to end.
        """

    def read(
        self,
        subscriptions: Sequence[Subscription],
        position: str | None,
        *,
        now: float,
        limit: int,
        suppressions: Sequence[Suppression] = (),
        until: str | None = None,
    ) -> Batch:
        """Return the next matching events, about `limit`, after `position`. Raises SourceError.

        None is the position of the very first reader. All reads of one poll have the same `now` and `suppressions`.
        `until`: a position that nobody moves, where this reader ends: what came behind it is not its webhooks'.
        """

    def keep(self, webhooks: Collection[str], exceptions: Collection[str]) -> None:
        """Let go of what was made of the queries of any others: these alone are read for from now on."""

    def resume(self) -> None:
        """Forget what was learnt of the events themselves: another reader has gone on from there."""

    def read_to(self, position: str | None) -> float | None:
        """Return the moment (epoch seconds) up to which a reader at `position` has read everything.

        None for a source without moments; minus infinity for one that has not begun.
        """

    def reached(self, position: str, other: str) -> bool:
        """Return whether `position` stands at or beyond `other`: a reader that caught up joins the shared one again."""

    def close(self) -> None:
        """Close files and connections."""
