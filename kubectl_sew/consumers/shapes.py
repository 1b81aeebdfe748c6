"""Events that are not Calico's, with Calico's fields filled in, for consumers that show an event to people. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kubectl_sew import json_text
from kubectl_sew.consumers.shape_table import ANY, SHAPES, Shape
from kubectl_sew.event import META_KEYS, Event

TIME_FIELD = "time"
"""Field with the time of Calico's events."""
_DESCRIBING = ("type", "name", "description", "severity")
"""Calico's fields that say what happened."""
_MAIN_FIELDS = 12


def readable(event: Event, time_field: str = TIME_FIELD) -> Event:
    """Return the event with Calico's fields filled in from where its own kind holds them, and the whole as its record.

    Of an event of no known kind that says nothing by Calico's names, the main fields are the description. Its time is
    in `time_field`.
    """
    filled = _filled(event)
    if time_field == TIME_FIELD or not _says(time := _at(event.document, time_field)):
        return filled
    return replace(filled, document={**filled.document, TIME_FIELD: time})


def _filled(event: Event) -> Event:
    document = event.document
    shape = _shape(document)
    if shape is None:
        return event
    fields = {name: value for name, places in shape.places.items() if _says(value := _first(document, places))}
    if shape.name:
        fields.setdefault("origin", shape.name)
    if "description" not in fields and "type" not in fields:
        fields["description"] = _main_fields(document)
    own = {} if document.get("record") else {"record": event.fields()}
    return replace(event, document={**document, **fields, **own})


def is_known(event: Event) -> bool:
    """Return whether a message shows more of the event than the fields that happen to be there."""
    shape = _shape(event.document)
    return shape is not ANY or any(_says(_first(event.document, ANY.places[name])) for name in ("type", "description"))


def _shape(document: Mapping[str, Any]) -> Shape | None:
    """Return the event's shape, None for an event of Calico's."""
    present = [name for name in _DESCRIBING if _says(document.get(name))]
    if "type" in present and len(present) > 1:
        return None
    for shape in SHAPES:
        if all(_at(document, mark) is not None for mark in shape.marks):
            return shape
    return None if present else ANY


def _first(document: Mapping[str, Any], places: tuple[str, ...]) -> Any:
    return next((value for place in places if _says(value := _at(document, place))), None)


def _says(value: Any) -> bool:
    """Return whether a value can stand in a message: no object, and nothing empty."""
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, int | float) or (isinstance(value, list) and bool(value))


def _at(value: Any, path: str) -> Any:
    """Return the value at a dotted path, whose dots may be part of names; None where there is none."""
    if not isinstance(value, Mapping):
        return None
    if path in value:
        return value[path]
    places = [at for at, character in enumerate(path) if character == "."]
    values = (_at(value[path[:at]], path[at + 1 :]) for at in places if path[:at] in value)
    return next((inner for inner in values if inner is not None), None)


def _main_fields(document: Mapping[str, Any]) -> str:
    names = [name for name, value in document.items() if name not in (*META_KEYS, "id") and _says(value)]
    pairs = (f"{json_text.line(name, 60)}: {json_text.line(document[name], 200)}" for name in names[:_MAIN_FIELDS])
    return ", ".join(pairs)
