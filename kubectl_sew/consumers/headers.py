"""The variable `headers` that some consumers share: more headers for each request, which may be credentials."""

import re
from functools import lru_cache

from kubectl_sew.consumers import settings
from kubectl_sew.consumers.base import Config, ConfigProblem, Variable

HEADERS_VARIABLE = Variable(
    "headers", required=False, meaning="more headers, one `Name: value` per line", secret=True, limit=16 * 1024
)
CONTENT_TYPE = ("Content-Type", "application/json")

_FORBIDDEN = ("host", "content-length", "transfer-encoding", "connection")
_NOT_OF_A_WEBHOOK = ("webhook-", "proxy-")
"""Beginnings of headers that the sender writes: the signature's, and what is between the agent and its proxy."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def own_headers(config: Config, fixed: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Return the headers of a request that are neither identity nor signature; of one given twice the last.

    `fixed`: more names, in lower case, that cannot be set for this receiver.
    """
    return [*_own_headers(config.get("headers", ""), fixed)]


def is_json(config: Config) -> bool:
    """Return whether the Content-Type says that the body is JSON."""
    return _is_json(config.get("headers", ""))


@lru_cache(maxsize=1024)
def _is_json(text: str) -> bool:
    kind = next(value for name, value in _own_headers(text) if name.lower() == "content-type")
    media_type = kind.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


@lru_cache(maxsize=1024)
def _own_headers(text: str, fixed: tuple[str, ...] = ()) -> tuple[tuple[str, str], ...]:
    last: dict[str, tuple[str, str]] = {}
    for _, name, colon, value in _header_lines(text):
        if colon and not _is_ours(name, fixed):
            last.pop(name.lower(), None)
            last[name.lower()] = (name, value)
    return (*last.values(),) if "content-type" in last else (CONTENT_TYPE, *last.values())


def _header_lines(text: str) -> list[tuple[int, str, str, str]]:
    """Return (line number, name, colon or "", value) of each line that is not empty, without the blanks around."""
    lines = enumerate(re.split(r"\r?\n", text), 1)
    parts = [(number, *line.partition(":")) for number, line in lines if line.strip()]
    return [(number, name.strip(), colon, value.strip()) for number, name, colon, value in parts]


def check_headers(config: Config, fixed: tuple[str, ...] = ()) -> list[ConfigProblem]:
    """Check the variable; `fixed` as for `own_headers`. What Calico's processor passes over is a warning here."""
    lines = _header_lines(config.get("headers", ""))
    last = {name.lower(): at for at, (_, name, colon, _) in enumerate(lines) if colon}
    problems: list[ConfigProblem] = []
    for at, (number, name, colon, value) in enumerate(lines):
        if ignored := _why_ignored(name, colon, fixed, again=at < last.get(name.lower(), at)):
            message, hint = ignored
            problems.append(ConfigProblem("headers", f"line {number} is ignored: {message}", hint, warning=True))
        elif refused := _why_refused(name, value):
            message, hint = refused
            problems.append(ConfigProblem("headers", f"line {number}: {message}", hint))
    if "authorization" in last and any(map(settings.address_has_user, settings.text(config, "url").split(","))):
        hint = "remove the user from the URL, or the header from `headers`"
        problems.append(ConfigProblem("headers", "both the URL and `headers` set the Authorization header", hint))
    return problems


def _why_ignored(name: str, colon: str, fixed: tuple[str, ...], *, again: bool) -> tuple[str, str] | None:
    """Return why a line is not sent, and what to do; names are no secret, values are."""
    if not colon:
        return "it has no colon", "write one `Name: value` per line"
    if _is_ours(name, fixed):
        return f"the header `{name}` cannot be set", "leave it out: the agent sets it"
    return (f"the header `{name}` is there again below", "keep one of them") if again else None


def _why_refused(name: str, value: str) -> tuple[str, str] | None:
    """Return why no request can carry a header, and what to do."""
    if not _HEADER_NAME.fullmatch(name):
        return "this is not a header", "write one `Name: value` per line"
    if settings.plain_line(name, value):
        return f"the value of `{name}` holds characters that a header cannot carry", "use printable Latin-1 characters"
    return None


def _is_ours(name: str, fixed: tuple[str, ...]) -> bool:
    return name.lower() in (*_FORBIDDEN, *fixed) or name.lower().startswith(_NOT_OF_A_WEBHOOK)
