"""How far events have been read for a webhook: what the condition EventsFetched and `sew-agent status` say. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kubectl_sew.resource.conditions import FetchedReason, Status, read_to

FULL = "its share of the store is full: it is read for again when there is room; see SEW_STORE_MAX"
_NOT_YET = "events have not been read yet"
_TO_THE_END = "all that the source holds has been read"


@dataclass(frozen=True, slots=True)
class Progress:
    """The condition EventsFetched, without what belongs to the resource. The text holds no secret."""

    status: Status
    reason: FetchedReason
    what: str
    read_to: float | None = field(default=None, compare=False)
    """The checkpoint (epoch seconds), None where there is none; it changes all the time."""
    reading: float | None = field(default=None, compare=False)
    """As `Progress.reading`."""

    @property
    def message(self) -> str:
        """The checkpoint stands first: a long message is cut at its end."""
        checkpoint = [] if self.read_to is None else [read_to(self.read_to)]
        return "; ".join([*checkpoint, self.what] if self.what else checkpoint)


@dataclass(frozen=True, slots=True)
class ReaderState:
    """What is known of one webhook's reading."""

    read_to: float | None
    """Up to this moment everything was read and delivered (epoch seconds); None where the source cannot tell."""
    reading: float | None = None
    """Up to this moment everything was read, delivered or not; None where the source cannot tell."""
    begun: bool = True
    """Events have been read for it since this agent was started."""
    problem: str = ""
    """Why the source, or a part of it, cannot be read."""
    refused: str = ""
    """Why the source cannot answer its query."""
    full: bool = False
    warnings: Sequence[str] = ()
    """What was read for it lately and is not delivered."""


def progress_of(reader_state: ReaderState) -> Progress:
    """The worst first. Every message of a source that can tell begins with `read to …`, the checkpoint."""
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
    told = "; ".join([what, *reader_state.warnings] if what else reader_state.warnings)
    return Progress(status, reason, told, reader_state.read_to, reader_state.reading)
