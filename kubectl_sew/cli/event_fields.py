"""The keys that the events of a file have, with their types and values: what queries on them may use. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubectl_sew.json_text import line

MOST_KEYS = 2_000
_MOST_VALUES = 3
_LONGEST = 40
_TYPES = {str: "string", bool: "boolean", int: "number", float: "number"}


@dataclass(slots=True)
class EventsSeen:
    """A key: the number of events in which it has a value, its types, and some of the values."""

    events: int = 0
    types: Counter[str] = field(default_factory=Counter)
    values: dict[str, None] = field(default_factory=dict)

    def take(self, values: Iterable[Any]) -> None:
        """The values of one event."""
        self.events += 1
        for value in values:
            self.types[_TYPES.get(type(value), "string")] += 1
            if len(self.values) < _MOST_VALUES:
                self.values[line(value, _LONGEST)] = None

    @property
    def type(self) -> str:
        return " or ".join(kind for kind, _ in self.types.most_common())


class Keys:
    """Collects the keys of events, MOST_KEYS at most."""

    def __init__(self) -> None:
        self.events = 0
        self.left_out = False
        self._keys: dict[str, EventsSeen] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        self.events += 1
        by_name: dict[str, list[Any]] = {}
        for name, value in _leaves(event):
            by_name.setdefault(name, []).append(value)
        for name, values in by_name.items():
            if name in self._keys or len(self._keys) < MOST_KEYS:
                self._keys.setdefault(name, EventsSeen()).take(values)
            else:
                self.left_out = True

    def __iter__(self) -> Iterator[tuple[str, EventsSeen]]:
        return iter(sorted(self._keys.items()))


def _leaves(event: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    stack: list[tuple[str, Any]] = [(str(key), value) for key, value in event.items()]
    while stack:
        name, value = stack.pop()
        if isinstance(value, Mapping):
            stack += [(f"{name}.{key}", child) for key, child in value.items()]
        elif isinstance(value, list):
            stack += [(name, child) for child in value]
        elif value is not None:
            yield name, value
