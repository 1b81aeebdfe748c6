"""Status conditions: what they say, when a transition happens, and when a write to the API is worth it.

Facts: `metav1.Condition` of Kubernetes (fields, limits), and Calico's reasons for `Healthy`, which dashboards read.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from sys import intern
from typing import Any, Literal

from kubectl_sew.event import read_time
from kubectl_sew.text import cut, rfc3339, spell_duration

Status = Literal["True", "False", "Unknown"]

LONGEST_MESSAGE = 1_024
"""Kubernetes allows 32,768 characters; a person, and a thousand webhooks on a watch, want fewer."""
TIGHT = 0.8
"""How full a webhook's share of the agent's store may be before a person is warned."""

OURS = ("EventsFetched", "Delivering")
"""The types of conditions that our agent alone writes."""

_READ_TO = re.compile(r"^read to ([0-9T:-]{19}Z)")

SETTLE = 10.0
"""Seconds between two writes to one webhook, whatever changes."""

REFRESH = 600.0
"""Seconds between two writes where nothing but a message changed."""


class HealthyReason(Enum):
    """Why a webhook is or is not healthy; the names are Calico's."""

    STATE = "WebhookState"
    QUERY_PARSING = "QueryParsing"
    QUERY_VALIDATION = "QueryValidation"
    CONFIGURATION_PARSING = "ConfigurationParsing"
    CONSUMER_DISCOVERY = "ConsumerDiscovery"
    CONSUMER_VALIDATION = "ConsumerConfigurationValidation"
    VALIDATION = "WebhookValidation"
    PROCESSING = "SecurityEventsProcessing"
    TEST = "TestFireProcedure"


class FetchedReason(Enum):
    """The reasons of `EventsFetched`."""

    READ = "EventsRead"
    STATE = "WebhookState"
    NOT_ACCEPTED = "WebhookNotAccepted"
    UNANSWERABLE = "QueryNotAnswerable"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    BACKLOG_FULL = "BacklogFull"
    STORE = "StoreUnavailable"


class DeliveringReason(Enum):
    """The reasons of `Delivering`."""

    DELIVERING = "Delivering"
    BEHIND = "FallingBehind"
    STATE = "WebhookState"
    NOT_ACCEPTED = "WebhookNotAccepted"
    RETRYING = "ReceiverUnavailable"
    PARKED = "ReceiverRefuses"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as the API holds it; `last_transition_time` in RFC 3339, kept as it came, "" before the first."""

    type: str
    status: str
    reason: str
    message: str = ""
    observed_generation: int = 0
    last_transition_time: str = ""

    @classmethod
    def from_object(cls, obj: Mapping[str, Any]) -> "Condition":
        """Reads a condition of any writer; what cannot be read is left empty.

        Of a thousand webhooks most say the same, so each text is kept once.
        """
        texts = (obj.get(name) for name in ("type", "status", "reason", "message"))
        type_, status, reason, message = (intern(text) if isinstance(text, str) else "" for text in texts)
        generation, since = obj.get("observedGeneration"), obj.get("lastTransitionTime")
        return cls(
            type_,
            status,
            reason,
            message,
            generation if isinstance(generation, int) else 0,
            intern(since) if isinstance(since, str) else "",
        )

    def to_object(self) -> dict[str, Any]:
        """Return the condition as the API takes it; a generation of 0 is left out, as Kubernetes does."""
        obj: dict[str, Any] = {
            "type": self.type,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": self.last_transition_time,
        }
        return obj | ({"observedGeneration": self.observed_generation} if self.observed_generation else {})


def write_conditions(conditions: Iterable[Condition]) -> str:
    """Return conditions as the text of an annotation."""
    return json.dumps([condition.to_object() for condition in conditions], ensure_ascii=False, separators=(",", ":"))


def read_conditions(annotation: str) -> tuple[Condition, ...]:
    """Return the conditions that `write_conditions` wrote; none of any other text."""
    try:
        items = json.loads(annotation) if annotation else []
    except (ValueError, RecursionError):
        return ()
    written = items if isinstance(items, list) else []
    return tuple(Condition.from_object(item) for item in written if isinstance(item, Mapping))


def healthy(status: Status, reason: HealthyReason, message: str, generation: int) -> Condition:
    """Return the condition `Healthy`: the webhook is accepted and works."""
    return _condition("Healthy", status, reason.value, message, generation)


def events_fetched(status: Status, reason: FetchedReason, message: str, generation: int) -> Condition:
    """Return the condition `EventsFetched`; `read_to` writes the message of a good one."""
    return _condition("EventsFetched", status, reason.value, message, generation)


def delivering(status: Status, reason: DeliveringReason, message: str, generation: int) -> Condition:
    """Return the condition `Delivering`: name the last error, and the backlog by `describe_backlog`."""
    return _condition("Delivering", status, reason.value, message, generation)


def merge(existing: Iterable[Condition], wanted: Iterable[Condition], *, now: float) -> tuple[Condition, ...]:
    """The whole array to write: other writers' conditions as they are, ours in place or at the end.

    `lastTransitionTime` becomes `now` (epoch seconds) only where the status changes.
    """
    ours = {condition.type: condition for condition in wanted}
    before = {condition.type: condition for condition in existing}
    kept = [
        condition if condition.type not in ours else _follow(condition, ours[condition.type], now)
        for condition in before.values()
    ]
    return (*kept, *(_follow(None, condition, now) for condition in ours.values() if condition.type not in before))


def write_due(
    existing: Sequence[Condition], merged: Sequence[Condition], *, last_write: float | None, now: float
) -> float | None:
    """Seconds until `merged` should be written: 0 at once, None never. `last_write` is ours, None before the first.

    A change of status, reason, generation or cause waits for `SETTLE` since the last write, and so does a checkpoint
    that falls: an event that came late waits for delivery. A change of numbers alone waits for `REFRESH`.
    """
    if list(existing) == list(merged):
        return None
    if last_write is None:
        return 0.0
    before, after = checkpoint(existing), checkpoint(merged)
    fallen = before is not None and after is not None and after < before
    pause = SETTLE if fallen or _essence(existing) != _essence(merged) else REFRESH
    return max(0.0, last_write + pause - now)


def read_to(moment: float) -> str:
    """The message of a good `EventsFetched`; `moment` in epoch seconds."""
    return f"read to {rfc3339(moment)}"


def checkpoint(conditions: Iterable[Condition]) -> float | None:
    """The moment that `EventsFetched` says everything was read to (epoch seconds); None where it says none."""
    messages = (condition.message for condition in conditions if condition.type == "EventsFetched")
    hit = next((match for match in map(_READ_TO.search, messages) if match), None)
    return read_time(hit[1]) if hit else None


def describe_backlog(waiting: int, oldest_age: float) -> str:
    """Backlog and age (seconds), rounded so that the text, and with it the resource, does not change all the time."""
    if not waiting:
        return "nothing is waiting"
    events = "1 event waits" if waiting == 1 else f"{_about(waiting)} events wait"
    return f"{events}, the oldest for {spell_duration(oldest_age)}"


_BACKLOG = re.compile(
    r"nothing is waiting|(1 event waits|(?<![0-9,])(?P<events>(about )?[0-9,]+) events wait)"
    r", the oldest for (under a minute|[0-9]+ (d|h|min))"
)


def waiting_in(conditions: Iterable[Condition]) -> str:
    """Return how many events wait, as last written: `0`, `12`, `about 1,200`; "" where nothing was."""
    messages = (condition.message for condition in conditions if condition.type == "Delivering")
    hit = next((match for match in map(_BACKLOG.search, messages) if match), None)
    if hit is None:
        return ""
    return hit["events"] or ("1" if hit[0].startswith("1 ") else "0")


def with_backlog(message: str, waiting: int, oldest_age: float) -> str:
    """Return the message of a condition, with what waits now instead of what waited when it was written."""
    return _BACKLOG.sub(describe_backlog(waiting, oldest_age), message)


def _condition(type_: str, status: Status, reason: str, message: str, generation: int) -> Condition:
    return Condition(type_, status, reason, cut(message, LONGEST_MESSAGE), generation)


def _follow(before: Condition | None, after: Condition, now: float) -> Condition:
    same = before is not None and before.status == after.status and before.last_transition_time
    return replace(after, last_transition_time=before.last_transition_time if before and same else rfc3339(now))


def _essence(conditions: Iterable[Condition]) -> dict[str, tuple[str, str, int, str]]:
    return {
        condition.type: (condition.status, condition.reason, condition.observed_generation, _cause(condition))
        for condition in conditions
    }


_NUMBERS = re.compile(rf"{_READ_TO.pattern}(; )?|{_BACKLOG.pattern}|[0-9]+")


_BROKEN = re.compile(r"AlertException \S+ suppresses nothing")


def _cause(condition: Condition) -> str:
    """Return what is wrong, without what changes all the time: how far was read, what waits, and every number.

    Of a good condition that is which exceptions are broken.
    """
    if condition.status == "False":
        return _NUMBERS.sub("", condition.message)
    return "; ".join(_BROKEN.findall(condition.message))


def _about(count: int) -> str:
    """Two leading digits, e.g. `about 1,200`; below 100 as it is."""
    step = 10 ** max(0, len(str(count)) - 2)
    return f"{count:,}" if step == 1 else f"about {count // step * step:,}"
