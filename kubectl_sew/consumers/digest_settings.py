"""The variables `digest`, `groupBy` and `digestMax`: what follows soon after a message is gathered into one."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kubectl_sew import json_text
from kubectl_sew.consumers import settings
from kubectl_sew.consumers.base import Config, ConfigProblem, Variable
from kubectl_sew.event_maps.readable import ReadableEvent, value_at
from kubectl_sew.members import members
from kubectl_sew.text import parse_duration

DIGEST, GROUP_BY, NAMED = "digest", "groupBy", "digestMax"
DIGEST_VARIABLES = (
    Variable(
        DIGEST,
        required=False,
        meaning="a duration such as `10m`: within it a group has at most one message, and the rest is one digest",
        asked=False,
    ),
    Variable(
        GROUP_BY,
        required=False,
        meaning="with `digest`: fields whose values make a group, separated by commas; default: all is one group",
        asked=False,
    ),
    Variable(
        NAMED,
        required=False,
        meaning="with `digest`: how many of its newest events a digest shows, 1 to 20; default: 5",
        asked=False,
    ),
)
NAMED_DEFAULT = 5
MOST_NAMED = 20
MOST_FIELDS = 5
SHORTEST, LONGEST = 1.0, 86_400.0

_VALUE_LIMIT = 200


@dataclass(frozen=True, slots=True)
class DigestSettings:
    """A webhook's digests: at most one message for a group `within` so many seconds."""

    within: float
    group_by: tuple[str, ...] = ()
    named: int = NAMED_DEFAULT


def digest_settings(config: Config) -> DigestSettings | None:
    """Return the settings of a checked configuration; None where it has no digests."""
    asked = tuple(settings.text(config, name) for name in (DIGEST, GROUP_BY, NAMED))
    return _read(*asked) if asked[0] else None


def gathered_for(config: Config) -> float:
    """Return the seconds for which what a webhook sends may be gathered; 0.0 where it has no digests."""
    asked = digest_settings(config)
    return asked.within if asked else 0.0


@lru_cache(maxsize=1024)
def _read(within: str, group_by: str, named: str) -> DigestSettings:
    return DigestSettings(parse_duration(within), tuple(members(group_by)), int(named or NAMED_DEFAULT))


def group_values(readable: ReadableEvent, fields: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the fields of an event's group, each with its value as one line: "" where the event has none."""
    return tuple((name, json_text.line(value_at(readable.shown.document, name), _VALUE_LIMIT)) for name in fields)


def group_key(readable: ReadableEvent, fields: Sequence[str]) -> str:
    """Return what stands for an event's group, of one length whatever its values are; "" where all is one group."""
    values = [_whole(value_at(readable.shown.document, name)) for name in fields]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16] if values else ""


def _whole(value: Any) -> str:
    """Return a value as text, of which nothing is cut; one that JSON cannot hold as messages show it."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return json.dumps(value, sort_keys=True)
    except (ValueError, RecursionError):
        return json_text.line(value, _VALUE_LIMIT)


def check_digest(config: Config) -> list[ConfigProblem]:
    asked = settings.text(config, DIGEST)
    if not asked:
        return [
            ConfigProblem(
                name, f"`{name}` does nothing without `{DIGEST}`", f"set `{DIGEST}` to a duration such as 10m"
            )
            for name in (GROUP_BY, NAMED)
            if settings.text(config, name)
        ]
    return [*_check_within(asked), *_check_group_by(config), *_check_named(config)]


def refuse_digest(config: Config, why: str) -> list[ConfigProblem]:
    """Refuse the variables for a consumer that has no digests."""
    given = [name for name in (DIGEST, GROUP_BY, NAMED) if settings.text(config, name)]
    return [ConfigProblem(name, f"there are no digests here: {why}", f"leave `{name}` out") for name in given]


def _check_within(asked: str) -> list[ConfigProblem]:
    try:
        within = parse_duration(asked)
    except ValueError as error:
        return [ConfigProblem(DIGEST, f"`{DIGEST}` {error}", "write it as `30s`, `10m` or `1h`")]
    if SHORTEST <= within <= LONGEST:
        return []
    return [ConfigProblem(DIGEST, f"`{DIGEST}` must be from 1s to 24h", "write it as `30s`, `10m` or `1h`")]


def _check_group_by(config: Config) -> list[ConfigProblem]:
    fields = members(settings.text(config, GROUP_BY))
    if len(fields) <= MOST_FIELDS:
        return []
    return [ConfigProblem(GROUP_BY, f"`{GROUP_BY}` names {len(fields)} fields", f"name at most {MOST_FIELDS}")]


def _check_named(config: Config) -> list[ConfigProblem]:
    named = settings.text(config, NAMED)
    if not named or (re.fullmatch("[0-9]{1,2}", named) and 1 <= int(named) <= MOST_NAMED):
        return []
    return [ConfigProblem(NAMED, f"`{NAMED}` must be a number from 1 to {MOST_NAMED}", "leave it out for 5")]
