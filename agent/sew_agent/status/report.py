"""Report of the running agent: a small file for `sew-agent status`, with what the store does not hold."""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kubectl_sew.consumers.digest_settings import gathered_for
from kubectl_sew.consumers.rate import rate_of
from kubectl_sew.elasticsearch.access import IndexProblem
from kubectl_sew.exceptions import ValidatedExceptions
from kubectl_sew.redaction import redact_urls
from kubectl_sew.resource import Deliverer
from kubectl_sew.resource.conditions import TIGHT
from kubectl_sew.validation.webhook import Accepted, InvalidWebhook
from sew_agent.ingest.progress import Progress
from sew_agent.ingest.source import SourceProblem
from sew_agent.status.conditions import DeliveryTestResult, WebhookStatus, healthy_now
from sew_agent.store.records import Counters, ReceiverState
from sew_agent.webhooks.plan import HANDED_BACK
from sew_agent.webhooks.validator import ValidationResult

NAME = "agent.json"
STALE_AFTER = 30.0
"""Seconds after which the agent of a report that was not written again counts as gone."""
REFRESH = 10.0


@dataclass(frozen=True, slots=True)
class WebhookReport:
    """State of a webhook. `healthy` and `reason` are those of the condition Healthy."""

    consumer: str
    state: str
    healthy: bool
    reason: str
    message: str = ""
    room: float = 0.0
    """Filled part of its share of the store, in steps of 5 %; from 1.0 on nothing is read for it."""
    reads: bool = True
    """True where events can be read for it."""
    rate: float = 0.0
    """Allowed requests a second."""
    gathered: float = 0.0
    """Seconds for which events are gathered into digests; 0.0 without."""
    fetched: str = field(default="", compare=False)
    """Words on how far events are read, and what is in the way; they change all the time."""
    failing_peers: str = ""
    """Receivers that fail while others deliver, and why."""


@dataclass(frozen=True, slots=True)
class ExceptionReport:
    """State of an AlertException. `start` and `end` in seconds since the epoch."""

    in_force: bool
    start: float = 0.0
    end: float | None = None
    suppressed: int = 0
    """Events since the agent's start that it kept from every webhook."""
    broken: str = ""
    """Reason why it suppresses nothing."""


@dataclass(frozen=True, slots=True)
class Report:
    """State of the agent. `written` in seconds since the epoch; no problem or caveat holds a secret."""

    version: str
    pid: int
    written: float
    webhooks: Mapping[str, WebhookReport] = field(default_factory=dict)
    exceptions: Mapping[str, ExceptionReport] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    source: str = ""
    source_troubles: tuple[SourceProblem, ...] = ()
    """Problems of reading events, or some of them."""
    source_caveats: tuple[str, ...] = ()
    """What may be missing of what is read, though nothing fails."""
    events_read: int = field(default=0, compare=False)
    """Events read since the start, whether or not a query selects them; the count changes all the time."""
    started: float = 0.0
    """Start of the agent, in seconds since the epoch."""
    standing_by: bool = False
    """True while another agent has the Lease: this one reads and sends nothing."""
    reads: bool = True
    """False for an agent that leaves reading to another one, and delivers for the webhooks that it owns."""
    holder: str = ""
    """Holder of the Lease then; "" where that is not known."""
    beside_calico: bool = False
    """True where it leaves to Calico's processor what that delivers."""


def report_of_process(problems: Iterable[str], now: float) -> Report:
    """Return what is said of any running agent: which it is, and what is in its way; `now` in epoch seconds."""
    return Report(version("kubectl-sew"), os.getpid(), now, problems=tuple(problems))


@dataclass(frozen=True, slots=True)
class Observations:
    """Observations of all webhooks, by name, beside their validation.

    `room`: filled part of the share of the store; `rates`: consumer -> requests a second.
    """

    room: Mapping[str, float]
    progress: Mapping[str, Progress]
    receivers: Mapping[str, ReceiverState]
    counters: Mapping[str, Counters]
    rates: Mapping[str, float]
    failing_peers: Mapping[str, str]
    beside_calico: bool = False
    """True where Calico's processor delivers some of them."""

    def status_of(
        self, name: str, validated: Accepted | InvalidWebhook, tested: DeliveryTestResult | None = None
    ) -> WebhookStatus:
        """Return what is known of one webhook. `tested`: the test of its present content."""
        accepted = validated if isinstance(validated, Accepted) else None
        rate = rate_of(accepted.config, self.rates[accepted.consumer.name]) if accepted else 0.0
        progress, receiver, counters = self.progress.get(name), self.receivers.get(name), self.counters.get(name)
        return WebhookStatus(validated, progress, receiver, counters, tested, rate)


def build(validated: ValidationResult, known: Observations, now: float) -> Mapping[str, WebhookReport]:
    """Return the reports of all webhooks; `now` in epoch seconds."""
    refused = {
        name: WebhookReport(invalid.consumer, invalid.state, False, invalid.reason.value, invalid.message)
        for name, invalid in validated.invalid.items()
    }
    return refused | {name: _accepted(name, accepted, known, now) for name, accepted in validated.accepted.items()}


def _accepted(name: str, accepted: Accepted, known: Observations, now: float) -> WebhookReport:
    observed = known.status_of(name, accepted)
    status, reason, message = healthy_now(observed, now)
    read = observed.progress
    reads, words = (read.status != "False", read.message) if read else (True, "")
    return WebhookReport(
        accepted.consumer.name,
        _state(accepted, known),
        status == "True",
        reason.value,
        "" if status == "True" else redact_urls(message),
        room=int(known.room.get(name, 0.0) * 20) / 20,
        reads=reads,
        rate=observed.rate,
        gathered=gathered_for(accepted.config),
        fetched=words,
        failing_peers=known.failing_peers.get(name, ""),
    )


def _state(accepted: Accepted, known: Observations) -> str:
    by_calico = accepted.webhook.delivered_by(beside_calico=known.beside_calico) is Deliverer.CALICO
    return HANDED_BACK if by_calico else accepted.webhook.effective_state.value


def report_exceptions(
    validated: ValidatedExceptions, broken: Mapping[str, str], suppressed: Mapping[str, int], now: float
) -> Mapping[str, ExceptionReport]:
    """Return the reports of all exceptions. `broken`: name -> why it suppresses nothing; `now` in epoch seconds."""
    working = {
        accepted.name: ExceptionReport(
            accepted.exception.in_force(now) and accepted.name not in broken,
            accepted.exception.start,
            accepted.exception.end,
            suppressed.get(accepted.name, 0),
            broken.get(accepted.name, ""),
        )
        for accepted in validated.accepted
    }
    unread = {
        name: ExceptionReport(False, suppressed=suppressed.get(name, 0), broken=why)
        for name, why in broken.items()
        if name not in working
    }
    return unread | working


def room_words(room: float) -> str:
    """Describe a nearly full share of the store, and what to do; "" where there is room."""
    if room < TIGHT:
        return ""
    helps = "deliver, `sew-agent backlog drop`, `sew-agent dead-letters replay` or `purge`, or raise SEW_STORE_MAX"
    if room < 1.0:
        return f"its share of the store is {room:.0%} full; when it is full nothing more is read for it: {helps}"
    return f"its share of the store is full: nothing more is read for it until there is room: {helps}"


class ReportFile:
    """Writer of the report: where it changed, and every 10 s without a change."""

    def __init__(self, state: Path) -> None:
        self._places = _places(state)
        self._last: Report | None = None

    def write(self, report: Report) -> None:
        """Replace the file at once: in the state folder, or in memory where that fails, e.g. on a full disk."""
        if self._last and report.written - self._last.written < REFRESH and _same(report, self._last):
            return
        self._last = report
        text = json.dumps(report, default=_fields).encode()
        for place in self._places:
            with suppress(OSError):
                _replace(place, text)
                return

    def remove(self) -> None:
        """Remove the report: the agent has ended."""
        for place in self._places:
            with suppress(OSError):
                place.unlink(missing_ok=True)


def _places(state: Path) -> tuple[Path, ...]:
    """Return the report's paths: in the state folder, and in memory, which every container has for itself."""
    mark = sha256(os.fsencode(state.absolute())).hexdigest()[:16]
    return (state / NAME, *([_MEMORY / f"sew-agent-{os.getuid()}-{mark}.json"] if _MEMORY.is_dir() else []))


_MEMORY = Path("/dev/shm")  # noqa: S108 - written as a new file of ours alone, and read only where it is ours


def _replace(place: Path, content: bytes) -> None:
    """Replace a file, readable for this user alone. Raises OSError, and leaves nothing half-written."""
    partial = place.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(content)
        partial.replace(place)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def read_report(state: Path, now: float) -> Report | None:
    """Return the running agent's newest report; None without a recent one."""
    reports = [report for place in _places(state) if (report := _read(place))]
    report = max(reports, key=lambda report: report.written, default=None)
    return report if report and now - report.written <= STALE_AFTER and _alive(report.pid) else None


def _read(place: Path) -> Report | None:
    try:
        with os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            if place.parent == _MEMORY and os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            content = json.load(file)
        webhooks = {name: WebhookReport(**values) for name, values in content.pop("webhooks").items()}
        exceptions = {name: ExceptionReport(**values) for name, values in content.pop("exceptions").items()}
        problems = tuple(
            SourceProblem(problem["message"], IndexProblem(problem["problem"]))
            for problem in content["source_troubles"]
        )
        parts = {"problems": tuple(content["problems"]), "webhooks": webhooks, "source_troubles": problems}
        parts |= {"exceptions": exceptions, "source_caveats": tuple(content["source_caveats"])}
        return Report(**{**content, **parts})
    except (OSError, ValueError, TypeError, LookupError, AttributeError):  # of no agent, or of another version
        return None


def _fields(instance: Any) -> dict[str, Any]:
    """Return a dataclass's fields as they are: `asdict` would copy them all."""
    return {part.name: getattr(instance, part.name) for part in fields(instance)}


def _same(report: Report, other: Report) -> bool:
    return replace(report, written=0.0) == replace(other, written=0.0)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
