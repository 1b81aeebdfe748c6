"""Generic's variable `expect`: what an answer must be for the event to count as delivered.

One rule a line, of which any one will do: a status, and behind it nothing, the whole body as a word, or what a path in
the body leads to: `204`, `200 ok`, `202 $.status = success`.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kubectl_sew.consumers.base import Config, ConfigProblem, Response, Variable
from kubectl_sew.consumers.json_path import Path, parse_path, values_at

EXPECT_VARIABLE = Variable(
    "expect",
    required=False,
    meaning="what an answer must be: a status, and a word or a JSON path of the body; one rule per line",
    asked=False,
)

_RULE = re.compile(r"((?:[1245][0-9]{2}|[245]xx)(?:,(?:[1245][0-9]{2}|[245]xx))*)(?:\s+(\S.*))?")
_HINT = "write a status, and a word or `PATH = VALUE`, such as `204`, `200 ok` or `202 $.status = success`"


@dataclass(frozen=True, slots=True)
class _Rule:
    """`statuses`: such as `200` and `2xx`; `word`: the whole body; `path` and `value`: what stands in the body."""

    statuses: tuple[str, ...]
    word: str | None = None
    path: Path | None = None
    value: Any = None


def check_expect(config: Config) -> list[ConfigProblem]:
    try:
        _rules(config.get("expect", ""))
    except ValueError as error:
        return [ConfigProblem("expect", str(error), _HINT)]
    return []


def is_expected(response: Response, config: Config) -> bool | None:
    """Return whether an answer meets a rule of a checked configuration; None where it has none."""
    rules = _rules(config.get("expect", ""))
    return any(_meets(rule, response) for rule in rules) if rules else None


@lru_cache(maxsize=1024)
def _rules(text: str) -> Sequence[_Rule]:
    """Read the variable. Raises ValueError, which names the line and repeats nothing of it."""
    return [_rule(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _rule(number: int, line: str) -> _Rule:
    match = _RULE.fullmatch(line)
    if match is None:
        raise ValueError(f"line {number}: this is no rule that an answer can be held to")
    statuses, rest = tuple(match[1].split(",")), match[2] or ""
    if not rest.startswith("$"):
        return _Rule(statuses, word=rest or None)
    path, equals, value = rest.partition("=")
    if not equals or not value.strip():
        raise ValueError(f"line {number}: behind the path a value is missing")
    try:
        return _Rule(statuses, path=parse_path(path.strip()), value=_value(value.strip()))
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None


def _value(text: str) -> Any:
    """Return a number, a truth value, null or a quoted text of JSON, else the text as it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, dict | list) else value


def _meets(rule: _Rule, response: Response) -> bool:
    status = str(response.status)
    if status not in rule.statuses and f"{status[0]}xx" not in rule.statuses:
        return False
    if rule.path is not None:
        return any(_is(value, rule.value) for value in values_at(rule.path, _document(response)))
    return rule.word is None or response.body.decode("utf-8", "replace").strip() == rule.word


def _is(value: Any, wanted: Any) -> bool:
    return isinstance(value, bool) is isinstance(wanted, bool) and bool(value == wanted)


def _document(response: Response) -> Any:
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        return None
