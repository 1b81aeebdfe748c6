"""Progress of reading for a webhook, as the condition EventsFetched and `sew-agent status` report it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kubectl_sew.resource.conditions import FetchedReason, Status, read_to

FULL = "its share of the store is full: nothing more is read for it until there is room; see SEW_STORE_MAX"
_NOT_YET = "events have not been read yet"
_TO_THE_END = "all that the source holds has been read"


@dataclass(frozen=True, slots=True)
class Progress:
    """The condition EventsFetched, without the fields of its resource. The text holds no secret."""

    status: Status
    reason: FetchedReason
    what: str
    read_to: float | None = field(default=None, compare=False)
    """The checkpoint (epoch seconds), None where there is none; it changes all the time."""
    reading: float | None = field(default=None, compare=False)
    """As `ReaderState.reading`."""

    @property
    def message(self) -> str:
        """The text of the condition. The checkpoint stands first: a long message is cut at its end."""
        checkpoint = [] if self.read_to is None else [read_to(self.read_to)]
        return "; ".join([*checkpoint, self.what] if self.what else checkpoint)


@dataclass(frozen=True, slots=True)
class ReaderState:
    """State of one webhook's reading."""

    read_to: float | None
    """Moment up to which everything was read and delivered (epoch seconds); None where the source has no moments."""
    reading: float | None = None
    """Moment up to which everything was read, delivered or not; None where the source has no moments."""
    begun: bool = True
    """True when events have been read for it since this agent was started."""
    problem: str = ""
    """Reason why the source, or a part of it, cannot be read."""
    refused: str = ""
    """Reason why the source cannot answer its query."""
    full: bool = False
    warnings: Sequence[str] = ()
    """Texts about what was read for it lately and is not delivered."""


def progress_of(reader_state: ReaderState) -> Progress:
    """Return the condition for the worst that is true. With a checkpoint, its message begins with `read to …`."""
    if reader_state.refused:
        return _progress("False", FetchedReason.UNANSWERABLE, reader_state.refused, reader_state)
    if reader_state.problem:
        return _progress("False", FetchedReason.SOURCE_UNAVAILABLE, reader_state.problem, reader_state)
    if reader_state.full:
        return _progress("False", FetchedReason.BACKLOG_FULL, FULL, reader_state)
    if not reader_state.begun:
        return _progress("Unknown", FetchedReason.READ, _NOT_YET, reader_state)
    return _progress("True", FetchedReason.READ, _TO_THE_END if reader_state.read_to is None else "", reader_state)


def _progress(status: Status, reason: FetchedReason, what: str, reader_state: ReaderState) -> Progress:
    text = "; ".join([what, *reader_state.warnings] if what else reader_state.warnings)
    return Progress(status, reason, text, reader_state.read_to, reader_state.reading)
