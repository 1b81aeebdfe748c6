"""Replay of a past window for one webhook: what a person asks for, and how far it is. Pure.

Both are rows beside the readers' positions in the store. A command writes the request, and the agent that reads writes
the progress, so that neither undoes what the other one wrote. A request says which window, and ends with its row;
while a window is only counted, a third row keeps the last replay before it.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from kubectl_sew.json_text import line
from kubectl_sew.text import plural, rfc3339

_REQUEST = "replay:"
_PROGRESS = "replayed:"
_LAST = "replay-before:"


def request_row(webhook: str) -> str:
    """Return the name of the row of a webhook's request."""
    return _REQUEST + webhook


def progress_row(webhook: str) -> str:
    """Return the name of the row of how far a webhook's replay is."""
    return _PROGRESS + webhook


def last_row(webhook: str) -> str:
    """Return the name of the row that keeps a webhook's last replay, where another window was only counted after it."""
    return _LAST + webhook


def rows_of(webhook: str) -> list[str]:
    """Return the names of all rows of a webhook's replays."""
    return [request_row(webhook), progress_row(webhook), last_row(webhook)]


def is_replay_row(name: str) -> bool:
    """Return whether a row is one of a replay, and no reader's position."""
    return name.startswith((_REQUEST, _PROGRESS, _LAST))


class Phase(Enum):
    """Phase of a replay."""

    COUNTING = "counting"
    COUNTED = "counted"
    """A person is asked whether to send."""
    SENDING = "sending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """A window of events' own time, from `since` on and before `until` (epoch seconds).

    `query`: only events that it selects, beside the webhook's own; "" for all. `again`: what is known as delivered too.
    """

    id: str
    since: float
    until: float
    query: str
    again: bool
    confirmed: bool
    """False while it is only counted."""
    who: str
    asked_at: float

    def dump(self) -> str:
        """Return it as the store keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> "ReplayRequest":
        """Read it from the store."""
        return cls(**json.loads(text))

    def holds(self, time: float | None) -> bool:
        """Return whether an event of this own time (epoch seconds) is in the window."""
        return time is not None and self.since <= time < self.until


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far the replay of the request with this `id` is. `position`: where it reads; `goal`: where a file's ends."""

    id: str
    position: str
    goal: str
    phase: Phase = Phase.COUNTING
    matching: int = 0
    """Events of the window that were counted."""
    left_out: int = 0
    """Those among them that are not sent: the webhook has them already, or an exception suppresses them."""
    read: int = 0
    """Events of the window that were read to be sent."""
    enqueued: int = 0
    why: str = ""
    """Reason why it failed, or goes on later."""
    known_for: float = 0.0
    """Seconds for which the agent remembers what was delivered."""

    def dump(self) -> str:
        """Return it as the store keeps it."""
        return json.dumps({**asdict(self), "phase": self.phase.value})

    @classmethod
    def load(cls, text: str) -> "ReplayProgress":
        """Read it from the store."""
        fields = json.loads(text)
        return cls(**{**fields, "phase": Phase(fields["phase"])})

    @property
    def ended(self) -> bool:
        return self.phase in (Phase.DONE, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class Replay:
    """A request, and how far it is; None before the agent has seen it."""

    request: ReplayRequest
    progress: ReplayProgress | None

    @property
    def ended(self) -> bool:
        return self.progress is not None and self.progress.ended

    def dump(self) -> str:
        """Return it as the store keeps a webhook's last one."""
        return json.dumps([self.request.dump(), self.progress and self.progress.dump()])


def replays_in(rows: Mapping[str, str]) -> dict[str, Replay]:
    """Return the replays that the store's rows hold, by webhook. Those that another version wrote are left out.

    Where one was only counted and withdrawn, that is the last one before it.
    """
    replays = {}
    for name in rows:
        webhook = _webhook(name)
        with suppress(ValueError, TypeError, LookupError):
            if name.startswith(_REQUEST):
                replays[webhook] = _replay(rows[name], rows.get(progress_row(webhook)))
            elif name.startswith(_LAST) and request_row(webhook) not in rows:
                replays[webhook] = _replay(*json.loads(rows[name]))
    return replays


def _replay(asked: str, kept: str | None) -> Replay:
    request = ReplayRequest.load(asked)
    progress = ReplayProgress.load(kept) if kept else None
    return Replay(request, progress if progress and progress.id == request.id else None)


def orphans_in(rows: Mapping[str, str]) -> list[str]:
    """Return the rows of progress whose request was withdrawn."""
    return [name for name in rows if name.startswith(_PROGRESS) and request_row(_webhook(name)) not in rows]


def _webhook(row: str) -> str:
    return row.partition(":")[2]


def counted(request: ReplayRequest, progress: ReplayProgress) -> str:
    """Return in words what was counted, and what would be sent."""
    matching, sent = progress.matching, to_send(request, progress)
    text = f"{_events(matching)} from {_window(request)} {'matches' if matching == 1 else 'match'}, {sent:,} to send"
    left = progress.left_out
    if request.again and left:
        text += f"; {left:,} of them known to the agent: those that were delivered are sent once more"
    elif left:
        text += f"; {left:,} left out: known to the agent already (delivered, waiting, dead or dropped) or suppressed"
    if request.since < request.asked_at - progress.known_for:
        forgotten = rfc3339(request.asked_at - progress.known_for)
        text += f"; what was delivered before {forgotten} may be forgotten (SEW_KNOWN_FOR), and is then sent once more"
    return text


def to_send(request: ReplayRequest, progress: ReplayProgress) -> int:
    """Return how many events would be sent, as counted."""
    return progress.matching if request.again else progress.matching - progress.left_out


def describe(replay: Replay) -> str:
    """Return a replay and how far it is in one line."""
    request, progress = replay.request, replay.progress
    again = ", again" if request.again else ""
    query = f", {line(request.query, 200)}" if request.query else ""
    return f"replay of {_window(request)}{query}{again}, by {request.who}: {_state(progress)}"


def _state(progress: ReplayProgress | None) -> str:
    if progress is None:
        return "the agent has not begun it yet"
    later = f"; it goes on later: {progress.why}" if progress.why else ""
    match progress.phase:
        case Phase.COUNTING:
            return f"counting, {_events(progress.matching)} so far{later}"
        case Phase.COUNTED:
            return f"{_events(progress.matching)} counted, not confirmed"
        case Phase.SENDING:
            read = min(progress.read, progress.matching)
            return f"{read:,} of {_events(progress.matching)} read, {progress.enqueued:,} to be sent{later}"
        case Phase.DONE:
            return f"done, {_events(progress.matching)} read, {progress.enqueued:,} to be sent"
        case Phase.FAILED:
            return f"failed: {progress.why}"


def as_object(replay: Replay) -> dict[str, Any]:
    """Return a replay as JSON values."""
    request, progress = replay.request, replay.progress
    return {
        "since": rfc3339(request.since),
        "until": rfc3339(request.until),
        "query": request.query or None,
        "again": request.again,
        "askedBy": request.who,
        "askedAt": rfc3339(request.asked_at),
        "phase": progress.phase.value if progress else None,
        "matching": progress.matching if progress else None,
        "leftOut": progress.left_out if progress else None,
        "toSend": to_send(request, progress) if progress else None,
        "read": progress.read if progress else None,
        "enqueued": progress.enqueued if progress else None,
        "why": (progress and progress.why) or None,
        "counted": counted(request, progress) if progress else None,
        "text": describe(replay),
    }


def _window(request: ReplayRequest) -> str:
    return f"{rfc3339(request.since)} to {rfc3339(request.until)}"


def _events(count: int) -> str:
    return f"{count:,} {plural(count, 'event')}"
