"""Generic's variable `limits`: the most that a receiver takes of a body. What is longer is cut, marked by `…`.

One limit a line, `PATH: NUMBER` in characters (UTF-16 units, as most receivers count) or `PATH: NUMBER bytes`; `$` is
the whole body. Where that is too large, its texts are cut to one length, the largest with which it fits. A text that
holds a secret is never cut: of a part nobody would know that it is secret.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from kubectl_sew import text
from kubectl_sew.consumers.base import Config, ConfigProblem, RenderError, Variable
from kubectl_sew.consumers.json_path import Path, change_at, parse_path, values_at

LIMITS_VARIABLE = Variable(
    "limits",
    required=False,
    meaning="the most that the receiver takes, one `PATH: NUMBER` or `PATH: NUMBER bytes` per line; the rest is cut",
    asked=False,
)

_LIMIT = re.compile(r"(\$\S*)\s*:\s*([0-9]{1,9})(\s+bytes)?")
_HINT = "write one `PATH: NUMBER` per line, such as `$.text: 4096`, and the whole body as `$: 28000 bytes`"
_SHORTEST = 128
"""Characters that are left of every text where a whole body is too large: identities and names are no longer."""
_DUMP = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Limit:
    """The most characters, or bytes of UTF-8, of a text; with an empty path of the whole body."""

    path: Path
    most: int
    in_bytes: bool

    def fits(self, value: str) -> bool:
        return (len(value.encode("utf-8", "replace")) if self.in_bytes else text.utf16_units(value)) <= self.most


def check_limits(config: Config) -> list[ConfigProblem]:
    try:
        limits_in(config.get("limits", ""))
    except ValueError as error:
        return [ConfigProblem("limits", str(error), _HINT)]
    return []


@lru_cache(maxsize=1024)
def limits_in(source: str) -> Sequence[Limit]:
    """Read the variable. Raises ValueError, which names the line."""
    return [_limit(number, line.strip()) for number, line in enumerate(source.splitlines(), 1) if line.strip()]


def _limit(number: int, line: str) -> Limit:
    match = _LIMIT.fullmatch(line)
    if match is None or not int(match[2]):
        raise ValueError(f"line {number}: this is not a limit")
    try:
        limit = Limit(parse_path(match[1]), int(match[2]), bool(match[3]))
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None
    if not limit.path and not limit.in_bytes:
        raise ValueError(f"line {number}: the whole body is limited in bytes")
    return limit


def beyond(limits: Sequence[Limit], body: bytes) -> list[Limit]:
    """Return the limits that a body of JSON exceeds."""
    document = _read(body)
    return [limit for limit in limits if not _keeps(limit, document, body)]


def _keeps(limit: Limit, document: Any, body: bytes) -> bool:
    if not limit.path:
        return len(body) <= limit.most
    return all(limit.fits(value) for value in values_at(limit.path, document) if isinstance(value, str))


def cut_body(body: bytes, config: Config, secrets: Collection[str], *, as_json: bool) -> bytes:
    """Return the body within the limits of a checked configuration. Raises RenderError where it cannot be.

    `secrets`: the values in it that must stay whole. What is said to be JSON and is none is left as it is.
    """
    limits = limits_in(config.get("limits", ""))
    exceeded = beyond(limits, body) if limits else []
    if not exceeded:
        return body
    whole = min((limit.most for limit in limits if not limit.path), default=None)
    if not as_json:
        return body if whole is None else text.cut(body.decode("utf-8", "replace"), whole, text.utf8).encode()
    document = _read(body)
    if document is None:
        return body
    for limit in exceeded:
        if limit.path:
            document = change_at(limit.path, document, partial(_cut, limit=limit, secrets=secrets))
    return _dump(document) if whole is None else _fitting(document, whole, secrets)


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _cut(value: Any, limit: Limit, secrets: Collection[str]) -> Any:
    if not isinstance(value, str) or any(secret in value for secret in secrets):
        return value
    return text.cut(value, limit.most, text.utf8 if limit.in_bytes else text.utf16)


def _fitting(document: Any, most: int, secrets: Collection[str]) -> bytes:
    """Return a document in at most so many bytes: its texts are cut to the greatest length with which it fits."""
    least, longest = _SHORTEST, most

    def shortened(length: int) -> bytes:
        limit = Limit((), length, in_bytes=False)
        return _dump(_mapped(document, partial(_cut, limit=limit, secrets=secrets)))

    if len(whole := _dump(document)) <= most:
        return whole
    if len(fitting := shortened(least)) > most:
        raise RenderError(f"the body exceeds the limit of {most} bytes, even with all of its texts cut")
    while least + 1 < longest:
        middle = (least + longest) // 2
        if len(tried := shortened(middle)) <= most:
            least, fitting = middle, tried
        else:
            longest = middle
    return fitting


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {name: _mapped(member, change) for name, member in value.items()}
    if isinstance(value, list):
        return [_mapped(member, change) for member in value]
    return change(value) if isinstance(value, str) else value


def _dump(document: Any) -> bytes:
    try:
        return _DUMP(document).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        raise RenderError("the body cannot be written as JSON after it was cut") from None
