"""Checks of configuration variables that several consumers share. No problem's text holds a variable's value."""

import re
from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from kubectl_sew.consumers.base import Config, ConfigProblem, Consumer

_UNFIT_IN_URL = re.compile(r"[^\x21-\x7e]")
_DOT_SEGMENT = re.compile(r"(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?=[/\\?#]|%2f|%5c|$)", re.IGNORECASE)
_PLAIN_LINE = re.compile(r"[\x20-\x7e\xa0-\xff]*")


@dataclass(frozen=True, slots=True)
class Address:
    """A URL without user and password, and the Authorization header that these become ("" without)."""

    url: str = field(repr=False)
    authorization: str = field(default="", repr=False)


def text(config: Config, name: str) -> str:
    """Return a variable of one line, without blanks and line breaks around its value; "" where unset."""
    return config.get(name, "").strip()


def missing(consumer: Consumer, config: Config) -> list[ConfigProblem]:
    """Return problems of required variables that are unset or empty, and of unknown ones (a warning)."""
    return [
        ConfigProblem(variable.name, f"{consumer.name} requires `{variable.name}`", f"set it to {variable.meaning}")
        for variable in consumer.variables
        if variable.required and not text(config, variable.name) and not _excused(variable.unless, config)
    ] + _unknown(consumer, config)


def too_long(consumer: Consumer, config: Config) -> list[ConfigProblem]:
    """Return problems of values beyond their limit. This check comes first: no other then works on an endless text."""
    return [
        ConfigProblem(
            variable.name, f"`{variable.name}` has {len(value)} characters", f"at most {variable.limit} are allowed"
        )
        for variable in consumer.variables
        if len(value := config.get(variable.name, "")) > variable.limit
    ]


def check_url(config: Config, name: str, url: str | None = None) -> list[ConfigProblem]:
    """Check a URL that requests go to."""
    url = text(config, name) if url is None else url
    if not url:
        return []
    if _UNFIT_IN_URL.search(url):
        hint = "percent-encode them, and write the host's name in its ASCII form"
        return [ConfigProblem(name, "the URL holds spaces, control or non-ASCII characters", hint)]
    try:
        return _check_parts(name, urlsplit(url))
    except ValueError:
        return [ConfigProblem(name, "the URL cannot be read", "check the brackets and the port")]


@lru_cache(maxsize=1024)
def address(url: str) -> Address:
    """Split a checked URL; a fragment is never sent."""
    split = urlsplit(url)
    if not split.path or split.fragment:
        split = split._replace(path=split.path or "/", fragment="")
    user, at, host = split.netloc.rpartition("@")
    if not at:
        return Address(urlunsplit(split))
    name, _, password = user.partition(":")
    return Address(urlunsplit(split._replace(netloc=host)), basic(unquote(name), unquote(password)))


def basic(user: str, password: str) -> str:
    """Return the value of an Authorization header (RFC 7617, UTF-8)."""
    return "Basic " + b64encode(f"{user}:{password}".encode("utf-8", "replace")).decode()


def plain_line(name: str, value: str) -> list[ConfigProblem]:
    """Check a value that goes into a header: one line of Latin-1, else the HTTP client refuses it at every send."""
    if _PLAIN_LINE.fullmatch(value):
        return []
    hint = "use one line of printable characters"
    return [ConfigProblem(name, f"`{name}` holds a line break, or characters that a header cannot carry", hint)]


def has_dot_segments(url: str) -> bool:
    """Return whether `.` or `..` stands between slashes of a URL's path, encoded or not: servers take them away."""
    return _DOT_SEGMENT.search(url.partition("?")[0]) is not None


def address_has_user(url: str) -> bool:
    """Return whether a URL holds a user, also one that cannot be read otherwise."""
    return "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]


def no_user(name: str, url: str, instead: str) -> list[ConfigProblem]:
    """Refuse a user in the URL of a consumer that has variables for its credentials."""
    if not address_has_user(url):
        return []
    return [ConfigProblem(name, "the URL contains a user", f"remove it, and use {instead}")]


def _check_parts(name: str, split: SplitResult) -> list[ConfigProblem]:
    if split.scheme not in ("http", "https"):
        return [ConfigProblem(name, "the URL is neither http nor https", "begin it with `https://`")]
    if not split.hostname:
        return [ConfigProblem(name, "the URL has no host", "write it as `https://HOST/PATH`")]
    if split.port == 0:
        return [ConfigProblem(name, "port 0 cannot be connected to", "name the receiver's port")]
    return []


def _unknown(consumer: Consumer, config: Config) -> list[ConfigProblem]:
    names = [variable.name for variable in consumer.variables]
    known = ", ".join(names)
    return [
        ConfigProblem(name, f"{consumer.name} does not know the variable `{name}`", f"known: {known}", warning=True)
        for name in config
        if name not in names
    ]


def _excused(unless: tuple[str, str] | None, config: Config) -> bool:
    return unless is not None and text(config, unless[0]) == unless[1]
