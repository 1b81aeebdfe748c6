"""Paths into JSON, such as `$.items[0].status`: what an answer must hold, and where a body's texts are cut. Pure."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

Path = tuple[str | int | None, ...]
"""Steps into a value: the name of a member, the place in a list, or None for every place."""

_STEP = re.compile(r'\.([A-Za-z_][A-Za-z0-9_-]*)|\["([^"\\]{1,200})"\]|\[([0-9]{1,6})\]|\[\*\]')


@lru_cache(maxsize=1024)
def parse_path(text: str) -> Path:
    """Read a path. Raises ValueError."""
    steps: list[str | int | None] = []
    at = 1 if text.startswith("$") else -1
    while 0 <= at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            at = -1
            break
        name = step[1] or step[2]
        steps.append(name or (int(step[3]) if step[3] else None))
        at = step.end()
    if at < 0:
        raise ValueError("a path is written as `$.name`, `$.list[0].name` or `$.list[*]`")
    return tuple(steps)


def values_at(path: Path, value: Any) -> Iterator[Any]:
    """Yield the values that a path leads to; none where a step leads nowhere."""
    if not path:
        yield value
        return
    for key in _keys(path[0], value):
        yield from values_at(path[1:], value[key])


def change_at(path: Path, value: Any, change: Callable[[Any], Any]) -> Any:
    """Change the values that a path leads to in place, and return the whole."""
    if not path:
        return change(value)
    for key in _keys(path[0], value):
        value[key] = change_at(path[1:], value[key], change)
    return value


def _keys(step: str | int | None, value: Any) -> list[Any]:
    if isinstance(step, str):
        return [step] if isinstance(value, dict) and step in value else []
    if not isinstance(value, list):
        return []
    return list(range(len(value))) if step is None else [step] if step < len(value) else []
