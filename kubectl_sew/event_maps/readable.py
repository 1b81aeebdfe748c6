"""Events that are not Calico's, with Calico's fields filled in by the map of their kind. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from kubectl_sew import json_text
from kubectl_sew.event import META_KEYS, Event, read_time
from kubectl_sew.event_maps.event_map import EventMap, built_in, other

TIME_FIELD = "time"
"""Field with the time of Calico's events."""
_DESCRIBING = ("type", "name", "description", "severity")
"""Calico's fields that say what happened."""
_MAIN_FIELDS = 12
_LONGEST_TITLE = 60
"""Characters of an event's type in a message: a longer title stands before the text, too."""
_LONGEST_LINK = 1_000
_LEAST_MILLISECONDS = 10**11
"""In seconds this is the year 5138."""
_LINK = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&()*+,;=%-]+")
"""An address as it may stand in a message: nothing in it is markup there."""


@dataclass(frozen=True, slots=True)
class ReadableEvent:
    """An event as messages show it. `raw`: as it came; `shown`: with Calico's fields, and the whole as its record.

    `filled`: what the map found, by Calico's names. `severity`: on Calico's scale where the map knows the event's own.
    `link`: an address that a message may hold, or "".
    """

    raw: Event
    shown: Event
    filled: Mapping[str, Any] = field(default_factory=dict)
    severity: Any = None
    link: str = ""

    @property
    def names(self) -> Mapping[str, Any]:
        """What a template has by Calico's names although the event has no field of that name."""
        return {name: value for name, value in self.filled.items() if name not in self.raw.document}


class Heading(NamedTuple):
    """What says shortly which event it is: as in its ReadableEvent. `time` in epoch seconds, None where it has none."""

    type: Any
    severity: Any
    time: float | None


@dataclass(frozen=True, slots=True)
class EventMaps:
    """The user's own maps before ours, and the field of the events' time (`SEW_TIME_FIELD`)."""

    own: tuple[EventMap, ...] = ()
    time_field: str = TIME_FIELD

    def read(self, event: Event) -> ReadableEvent:
        """Return the event with Calico's fields filled in from where its own kind holds them.

        Of an event of no known kind that says nothing by Calico's names, the main fields are the description.
        """
        found = self._map_of(event.document)
        readable = _filled(event, found) if found else ReadableEvent(event, event, {}, event.document.get("severity"))
        if self.time_field == TIME_FIELD or not _says(time := value_at(event.document, self.time_field)):
            return readable
        time = _seconds(time) if found else time
        shown = replace(readable.shown, document={**readable.shown.document, TIME_FIELD: time})
        return replace(readable, shown=shown)

    def heading(self, event: Event) -> Heading:
        """Return type, severity and time of an event as `read` has them, at less cost."""
        document = event.document
        found = self._map_of(document)
        kind, severity = (_own_or_calico(document, found, name) for name in ("type", "severity"))
        return Heading(kind, _severity(severity, found.levels) if found else severity, self._time(document, found))

    def time(self, event: Event) -> float | None:
        """Return when an event happened, as `heading` does, at less cost, and whatever it holds."""
        try:
            return self._time(event.document, self._map_of(event.document))
        except Exception:  # noqa: BLE001 - a mistake of ours costs a time, and not all that is to be read
            return event.time

    def _time(self, document: Mapping[str, Any], found: EventMap | None) -> float | None:
        time = _own_or_calico(document, found, TIME_FIELD)
        if self.time_field != TIME_FIELD and _says(own := value_at(document, self.time_field)):
            time = own
        return read_time(_seconds(time) if found else time)

    def knows(self, event: Event) -> bool:
        """Return whether a message shows more of the event than the fields that happen to be there."""
        found = self._map_of(event.document)
        return found is None or found.marks != () or bool(_first_of(event.document, found, "type", "description"))

    def _map_of(self, document: Mapping[str, Any]) -> EventMap | None:
        """Return the map of the event's kind, None for an event of Calico's."""
        if own := _recognising(self.own, document):
            return own
        present = [name for name in _DESCRIBING if _says(document.get(name))]
        if "type" in present and len(present) > 1:
            return None
        general = next((each for each in self.own if not each.marks), None)
        found = general or _recognising(built_in(), document)
        return found or (None if present else other())


EVENT_MAPS = EventMaps()
"""The maps where the user has none."""


def value_at(value: Any, path: str) -> Any:
    """Return the value at a dotted path, whose dots may be part of names; None where there is none."""
    if not isinstance(value, Mapping):
        return None
    if path in value:
        return value[path]
    places = [at for at, character in enumerate(path) if character == "."]
    values = (value_at(value[path[:at]], path[at + 1 :]) for at in places if path[:at] in value)
    return next((inner for inner in values if inner is not None), None)


def _recognising(maps: tuple[EventMap, ...], document: Mapping[str, Any]) -> EventMap | None:
    """Return the first map with a group of marks all of which the event has."""
    for each in maps:
        if any(all(value_at(document, mark) is not None for mark in group) for group in each.marks):
            return each
    return None


def _filled(event: Event, found: EventMap) -> ReadableEvent:
    document = event.document
    fields = {name: value for name in found.places if _says(value := _first_of(document, found, name))}
    if TIME_FIELD in fields:
        fields[TIME_FIELD] = _seconds(fields[TIME_FIELD])
    link = _safe_link(fields.pop("link", None))
    severity = _severity(fields.get("severity"), found.levels)
    if found.name:
        fields.setdefault("origin", found.name)
    filled = fields | ({"severity": severity} if _says(severity) else {}) | ({"link": link} if link else {})
    if "description" not in fields and "type" not in fields:
        fields["description"] = _main_fields(document)
    if len(title := json_text.line(fields.get("type"), 1_000)) > _LONGEST_TITLE:
        text = json_text.line(fields.get("description"), 10_000)
        fields["description"] = f"{title}: {text}" if text else title
    if "severity" in fields and not _is_word(fields["severity"]) and _says(severity):
        fields["severity"] = severity
    own = {} if document.get("record") else {"record": event.fields()}
    shown = replace(event, document={**document, **fields, **own})
    return ReadableEvent(event, shown, filled, severity, link)


def _own_or_calico(document: Mapping[str, Any], found: EventMap | None, name: str) -> Any:
    """Return the value where the event's kind has it, else the one by Calico's name."""
    own = _first_of(document, found, name) if found else None
    return document.get(name) if own is None else own


def _severity(value: Any, levels: Mapping[str, float]) -> Any:
    """Return the number on Calico's scale; the value itself where nothing is known of its own.

    Where the map has levels for numbers, a number without one means nothing: None.
    """
    plain = int(value) if isinstance(value, float) and value.is_integer() else value
    known = levels.get(json_text.line(plain, 40).lower())
    if known is not None or _is_word(value) or value is None:
        return value if known is None else known
    return None if any(not _is_word(level) for level in levels) else value


def _seconds(time: Any) -> Any:
    """Return a time in milliseconds in seconds, and any other as it is."""
    is_number = isinstance(time, int | float) and not isinstance(time, bool)
    return time / 1_000 if is_number and _LEAST_MILLISECONDS <= time < 1_000 * _LEAST_MILLISECONDS else time


def _is_word(value: Any) -> bool:
    """Return whether a severity is more than a number: a person understands it as it is."""
    try:
        float(json_text.line(value, 40))
    except ValueError:
        return True
    return False


def _safe_link(value: Any) -> str:
    """Return an address that a message may hold; "" for what is none, or hides its host behind a user."""
    if not isinstance(value, str) or len(value) > _LONGEST_LINK or not _LINK.fullmatch(value):
        return ""
    try:
        split = urlsplit(value)
    except ValueError:
        return ""
    return value if split.hostname and "@" not in split.netloc else ""


def _first_of(document: Mapping[str, Any], found: EventMap, *names: str) -> Any:
    places = (place for name in names for place in found.places.get(name, ()))
    return next((value for place in places if _says(value := value_at(document, place))), None)


def _says(value: Any) -> bool:
    """Return whether a value can stand in a message: no object, and nothing empty."""
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, int | float) or (isinstance(value, list) and bool(value))


def _main_fields(document: Mapping[str, Any]) -> str:
    names = [name for name, value in document.items() if name not in (*META_KEYS, "id") and _says(value)]
    pairs = (f"{json_text.line(name, 60)}: {json_text.line(document[name], 200)}" for name in names[:_MAIN_FIELDS])
    return ", ".join(pairs)
