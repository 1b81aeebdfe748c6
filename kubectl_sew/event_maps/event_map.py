"""A map as data: read from its file, and checked. Pure, but for our own files.

A map is known by its marks, fields that an event must have. Of several places of a field the first that holds something
counts; a dot leads into an object, or is part of a name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

import yaml

from kubectl_sew.errors import SewError
from kubectl_sew.json_text import line

LONGEST_FILE = 64 * 1024
"""Bytes of a file of maps."""
LONGEST_PATH = 200
MOST_PLACES = 20
MOST_LEVELS = 200

_BUILT_IN = ("falco", "suricata", "kibana", "suricata_in_ecs", "ecs")
"""Files of the known kinds, in the order in which an event is tried against them."""

_FIELDS = {
    "title": "type",
    "text": "description",
    "time": "time",
    "link": "link",
    "origin": "origin",
    "host": "host",
    "protocol": "protocol",
    "mitre_ids": "mitre_ids",
    "mitre_tactic": "mitre_tactic",
}
"""Key of a map -> the field of Calico's that it fills; `severity` and the two ends stand apart."""
_ENDS = {"source": "source", "destination": "dest"}
_PARTS = ("namespace", "name", "ip", "port")
_KEYS = ("name", "recognised_by", "severity", *_FIELDS, *_ENDS)


class EventMapError(SewError):
    """A file of maps cannot be used: which, at which line, why, and what to do."""


@dataclass(frozen=True, slots=True)
class EventMap:
    """One kind of events. `places`: field of Calico's -> where this kind holds it; `link` is among them.

    `marks`: groups of fields, of one of which an event must have all; without groups every event is of this kind.
    `levels`: a severity in lower case -> the number on Calico's scale, 0 to 100.
    """

    name: str = ""
    marks: tuple[tuple[str, ...], ...] = ()
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    levels: Mapping[str, float] = field(default_factory=dict)


class _MapProblem(Exception):  # noqa: N818 - told as a problem of the file's line
    """Something is wrong at a node."""

    def __init__(self, node: yaml.Node, message: str) -> None:
        super().__init__(message)
        self.line = node.start_mark.line + 1


@cache
def built_in() -> tuple[EventMap, ...]:
    """Return the maps of the known kinds."""
    return tuple(_own(name) for name in _BUILT_IN)


@cache
def other() -> EventMap:
    """Return the map of events of no known kind."""
    return _own("other")


def _own(name: str) -> EventMap:
    file = f"{name}.yaml"
    (only,) = read_maps(files(__package__ or "").joinpath(file).read_text("utf-8"), file)
    return only


def read_maps(text: str, where: str) -> tuple[EventMap, ...]:
    """Read the maps of a file, one a document. `where` names the file in what EventMapError says."""
    if len(text.encode("utf-8", "replace")) > LONGEST_FILE:
        raise EventMapError(f"the event map {where} has more than {LONGEST_FILE >> 10} KiB: leave out what is no map")
    try:
        maps = tuple(_map(node) for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None)
    except _MapProblem as problem:
        raise EventMapError(f"the event map {where}, line {problem.line}: {problem}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}" if mark else ""
        why = line(error.problem or "it cannot be read", 200)
        raise EventMapError(f"the event map {where}{place}: this is not YAML: {why}; correct it") from None
    except (yaml.YAMLError, RecursionError):
        raise EventMapError(f"the event map {where} is not YAML: remove control characters, and deep nesting") from None
    if not maps:
        raise EventMapError(f"the event map {where} is empty: write at least `title: FIELD`")
    return maps


def _map(node: yaml.Node) -> EventMap:
    entries = _entries(node, _KEYS, "a map's keys are")
    places = {_FIELDS[key]: _places(value) for key, value in entries.items() if key in _FIELDS}
    for key, side in _ENDS.items():
        if key in entries:
            places |= {f"{side}_{part}": paths for part, paths in _end(entries[key])}
    levels: dict[str, float] = {}
    if severity := entries.get("severity"):
        places["severity"], levels = _severity(severity)
    if not places.keys() & {"type", "description"}:
        raise _MapProblem(
            node, "neither `title` nor `text` is there: a message would say nothing; write `title: FIELD`"
        )
    name = _text(entries["name"], empty=True) if "name" in entries else ""
    marks = _marks(entries["recognised_by"]) if "recognised_by" in entries else ()
    return EventMap(name, marks, places, levels)


def _entries(node: yaml.Node, known: tuple[str, ...], what: str) -> dict[str, yaml.Node]:
    """Return a mapping's values by their keys, all of which must be known."""
    entries: dict[str, yaml.Node] = {}
    for key, value in _pairs(node, f"write `KEY: VALUE` lines here; {what} {', '.join(known)}"):
        name = _text(key)
        if name not in known:
            near = get_close_matches(name[:64].lower(), known, 1, 0.6)
            hint = f"did you mean `{near[0]}`?" if near else f"{what} {', '.join(known)}"
            raise _MapProblem(key, f"there is no key `{line(name, 60)}`: {hint}")
        if name in entries:
            raise _MapProblem(key, f"`{name}` stands twice: keep one")
        entries[name] = value
    return entries


def _pairs(node: yaml.Node, hint: str) -> list[tuple[yaml.Node, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        raise _MapProblem(node, hint)
    return list(node.value)


def _text(node: yaml.Node, *, empty: bool = False) -> str:
    if not isinstance(node, yaml.ScalarNode) or not (node.value.strip() or empty):
        raise _MapProblem(node, "a word is wanted here: write it on the same line, in quotes if need be")
    value: str = node.value
    return value.strip()


def _places(node: yaml.Node) -> tuple[str, ...]:
    """Return paths: one, or a list of which the first that an event has counts."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    if not 1 <= len(nodes) <= MOST_PLACES:
        raise _MapProblem(node, f"there are {len(nodes)} fields: give 1 to {MOST_PLACES}, the best first")
    return tuple(_path(each) for each in nodes)


def _path(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _MapProblem(
            node, "a field is wanted here: write its name, with dots between objects, such as `alert.msg`"
        )
    path = _text(node)
    if len(path) > LONGEST_PATH:
        raise _MapProblem(node, f"the field's name has {len(path)} characters: at most {LONGEST_PATH} are allowed")
    return path


def _end(node: yaml.Node) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the parts of a source or destination; one that is just a field is its name."""
    if not isinstance(node, yaml.MappingNode):
        yield "name", _places(node)
        return
    for part, value in _entries(node, _PARTS, "the parts are").items():
        yield part, _places(value)


def _severity(node: yaml.Node) -> tuple[tuple[str, ...], dict[str, float]]:
    if not isinstance(node, yaml.MappingNode):
        return _places(node), {}
    entries = _entries(node, ("fields", "levels"), "those of a severity are")
    if "fields" not in entries:
        raise _MapProblem(node, "`severity` has no `fields`: write `fields: FIELD`")
    return _places(entries["fields"]), dict(_levels(entries["levels"])) if "levels" in entries else {}


def _levels(node: yaml.Node) -> Iterator[tuple[str, float]]:
    pairs = _pairs(node, "write `WORD: NUMBER` lines here, such as `high: 90`")
    if len(pairs) > MOST_LEVELS:
        raise _MapProblem(node, f"there are {len(pairs)} levels: at most {MOST_LEVELS} are allowed")
    for key, value in pairs:
        yield _text(key).lower(), _level(value)


def _level(node: yaml.Node) -> float:
    text = _text(node)
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:
        raise _MapProblem(
            node, f"a level is a number from 0 to 100, as Calico's severities are, not `{line(text, 40)}`"
        )
    return int(number) if number.is_integer() else number


def _marks(node: yaml.Node) -> tuple[tuple[str, ...], ...]:
    """Return the groups: a list of fields is one group, a list of lists are several."""
    nested = isinstance(node, yaml.SequenceNode) and any(isinstance(each, yaml.SequenceNode) for each in node.value)
    groups = [_places(each) for each in node.value] if nested else [_places(node)]
    if len(groups) > MOST_PLACES:
        raise _MapProblem(node, f"there are {len(groups)} lists: give at most {MOST_PLACES}")
    return tuple(groups)
