"""HTTP client: sends requests, and returns an answer or one of a closed set of reasons for each.

urllib3's own pools have neither a deadline for a whole request nor a check of addresses, so connections are kept here.
Its error texts and log lines hold URLs, which are secrets: none of them leaves this module.
"""

import http.client
import ssl
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from kubectl_sew.consumers.base import FailureReason, Request, Response, Tls
from kubectl_sew.consumers.classification import describe
from sew_agent.base.threads import NoThreadError, start_thread
from sew_agent.delivery.http.connection import PlainConnection, TlsConnection, write_head
from sew_agent.delivery.http.connector import Connector, ProxyError, ProxyRefusalError, RefusedAddressError
from sew_agent.delivery.http.egress import EgressGuard
from sew_agent.delivery.http.errors import SendError, explained
from sew_agent.delivery.http.pool import ConnectionPool, PooledConnection
from sew_agent.delivery.http.proxy import Proxy
from sew_agent.delivery.http.resolver import Resolver
from sew_agent.delivery.http.sockets import tls_context

BODY_LIMIT = 64 * 1024
_LATE = 0.1
"""Seconds to read an answer that may be there already, when another one took all the time."""
_PROXY_CREDENTIAL = 407
_PORTS = {"http": 80, "https": 443}
_ANY_HEADER = zlib.MAX_WBITS | 32
_COMPRESSED = {"gzip": _ANY_HEADER, "x-gzip": _ANY_HEADER, "deflate": _ANY_HEADER}
"""Content encodings -> zlib's window bits."""


@dataclass(frozen=True, slots=True)
class _Target:
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


@dataclass(frozen=True, slots=True)
class _Flight:
    """A request that was sent. `whole`: true where all of it went out."""

    target: _Target
    method: str
    pooled: PooledConnection
    whole: bool


class HttpClient:
    """Client for all receivers. Thread-safe. The guard checks every address that is connected to, a proxy's too."""

    def __init__(self, guard: EgressGuard, resolver: Resolver, *, user_agent: str, proxy: Proxy | None = None) -> None:
        self._connector = Connector(guard, resolver, proxy)
        self._user_agent = user_agent
        self._connections = ConnectionPool()

    def send(self, requests: Sequence[Request], *, deadline: float) -> list[Response | SendError]:
        """Return an answer or an error for each request, `deadline` seconds after the first name lookup at the latest.

        All requests go out before the first answer is awaited. Each receiver has a thread, so one that cannot be
        reached delays no other. An answer that has arrived counts, however long another one took. No request is sent
        twice: only a kept connection that is seen to be closed before the request is replaced by a new one.
        """
        ends = time.monotonic() + deadline
        places: dict[_Target, dict[int, str]] = defaultdict(dict)
        answers: dict[int, Response | SendError] = {}
        for number, request in enumerate(requests):
            try:
                target, path = _target_of(request)
                places[target][number] = path
            except SendError as error:
                answers[number] = error

        def exchange(target: _Target, paths: Mapping[int, str]) -> None:
            flights = [
                self._try_begin(target, path, requests[number], ends, deadline) for number, path in paths.items()
            ]
            for number, flight in zip(paths, flights, strict=True):
                answers[number] = flight if isinstance(flight, SendError) else self._read_answer(flight, deadline)

        _run_in_parallel([partial(exchange, target, paths) for target, paths in places.items()])
        return [answers[number] for number in range(len(requests))]

    def close(self) -> None:
        """Close idle connections, and keep no more of them."""
        self._connections.close()

    def _try_begin(
        self, target: _Target, path: str, request: Request, ends: float, deadline: float
    ) -> _Flight | SendError:
        try:
            return self._begin(target, path, request, ends)
        except SendError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever the libraries raise, its text may hold the URL
            return self._explained(error, target, deadline)

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

    def _begin(self, target: _Target, path: str, request: Request, ends: float) -> _Flight:
        pooled = self._connections.take(target) or self._open(target, ends)
        pooled.connection.sock.deadline = ends
        try:
            whole = pooled.connection.send_request(self._head(target, path, request), request.body)
        except BaseException:
            pooled.connection.close()
            raise
        return _Flight(target, request.method, pooled, whole)

    def _head(self, target: _Target, path: str, request: Request) -> bytes:
        headers = dict(request.headers)
        if not any(name.lower() == "user-agent" for name in headers):
            headers["User-Agent"] = self._user_agent
        if proxy := self._http_proxy_for(target):
            path = f"{target}{path}"
            headers |= proxy.headers
        return _head(target, request, path, headers)

    def _http_proxy_for(self, target: _Target) -> Proxy | None:
        """Return the proxy that gets the request itself instead of opening a tunnel."""
        return self._connector.proxy_for(target.host, target.port) if target.scheme == "http" else None

    def _read_answer(self, flight: _Flight, deadline: float) -> Response | SendError:
        connection = flight.pooled.connection
        now = time.monotonic()
        ends = connection.sock.deadline = max(connection.sock.deadline, now + _LATE)
        try:
            self._connections.await_answer(flight.target, flight.pooled, ends)
            answer, reusable = _read_response(flight)
        except Exception as error:  # noqa: BLE001 - whatever the libraries raise, its text may hold the URL
            connection.close()
            return self._explained(error, flight.target, deadline)
        if reusable:
            self._connections.give_back(flight.target, flight.pooled)
        else:
            connection.close()
        if answer.status == _PROXY_CREDENTIAL and self._http_proxy_for(flight.target):
            return self._proxy_error(ProxyRefusalError(answer), deadline)
        return answer

    def _open(self, target: _Target, ends: float) -> PooledConnection:
        connection, tunnel = _connection(target), target.scheme == "https"
        connection.open_socket = lambda: self._connector.open(target.host, target.port, ends, tunnel=tunnel)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        now = time.monotonic()
        return PooledConnection(connection, now, now, served=tunnel)


def _run_in_parallel(tasks: Sequence[Callable[[], None]]) -> None:
    """Run the first task in this thread, and each other one in its own, as far as the system gives threads."""
    threads, here = [], list(tasks[:1])
    for task in tasks[1:]:
        try:
            threads.append(start_thread(task, "peer"))
        except NoThreadError:
            here.append(task)
    for task in here:
        task()
    for thread in threads:
        thread.join()


def _target_of(request: Request) -> tuple[_Target, str]:
    """Return a request's endpoint, and the path on the wire."""
    try:
        url = urlsplit(request.url)
        usual = _PORTS[url.scheme]
        target = _Target(url.scheme, _ascii_host(url.hostname or ""), url.port or usual, request.tls)
    except (ValueError, KeyError):
        raise SendError(
            FailureReason.CONFIGURATION_REFUSED, "the URL is not one of http or https", parked=True
        ) from None
    return target, (url.path or "/") + (f"?{url.query}" if url.query else "")


def _ascii_host(host: str) -> str:
    """Return a host name as DNS and HTTP carry it. Raises ValueError."""
    return host if host.isascii() else host.encode("idna").decode()


def _read_response(flight: _Flight) -> tuple[Response, bool]:
    """Return the answer, and whether the connection can be used again."""
    response = flight.pooled.connection.read_answer(flight.method)
    try:
        body = response.read(BODY_LIMIT + 1)
        if len(body) <= BODY_LIMIT and response.length:
            raise http.client.IncompleteRead(b"")
    finally:
        response.close()
    headers = {name.lower(): value for name, value in response.headers.items()}
    reusable = flight.whole and not response.will_close and len(body) <= BODY_LIMIT and response.status >= 200
    return Response(response.status, headers, _decoded(body[:BODY_LIMIT], headers)), reusable


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


def _connection(target: _Target) -> PlainConnection | TlsConnection:
    if target.scheme == "http":
        return PlainConnection(target.host, target.port)
    try:
        return TlsConnection(target.host, target.port, ssl_context=tls_context(target.tls))
    except (ssl.SSLError, ValueError):
        detail = f"{target}: the webhook's own CA, certificate or key cannot be used"
        raise SendError(FailureReason.CONFIGURATION_REFUSED, detail, parked=True) from None
