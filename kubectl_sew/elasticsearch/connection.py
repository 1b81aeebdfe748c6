"""A connection to Elasticsearch or OpenSearch: finds out which of them answers, and makes its errors ours.

The only module that imports `elastic_transport`, and only when it connects: 0.1 s that no other command should pay.

What that does by itself is turned off: it would try again at once and without a pause.
"""

import ssl
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from kubectl_sew.elasticsearch.access import (
    Access,
    ElasticsearchError,
    IndexProblem,
    authorization,
    read_url,
    tls_context,
)
from kubectl_sew.elasticsearch.dialect import ELASTICSEARCH, Dialect, by_greeting, by_headers
from kubectl_sew.library_warnings import capture_client
from kubectl_sew.pages import pip_install
from kubectl_sew.redaction import redact_failures, redactor

if TYPE_CHECKING:
    from elastic_transport import ApiResponseMeta, Transport

Json = Mapping[str, Any]

TIMED_OUT = "timed_out"
"""The kind of an error where the server did not answer in time."""
NOT_FOUND = 404
_LEAST_ERROR = 300


class ElasticsearchWarning(UserWarning):
    """What a server warns of in an answer, such as something deprecated."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The JSON of an answer without secrets, and its length in bytes where the server says it."""

    body: Any
    length: int = 0


class ServerConnection:
    """Every request raises ElasticsearchError where the server cannot answer as it should."""

    def __init__(self, access: Access, pattern: str, probe: str, timeout: float, beat: Callable[[], object]) -> None:
        """`pattern`: the indices that are asked for, as errors name them. `probe`: what is asked for first, to see who
        answers; 404 is an answer, too.

        Raises ElasticsearchError where `access` cannot be used.
        """
        self._pattern = pattern
        self._probe = probe
        self._timeout = timeout
        self._beat = beat
        self._headers = authorization(access)
        self._transport = _transport(access)
        self.place = access.place
        self._redact = redactor(*access.secrets, named=True)
        self._dialect: Dialect | None = None
        capture_client(self._redact)

    def close(self) -> None:
        """Let go of the connections."""
        self._transport.close()

    @property
    def dialect(self) -> Dialect:
        """The dialect of who answers, asked for once."""
        if self._dialect is None:
            self._dialect = self._recognised()
        return self._dialect

    def _recognised(self) -> Dialect:
        meta, body = self._send("GET", self._probe, ELASTICSEARCH.media_type("json"), None)
        if meta.status >= _LEAST_ERROR and meta.status != NOT_FOUND:
            raise self._refusal(meta, body)
        dialect = by_headers(meta.headers)
        if dialect is None:
            meta, body = self._send("GET", "/", "application/json", None)
            dialect = by_greeting(meta.status, body)
        if dialect is None:
            raise ElasticsearchError(
                f"what answers at {self.place} does not say that it is Elasticsearch or OpenSearch "
                "(its header is missing, and `/` does not name it)"
            )
        return dialect

    def ask(
        self, method: str, path: str, params: Mapping[str, str] | None = None, body: Json | Sequence[Json] | None = None
    ) -> Answer:
        """Make one request. A list as its body is sent as lines."""
        options = "&".join(f"{name}={quote(value, safe=',*')}" for name, value in (params or {}).items())
        target = f"{path}?{options}" if options else path
        form = "x-ndjson" if isinstance(body, Sequence) else "json"
        meta, answer = self._send(method, target, self.dialect.media_type("json"), body, self.dialect.media_type(form))
        if meta.status >= _LEAST_ERROR:
            raise self._refusal(meta, answer)
        for warning in str(meta.headers.get("warning", "")).split('"')[1::2]:
            warnings.warn(warning, ElasticsearchWarning, stacklevel=2)
        return Answer(redact_failures(answer, self._redact), int(meta.headers.get("content-length") or 0))

    def _send(
        self, method: str, target: str, accept: str, body: Json | Sequence[Json] | None, sent_as: str = ""
    ) -> "tuple[ApiResponseMeta, Any]":
        from elastic_transport import TransportError  # noqa: PLC0415  # see the module

        headers = {**self._headers, "accept": accept, **({"content-type": sent_as} if body is not None else {})}
        self._beat()
        try:
            return self._transport.perform_request(
                method, target, body=body, headers=headers, request_timeout=self._timeout
            )
        except TransportError as error:
            raise unreachable(error, f"{self._product} at {self.place}") from None
        finally:
            self._beat()

    def _refusal(self, meta: "ApiResponseMeta", body: Any) -> ElasticsearchError:
        return refusal(
            meta.status,
            redact_failures(body, self._redact),
            self._dialect or by_headers(meta.headers) or ELASTICSEARCH,
            self.place,
            self._pattern,
        )

    @property
    def _product(self) -> str:
        return (self._dialect or ELASTICSEARCH).product


def refusal(status: int, body: Any, dialect: Dialect, place: str, pattern: str) -> ElasticsearchError:
    """Return an answer that is an error as ours. OpenSearch gives some as plain text, or their `error` as a string.

    A server names the user, and seldom the indices or the roles: what it says is repeated, and `pattern` beside it.
    """
    cause = body.get("error", {}) if isinstance(body, Mapping) else {}
    cause = cause if isinstance(cause, Mapping) else {"type": str(cause)}
    kind, reason = str(cause.get("type", "")), str(cause.get("reason", ""))
    refused = str(cause.get("additional_unsuccessful_credentials", "")) or reason
    known = {
        401: f"refuses our credentials (401): check API key, user and password, or token: {refused}".removesuffix(": "),
        403: f"does not let us (403): {dialect.privileges.format(pattern)}: {reason}",
        429: "has too much to do (429)",
    }
    problem = known.get(status, f"answers {status}" + (f": {kind}: {reason}".removesuffix(": ") if kind else ""))
    return ElasticsearchError(f"{dialect.product} at {place} {problem}"[:600], status, kind)


def unreachable(error: Exception, server: str) -> ElasticsearchError:
    """Return an error of the transport as ours, without what was sent, which may hold credentials."""
    from elastic_transport import ConnectionTimeout, SerializationError  # noqa: PLC0415  # see the module

    unreadable = isinstance(error, SerializationError)  # an answer that cannot be read is one
    return ElasticsearchError(
        f"{server} {_reason(error)}",
        kind=TIMED_OUT if isinstance(error, ConnectionTimeout) else "",
        problem=IndexProblem.OTHER if unreadable else IndexProblem.UNREACHABLE,
    )


def _reason(error: Exception) -> str:
    from elastic_transport import ConnectionTimeout, SerializationError, TlsError  # noqa: PLC0415  # see the module

    if isinstance(error, TlsError):
        return f"cannot be trusted ({_innermost(error)}): name the file of its CA's certificate"
    if isinstance(error, ConnectionTimeout):
        return "did not answer in time"
    if isinstance(error, SerializationError):
        return "answers with something that is not JSON, or was cut off"
    return f"cannot be reached ({_innermost(error)})"


def _innermost(error: BaseException) -> str:
    """The system's own word; the libraries around it add whole URLs."""
    causes: list[BaseException] = [error]
    while len(causes) < 10:
        last = causes[-1]
        held = (*getattr(last, "errors", ()), last.__cause__, getattr(last, "reason", None), *last.args)
        inner = next((cause for cause in held if isinstance(cause, BaseException)), None)
        if inner is None:
            break
        causes.append(inner)
    for cause in reversed(causes):
        if isinstance(cause, ssl.SSLError):
            return getattr(cause, "verify_message", "") or cause.reason or "TLS failed"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return type(causes[-1]).__name__


def _transport(access: Access) -> "Transport":
    try:
        with _not_installed("aiohttp"):  # for its asynchronous half, which nobody uses: 9 MiB
            import logging  # noqa: PLC0415  # see the module

            from elastic_transport import (  # noqa: PLC0415  # see the module
                JsonSerializer,
                NdjsonSerializer,
                NodeConfig,
                Transport,
            )
    except ImportError:
        raise ElasticsearchError(f"Elasticsearch's client is not installed: {pip_install('elasticsearch')}") from None

    # What fails is an error here, and reported as one.
    logging.getLogger("elastic_transport").setLevel(logging.CRITICAL + 1)
    context = tls_context(access) if any(url.startswith("https:") for url in access.urls) else None
    nodes = []
    for url in access.urls:
        host, port, path = read_url(url)
        tls: dict[str, Any] = {"ssl_context": context} if url.startswith("https:") else {}
        scheme = urlsplit(url).scheme
        nodes.append(NodeConfig(scheme, host, port, path_prefix=path, connections_per_node=2, **tls))
    forms = {"json": JsonSerializer(), "x-ndjson": NdjsonSerializer()}
    serializers = {ELASTICSEARCH.media_type(form).partition(";")[0]: serializer for form, serializer in forms.items()}
    return Transport(nodes, serializers=serializers, max_retries=0, retry_on_timeout=False, retry_on_status=())


@contextmanager
def _not_installed(module: str) -> Iterator[None]:
    """Hide an optional module from imports made meanwhile, if nobody has imported it yet."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # as the import system has it for what must not be found
    try:
        yield
    finally:
        del sys.modules[module]
