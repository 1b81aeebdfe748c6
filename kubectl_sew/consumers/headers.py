"""The variable `headers` that some consumers share: more headers for each request, which may be credentials."""

import re

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


def own_headers(config: Config) -> list[tuple[str, str]]:
    """Return the headers of a request that are neither identity nor signature."""
    headers = [(name.strip(), value.strip()) for _, name, _, value in _header_lines(config)]
    given = any(name.lower() == "content-type" for name, _ in headers)
    return headers if given else [CONTENT_TYPE, *headers]


def _header_lines(config: Config) -> list[tuple[int, str, str, str]]:
    """Return (line number, name, colon or "", value) of each line that is not empty."""
    lines = enumerate(re.split(r"\r?\n", config.get("headers", "")), 1)
    return [(number, *line.partition(":")) for number, line in lines if line.strip()]


def check_headers(config: Config, fixed: tuple[str, ...] = ()) -> list[ConfigProblem]:
    """Check the variable; `fixed`: more names, in lower case, that cannot be set for this receiver."""
    problems: list[ConfigProblem] = []
    seen: set[str] = set()
    for number, name, colon, value in _header_lines(config):
        lower = name.strip().lower()
        if reason := _header_problem(name.strip(), colon, value, seen, fixed):
            message, hint = reason
            problems.append(ConfigProblem("headers", f"line {number}: {message}", hint))
        seen.add(lower)
    if "authorization" in seen and any(map(settings.address_has_user, settings.text(config, "url").split(","))):
        hint = "remove the user from the URL, or the header from `headers`"
        problems.append(ConfigProblem("headers", "both the URL and `headers` set the Authorization header", hint))
    return problems


def _header_problem(
    name: str, colon: str, value: str, seen: set[str], fixed: tuple[str, ...]
) -> tuple[str, str] | None:
    """Return what is wrong with a header, and what to do; names are no secret, values are."""
    if not colon or not _HEADER_NAME.fullmatch(name):
        return "this is not a header", "write one `Name: value` per line"
    if name.lower() in (*_FORBIDDEN, *fixed) or name.lower().startswith(_NOT_OF_A_WEBHOOK):
        return f"the header `{name}` cannot be set", "leave it out: the agent sets it"
    if settings.plain_line(name, value.strip()):
        return f"the value of `{name}` holds characters that a header cannot carry", "use printable Latin-1 characters"
    return (f"the header `{name}` is there twice", "keep one of them") if name.lower() in seen else None
