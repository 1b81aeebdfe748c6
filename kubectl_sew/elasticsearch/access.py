"""Access to Elasticsearch: addresses and credentials, checked before the first request, and its error."""

import re
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from kubectl_sew.errors import SewError
from kubectl_sew.members import members
from kubectl_sew.tls import client_context

_NOT_OF_A_URL = re.compile(r"[?#\s]")
"""Characters that end the host or the path where a password in the URL holds one of them."""
_NOT_OF_A_HEADER = re.compile(r"[^\x21-\x7e]")


class IndexProblem(StrEnum):
    """Reasons why an index cannot be read, as `kubectl sew check` distinguishes them: a closed set."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    """The credentials are not taken."""
    EMPTY = "empty"
    """The pattern names no index."""
    PRIVILEGE = "privilege"
    """A privilege on the indices is missing."""
    OTHER = "other"


_PROBLEMS = {401: IndexProblem.REFUSED, 403: IndexProblem.PRIVILEGE}


class ElasticsearchError(SewError):
    """The index cannot be asked now: what failed and what to do. `status` is the HTTP status, 0 without an answer.

    Where no `problem` is given, it follows from the status.
    """

    def __init__(self, message: str, status: int = 0, kind: str = "", problem: IndexProblem | None = None) -> None:
        super().__init__(message)
        self.problem = problem or _PROBLEMS.get(status, IndexProblem.OTHER)
        self.status = status
        self.kind = kind
        """Elasticsearch's name for it, e.g. `index_not_found_exception`."""


@dataclass(frozen=True, slots=True)
class Access:
    """Addresses and credentials: an API key, a user with a password, or a bearer token.

    `seal` stands for what is in the certificate files, so that another certificate makes another access.
    """

    urls: tuple[str, ...]
    api_key: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    ca: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    seal: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return all secrets; the last is what basic authentication sends. A user's name alone is none."""
        pair = f"{self.username}:{self.password}" if self.username or self.password else ""
        return self.api_key, self.password, self.token, pair

    @property
    def place(self) -> str:
        """The servers for people: scheme, host and port."""
        return ", ".join(f"{url.scheme}://{url.netloc.rpartition('@')[2]}" for url in map(urlsplit, self.urls))


def index_pattern(text: str) -> str:
    """The pattern as it is asked for: without blanks. Raises ElasticsearchError where it means something else to
    Elasticsearch than to people: nothing names every index, and what is excluded first is not excluded.
    """
    names = members(text)
    if not names:
        raise ElasticsearchError("the index pattern is empty, which would name every index (--index, SEW_INDEX)")
    for place, name in enumerate(names):
        if ":" in name and not name.startswith("<"):
            raise ElasticsearchError(
                f"the index pattern {text!r} names a remote cluster: those give no sequence numbers, so events "
                "could be missed; name Elasticsearch's own indices, and run an agent for each cluster"
            )
        if name.startswith("-") and not any("*" in before for before in names[:place]):
            raise ElasticsearchError(
                f"the index pattern {text!r} excludes nothing by {name!r}: Elasticsearch takes out what a pattern with "
                "`*` before it has named; write the exclusion behind that one"
            )
    return ",".join(names)


def read_url(url: str) -> tuple[str, int, str]:
    """Host, port and path. Raises ElasticsearchError.

    What was given is not repeated: where its scheme was forgotten, it may hold a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or _NOT_OF_A_URL.search(url) or "@" in parts.path:
        raise ElasticsearchError(
            "Elasticsearch's URL cannot be read (--elasticsearch, SEW_ELASTICSEARCH): it must be https://HOST:PORT"
        )
    if parts.username is not None:
        raise ElasticsearchError("credentials do not belong in Elasticsearch's URL: give them in files of their own")
    return host, port or (443 if parts.scheme == "https" else 9200), parts.path.rstrip("/")


def authorization(access: Access) -> dict[str, str]:
    """Return the header by which a request says who asks, where there are credentials. Raises ElasticsearchError."""
    pair = f"{access.username}:{access.password}".encode() if access.username or access.password else b""
    ways = {"ApiKey": access.api_key, "Basic": b64encode(pair).decode(), "Bearer": access.token}
    given = [f"{way} {value}" for way, value in ways.items() if value]
    if len(given) > 1:
        raise ElasticsearchError(
            "give one of an API key, a user with a password, and a token for Elasticsearch, not several"
        )
    if _NOT_OF_A_HEADER.search(access.api_key or access.token):
        raise ElasticsearchError(
            "the API key or token for Elasticsearch holds a space, a line break or a character that no key may have: "
            "its file must hold it alone, on one line"
        )
    return {"authorization": given[0]} if given else {}


def tls_context(access: Access) -> ssl.SSLContext:
    """Return one context with all certificates: the client drops a client certificate in some of its settings.

    Raises ElasticsearchError.
    """
    try:
        context = client_context(cafile=access.ca)
        if access.client_cert:
            context.load_cert_chain(access.client_cert, access.client_key, _no_passphrase)
    except (OSError, ValueError) as error:
        files = ", ".join(str(file) for file in (access.ca, access.client_cert, access.client_key) if file)
        reason = getattr(error, "strerror", "") or str(error)
        raise ElasticsearchError(f"the certificates for Elasticsearch cannot be read ({files}): {reason}") from None
    return context


def _no_passphrase() -> bytes:
    """Otherwise OpenSSL asks the terminal, and waits."""
    raise ValueError("the key is encrypted: remove its passphrase, e.g. with `openssl pkey`")
