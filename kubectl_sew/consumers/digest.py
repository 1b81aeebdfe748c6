"""A digest of several events of one group: how often each value occurs, and the newest of them. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, runtime_checkable

from kubectl_sew.consumers import event_text
from kubectl_sew.consumers.base import Config, Request
from kubectl_sew.consumers.digest_settings import DigestSettings, group_values
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EventMaps, ReadableEvent
from kubectl_sew.json_text import line
from kubectl_sew.text import cut, plural, rfc3339

TOP = 10
"""Values in a list, the most frequent ones."""
NOTHING = "none"
"""Stands for the value of events that have none."""
_ID_LIMIT = 600
_SHOWN_LIMIT = 120


@dataclass(frozen=True, slots=True)
class Tally:
    """How often each value occurs: `top` are the most frequent ones, and `rest` events have one of `others` more."""

    top: tuple[tuple[str, int], ...]
    others: int = 0
    rest: int = 0

    @property
    def events(self) -> int:
        """Return how many events are counted in it: all of the digest."""
        return sum(count for _, count in self.top) + self.rest

    def shown(self) -> list[str]:
        """Return each value with its count, and at the end what was left out."""
        lines = [f"{cut(value, _SHOWN_LIMIT)} ({count})" for value, count in self.top]
        return lines + ([f"{self.others} {plural(self.others, 'other')} ({self.rest})"] if self.others else [])


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest of `count` events; each of them is counted in every tally. `newest`: the newest one first."""

    count: int
    group: tuple[tuple[str, str], ...]
    first: float | None
    last: float | None
    severity: Any
    """The highest one of those that are numbers, else the most frequent word."""
    types: Tally
    severities: Tally
    sources: Tally
    destinations: Tally
    newest: tuple[ReadableEvent, ...]
    ids: tuple[str, ...]
    """The ids of all, in the order in which they were read."""

    @property
    def tallies(self) -> Mapping[str, Tally]:
        return {
            "Types": self.types,
            "Severities": self.severities,
            "Sources": self.sources,
            "Destinations": self.destinations,
        }

    @property
    def headline(self) -> str:
        """Return how many events these are, of which type, and how severe the worst is."""
        kinds = [name for name, _ in self.types.top]
        what = f" · {kinds[0]}" if len(kinds) == 1 and kinds[0] != NOTHING else ""
        worst = line(self.severity, 20)
        return f"{self.count} {plural(self.count, 'event')}{what}" + (f" · highest severity {worst}" if worst else "")

    @property
    def text(self) -> str:
        """Return all of it that fits into a sentence."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.types.top)
        more = f", {self.types.rest} of other types" if self.types.rest else ""
        where = "".join(f" with {name} {value or NOTHING}" for name, value in self.group)
        return f"{self.count} {plural(self.count, 'event')}{where} {self.span}: {kinds}{more}"

    @property
    def span(self) -> str:
        """Return from when to when the events are, by their own times."""
        if self.first is None or self.last is None:
            return "without a time"
        return f"from {rfc3339(self.first)} to {rfc3339(self.last)}"

    def event(self, digest_id: str) -> Event:
        """Return it as an event, for templates and for receivers of JSON: an event's names, and `digest`."""
        kinds = [name for name, _ in self.types.top]
        document = {
            "type": kinds[0] if len(kinds) == 1 else "digest",
            "name": f"{self.count} events",
            "description": self.text,
            "severity": self.severity,
            "time": None if self.last is None else int(self.last),
            "digest": {
                "count": self.count,
                "first": None if self.first is None else rfc3339(self.first),
                "last": None if self.last is None else rfc3339(self.last),
                "group": dict(self.group),
                **{name.lower(): _counts(tally) for name, tally in self.tallies.items()},
                "newest": [readable.raw.fields() | {"id": readable.raw.id} for readable in self.newest],
                "ids": list(self.ids),
            },
        }
        return Event("", digest_id, document)


@runtime_checkable
class SendsDigests(Protocol):
    """A consumer that can send several events as one message."""

    def render_digest(
        self, digest: Digest, labels: Mapping[str, str], config: Config, *, now: float, delivery_id: str
    ) -> tuple[Request, ...]:
        """Return the requests that deliver a digest, as `Consumer.render` does for an event. Raises RenderError."""


def make_digest(events: Sequence[Event], asked: DigestSettings, maps: EventMaps) -> Digest:
    """Make the digest of events of one group, in the order in which they were read; there is at least one."""
    readable = [maps.read(event) for event in events]
    shown = [each.shown for each in readable]
    times = [event.time for event in shown]
    known = [time for time in times if time is not None]
    severities = [event_text.severity(event) for event in shown]
    by_time = sorted(range(len(events)), key=lambda at: (times[at] or 0.0, at), reverse=True)
    return Digest(
        len(events),
        group_values(readable[0], asked.group_by),
        min(known, default=None),
        max(known, default=None),
        _highest(severities),
        _tally(line(event.document.get("type"), 60) for event in shown),
        _tally(severities),
        _tally(event_text.party(event, "source") for event in shown),
        _tally(event_text.party(event, "dest") for event in shown),
        tuple(readable[at] for at in by_time[: asked.named]),
        tuple(line(event.id, _ID_LIMIT) for event in events),
    )


def digest_id(webhook: str, members: Iterable[str]) -> str:
    """Return the id of the digest of these deliveries, by their ids: 32 hexadecimal digits, as a delivery has."""
    return sha256("\0".join(["digest", webhook, *sorted(members)]).encode()).hexdigest()[:32]


def group_id(webhook: str, key: str) -> str:
    """Return the id of a webhook's group, by what stands for its values: 32 hexadecimal digits."""
    return sha256(f"group\0{webhook}\0{key}".encode()).hexdigest()[:32]


def fitting_ids(ids: Sequence[str], limit: int, size: Callable[[str], int] = len) -> tuple[str, int]:
    """Return the ids that fit, newest last, separated by blanks, and how many were left out."""
    kept, room = 0, limit
    for each in ids:
        room -= size(each) + 1
        if room < 0:
            break
        kept += 1
    return " ".join(ids[:kept]), len(ids) - kept


def _tally(values: Iterable[str]) -> Tally:
    counts = Counter(value or NOTHING for value in values)
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    return Tally(tuple(top), len(counts) - len(top), counts.total() - sum(count for _, count in top))


def _counts(tally: Tally) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = [{"value": value, "count": count} for value, count in tally.top]
    return values + ([{"others": tally.others, "count": tally.rest}] if tally.others else [])


def _highest(severities: Sequence[str]) -> Any:
    numbers = [int(text) for text in severities if text.isascii() and text.isdigit() and len(text) < 10]
    words = Counter(text for text in severities if text)
    return max(numbers) if numbers else next((word for word, _ in words.most_common(1)), None)
