"""What the running agent knows and the store does not: a small file beside the store, for `sew-agent status`."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from agent.acceptance import Judged
from agent.fetched import Fetched
from agent.sources.base import Trouble
from kubectl_sew.access import IndexProblem
from kubectl_sew.resource import HealthyReason, State

NAME = "agent.json"
STALE_AFTER = 30.0
"""Seconds after which a report that was not written again is that of an agent that is gone."""
REFRESH = 10.0
TIGHT = 0.8
"""How full a webhook's share of the store may be before a person is warned."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the agent last found about a webhook. `healthy` and `reason` are those of the condition Healthy."""

    consumer: str
    state: str
    healthy: bool
    reason: str
    message: str = ""
    room: float = 0.0
    """How full its share of the store is, in steps of 5 %; from 1.0 on nothing is read for it."""
    reads: bool = True
    """Events can be read for it."""
    fetched: str = field(default="", compare=False)
    """How far they have been read, and what is in the way; it changes all the time."""
    failing_peers: str = ""
    """Which of its receivers fail while others deliver, and why."""


@dataclass(frozen=True, slots=True)
class Report:
    """`written` in seconds since the epoch. `problems` and `source_troubles` hold no secrets."""

    version: str
    pid: int
    written: float
    webhooks: Mapping[str, Told] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    source: str = ""
    source_troubles: tuple[Trouble, ...] = ()
    """Why events, or some of them, cannot be read now."""
    standing_by: bool = False
    """Another agent has the Lease: this one reads and sends nothing."""
    holder: str = ""
    """Who has it then, "" where that is not known."""


def tell(
    judged: Judged, room: Mapping[str, float], fetched: Mapping[str, Fetched], failing_peers: Mapping[str, str]
) -> Mapping[str, Told]:
    """What is found about each webhook. `room`: how full its share of the store is; `fetched`: of those read for."""
    told = {
        name: Told(each.consumer, each.state, False, each.reason, each.message) for name, each in judged.unfit.items()
    }
    for name, accepted in judged.accepted.items():
        state = accepted.webhook.state
        reason = HealthyReason.STATE if state is State.DISABLED else HealthyReason.VALIDATION
        filled = int(room.get(name, 0.0) * 20) / 20
        healthy = state is not State.DISABLED
        read = fetched.get(name)
        reads, words = (read.status != "False", read.message) if read else (True, "")
        told[name] = Told(
            accepted.consumer.name,
            state.value,
            healthy,
            reason.value,
            room=filled,
            reads=reads,
            fetched=words,
            failing_peers=failing_peers.get(name, ""),
        )
    return told


def room_words(room: float) -> str:
    """What a share of the store that is nearly full means, and what to do; "" where there is room."""
    if room < TIGHT:
        return ""
    helps = "deliver, `sew-agent backlog drop`, `sew-agent dead-letters replay` or `purge`, or raise SEW_STORE_MAX"
    if room < 1.0:
        return f"its share of the store is {room:.0%} full; when it is full nothing more is read for it: {helps}"
    return f"its share of the store is full: it keeps its position and is read for again when there is room: {helps}"


class ReportFile:
    """Writes a report where it changed, and every 10 s that it did not."""

    def __init__(self, state: Path) -> None:
        self._path = state / NAME
        self._last: Report | None = None

    def write(self, report: Report) -> None:
        """Replaces the file at once. A disk that refuses it costs the status, and nothing else."""
        if self._last and report.written - self._last.written < REFRESH and _same(report, self._last):
            return
        self._last = report
        partial = self._path.with_suffix(".partial")
        try:
            partial.write_text(json.dumps(report, default=_fields))
            partial.replace(self._path)
        except OSError:
            return

    def remove(self) -> None:
        """The agent has ended: there is nobody to be asked."""
        self._path.unlink(missing_ok=True)


def read_report(state: Path, now: float) -> Report | None:
    """The running agent's report; None without one that is recent."""
    try:
        content = json.loads((state / NAME).read_text())
        webhooks = {name: Told(**told) for name, told in content.pop("webhooks").items()}
        troubles = tuple(Trouble(each["message"], IndexProblem(each["problem"])) for each in content["source_troubles"])
        told = {"problems": tuple(content["problems"]), "webhooks": webhooks, "source_troubles": troubles}
        report = Report(**{**content, **told})
    except (OSError, ValueError, TypeError, LookupError, AttributeError):  # of no agent, or of another version
        return None
    return report if now - report.written <= STALE_AFTER and _alive(report.pid) else None


def _fields(one: Any) -> dict[str, Any]:
    """Of one dataclass, its parts as they are: `asdict` would copy them all."""
    return {each.name: getattr(one, each.name) for each in fields(one)}


def _same(one: Report, other: Report) -> bool:
    return replace(one, written=0.0) == replace(other, written=0.0)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
