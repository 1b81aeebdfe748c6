"""HTTP client: sends requests, and returns an answer or one of a closed set of reasons for each.

What libraries raise may hold a URL, which is a secret: none of it leaves this module.
"""

import ssl
import time
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from kubectl_sew.consumers.base import FailureReason, Request, Response, Tls
from kubectl_sew.consumers.classification import describe
from sew_agent.delivery.http.answer import BODY_LIMIT
from sew_agent.delivery.http.connection import Connection, secured, write_head
from sew_agent.delivery.http.connector import Connector, ProxyError, ProxyRefusalError, RefusedAddressError
from sew_agent.delivery.http.egress import EgressGuard
from sew_agent.delivery.http.errors import SendError, explained
from sew_agent.delivery.http.event_loop import Steps, finish
from sew_agent.delivery.http.pool import MOST_IDLE, ConnectionPool, PooledConnection
from sew_agent.delivery.http.proxy import Proxy
from sew_agent.delivery.http.resolver import Resolver
from sew_agent.delivery.http.sockets import tls_context

_PROXY_CREDENTIAL = 407
_PORTS = {"http": 80, "https": 443}
_ANY_HEADER = zlib.MAX_WBITS | 32
_COMPRESSED = {"gzip": _ANY_HEADER, "x-gzip": _ANY_HEADER, "deflate": _ANY_HEADER}
"""Content encodings -> zlib's window bits."""


class _Target(NamedTuple):
    """An endpoint; requests to the same one can share connections."""

    scheme: str
    host: str
    port: int
    tls: Tls | None

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Return scheme and host, the only parts of a URL that may be shown."""
        return f"{self.scheme}://{self.netloc}"


class HttpClient:
    """Client for all receivers. The guard checks every address that is connected to, a proxy's too.

    Thread-safe: tasks in several loops share the connections, each of which is used by one task at a time.
    """

    def __init__(
        self,
        guard: EgressGuard,
        resolver: Resolver,
        *,
        user_agent: str,
        proxy: Proxy | None = None,
        most_idle: int = MOST_IDLE,
    ) -> None:
        """`most_idle`: connections to all receivers together that are kept for the next request."""
        self._connector = Connector(guard, resolver, proxy)
        self._user_agent = user_agent
        self._connections = ConnectionPool(most_idle)

    def send(self, requests: Sequence[Request], *, deadline: float) -> list[Response | SendError]:
        """Send requests side by side, and wait: an answer or an error for each, after `deadline` seconds at most."""
        return finish([self.exchange(request, deadline) for request in requests])

    def exchange(self, request: Request, deadline: float) -> Steps[Response | SendError]:
        """Send a request, and return its answer or an error, `deadline` seconds after its start at the latest.

        An answer that has arrived counts, however long others took. No request is sent twice: only a kept connection
        that is seen to be closed before the request is replaced by a new one.
        """
        try:
            target, path = _target_of(request.url, request.tls)
            head = self._head(target, path, request)
        except SendError as error:
            return error
        try:
            return (yield from self._exchange(target, head, request, time.monotonic() + deadline))
        except SendError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever the libraries raise, its text may hold the URL
            return self._explained(error, target, deadline)

    def close_stale(self) -> None:
        """Close idle connections that are kept for longer than a receiver keeps them."""
        self._connections.sweep()

    def close(self) -> None:
        """Close idle connections, and keep no more of them."""
        self._connections.close()

    def _exchange(self, target: _Target, head: bytes, request: Request, ends: float) -> Steps[Response | SendError]:
        pooled = self._connections.take(target)
        if pooled is None:
            pooled = yield from self._open(target, ends)
        connection, answer = pooled.connection, None
        try:
            whole = yield from connection.send(head + request.body, ends)
            if whole:  # else it is there already
                yield from self._connections.await_answer(target, pooled, ends)
            answer = yield from connection.read(request.method, ends)
        finally:
            if answer is None or not (whole and answer.leaves_open):
                connection.close()
        if whole and answer.leaves_open:
            self._connections.give_back(target, pooled)
        response = Response(answer.status, answer.headers, _decoded(answer.body[:BODY_LIMIT], answer.headers))
        if answer.status == _PROXY_CREDENTIAL and self._http_proxy_for(target):
            raise ProxyRefusalError(response)
        return response

    def _explained(self, error: Exception, target: _Target, deadline: float) -> SendError:
        if isinstance(error, RefusedAddressError):
            return SendError(FailureReason.EGRESS_REFUSED, str(error), parked=True)
        if isinstance(error, ProxyError | ProxyRefusalError):
            return self._proxy_error(error, deadline)
        return explained(error, str(target), deadline)

    def _proxy_error(self, error: Exception, deadline: float) -> SendError:
        proxy = self._connector.proxy
        place = f"the proxy {_Target('http', proxy.host, proxy.port, None)}" if proxy else "the proxy"
        if isinstance(error, ProxyRefusalError):
            detail = f"{place} refuses: {describe(error.answer.status)}"
            parked = error.answer.status == _PROXY_CREDENTIAL
            return SendError(FailureReason.PROXY_REFUSED, detail, parked=parked, answer=error.answer)
        return explained(error.__cause__ or error, place, deadline)

    def _head(self, target: _Target, path: str, request: Request) -> bytes:
        headers = dict(request.headers)
        if "user-agent" not in map(str.lower, headers):
            headers["User-Agent"] = self._user_agent
        if proxy := self._http_proxy_for(target):
            path = f"{target}{path}"
            headers |= proxy.headers
        return _head(target, request, path, headers)

    def _http_proxy_for(self, target: _Target) -> Proxy | None:
        """Return the proxy that gets the request itself instead of opening a tunnel."""
        return self._connector.proxy_for(target.host, target.port) if target.scheme == "http" else None

    def _open(self, target: _Target, ends: float) -> Steps[PooledConnection]:
        tls = target.scheme == "https"
        context = _context_of(target) if tls else None
        sock = yield from self._connector.open(target.host, target.port, ends, tunnel=tls)
        connection = (yield from secured(sock, context, target.host, ends)) if context else Connection(sock)
        now = time.monotonic()
        return PooledConnection(connection, now, now, served=tls)


@lru_cache(maxsize=1024)
def _target_of(of: str, tls: Tls | None) -> tuple[_Target, str]:
    """Return a URL's endpoint, and the path on the wire."""
    try:
        url = urlsplit(of)
        usual = _PORTS[url.scheme]
        target = _Target(url.scheme, _ascii_host(url.hostname or ""), url.port or usual, tls)
    except (ValueError, KeyError):
        raise SendError(
            FailureReason.CONFIGURATION_REFUSED, "the URL is not one of http or https", parked=True
        ) from None
    return target, (url.path or "/") + (f"?{url.query}" if url.query else "")


def _ascii_host(host: str) -> str:
    """Return a host name as DNS and HTTP carry it. Raises ValueError."""
    return host if host.isascii() else host.encode("idna").decode()


def _decoded(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Decode a body, up to 64 KiB: some receivers compress unasked. A body that cannot be decoded stays as it is."""
    window = _COMPRESSED.get(headers.get("content-encoding", "").strip().lower())
    if window is None:
        return body
    try:
        return zlib.decompressobj(window).decompress(body, BODY_LIMIT)
    except zlib.error:
        return body


def _head(target: _Target, request: Request, path: str, headers: Mapping[str, str]) -> bytes:
    try:
        return write_head(target.netloc, request.method, path, request.body, headers)
    except ValueError:
        detail = f"{target}: the URL or a header holds what HTTP cannot carry"
        raise SendError(FailureReason.CONFIGURATION_REFUSED, detail, parked=True) from None


def _context_of(target: _Target) -> ssl.SSLContext:
    try:
        return tls_context(target.tls)
    except (ssl.SSLError, ValueError):
        detail = f"{target}: the webhook's own CA, certificate or key cannot be used"
        raise SendError(FailureReason.CONFIGURATION_REFUSED, detail, parked=True) from None
