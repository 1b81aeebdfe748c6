"""Sends a request and gives the answer, or says in one of a closed set of reasons why there is none.

Connections are kept here: urllib3's pools know neither a deadline for the whole nor a judge of addresses. Its error
texts and log lines hold URLs, which are secrets, so none of them gets out of here.
"""

import http.client
import logging
import os
import re
import socket
import ssl
import threading
import time
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from urllib.parse import urlsplit

import urllib3.exceptions

from agent.delivery.egress import Address, Guard, Resolver
from agent.delivery.exchange import Plain, Secure, write_head
from agent.delivery.proxy import Proxy
from agent.delivery.sockets import connect, tls_context
from kubectl_sew.consumers.base import FailureReason, Request, Response, Tls
from kubectl_sew.errors import SewError

BODY_LIMIT = 64 * 1024
_LATE = 0.1
"""Seconds for an answer that may be there already, where another one before it took all the time."""
MOST_IDLE = 256
"""Connections to all receivers together: 1,024 open files are all that many systems allow a process."""
STALLED = 0.5
"""Seconds without an answer after which no connection to a receiver is kept idle: some serve one at a time."""
CONNECTION_LIFE = 300.0
IDLE_LIFE = 3.0
"""Servers close idle connections after 5 s or more: a request hardly ever meets one that is just being closed."""

_PORTS = {"http": 80, "https": 443}
_ANY_HEADER = zlib.MAX_WBITS | 32
_COMPRESSED = {"gzip": _ANY_HEADER, "x-gzip": _ANY_HEADER, "deflate": _ANY_HEADER}
"""Content encodings -> what zlib calls them."""
_CLIENT_REFUSED = re.compile("ALERT_.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")

logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)  # its children inherit a level, not `disabled`


class SendError(SewError):
    """There is no answer: why, in a reason and in words without a secret. `parked`: trying again would not help."""

    def __init__(self, reason: FailureReason, detail: str, *, parked: bool = False) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.parked = parked


@dataclass(frozen=True, slots=True)
class _Target:
    """Where connections can be shared."""

    scheme: str
    host: str
    port: int
    tls: Tls | None

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Scheme and host, the only parts of a URL that may be shown."""
        return f"{self.scheme}://{self.netloc}"


@dataclass(slots=True)
class _Kept:
    """A connection with the moments (monotonic) of its opening and its last use."""

    connection: Plain | Secure
    opened: float
    used: float

    def fresh(self, now: float) -> bool:
        return now - self.opened < CONNECTION_LIFE and now - self.used < IDLE_LIFE


@dataclass(frozen=True, slots=True)
class _Flight:
    """A request that was sent; `whole`: to its end."""

    target: _Target
    method: str
    kept: _Kept
    whole: bool


class Sender:
    """Thread-safe. The guard judges whatever is connected to: the receiver, or the proxy where there is one."""

    def __init__(self, guard: Guard, resolver: Resolver, *, user_agent: str, proxy: Proxy | None = None) -> None:
        self._guard = guard
        self._resolver = resolver
        self._user_agent = user_agent
        self._proxy = proxy
        self._idle: dict[_Target, deque[_Kept]] = defaultdict(deque)
        self._stalled: list[_Target] = []
        """Where an answer is waited for that does not come: one for each."""
        self._lock = threading.Lock()
        self._sweep_at = 0.0

    def send(self, requests: Sequence[Request], *, deadline: float) -> list[Response | SendError]:
        """What came of each, within `deadline` seconds from the first look-up to the last byte.

        All go out before the first answer is waited for, and each receiver has a thread: one that cannot be connected
        to holds up no other. An answer that is there is taken, whatever time one before it took. Never sends twice:
        only a kept connection that is seen to be closed before the request gives way to a new one.
        """
        ends = time.monotonic() + deadline
        places: dict[str, list[int]] = defaultdict(list)
        for number, request in enumerate(requests):
            places[request.url].append(number)
        answers: dict[int, Response | SendError] = {}

        def exchange(numbers: Sequence[int]) -> None:
            flights = [self._begun(requests[each], ends, deadline) for each in numbers]
            for number, flight in zip(numbers, flights, strict=True):
                answers[number] = flight if isinstance(flight, SendError) else self._ended(flight, deadline)

        _side_by_side([partial(exchange, numbers) for numbers in places.values()])
        return [answers[number] for number in range(len(requests))]

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, defaultdict(deque)
        for kept in (each for several in idle.values() for each in several):
            kept.connection.close()

    def sweep(self) -> None:
        """Close what was idle for too long: a receiver that is not asked again must not hold a socket."""
        now = time.monotonic()
        with self._lock:
            self._sweep_at = now + IDLE_LIFE
            stale = [each for several in self._idle.values() for each in several if not each.fresh(now)]
            kept = {
                target: deque(each for each in several if each.fresh(now)) for target, several in self._idle.items()
            }
            self._idle = defaultdict(deque, {target: several for target, several in kept.items() if several})
        for each in stale:
            each.connection.close()

    def _begun(self, request: Request, ends: float, deadline: float) -> _Flight | SendError:
        try:
            target, path = _addressed(request)
        except SendError as error:
            return error
        try:
            return self._begin(target, path, request, ends)
        except SendError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever the libraries raise, its text may hold the URL
            return _explained(error, target, deadline)

    def _begin(self, target: _Target, path: str, request: Request, ends: float) -> _Flight:
        kept = self._take(target, ends) or self._open(target, ends)
        try:
            whole = kept.connection.ask(self._head(target, path, request), request.body)
        except BaseException:
            kept.connection.close()
            raise
        return _Flight(target, request.method, kept, whole)

    def _head(self, target: _Target, path: str, request: Request) -> bytes:
        headers = dict(request.headers)
        if not any(name.lower() == "user-agent" for name in headers):
            headers["User-Agent"] = self._user_agent
        proxy = self._proxy_for(target)
        if proxy and target.scheme == "http":
            path = f"{target}{path}"
            headers |= proxy.headers
        return _head(target, request, path, headers)

    def _ended(self, flight: _Flight, deadline: float) -> Response | SendError:
        connection = flight.kept.connection
        now = time.monotonic()
        ends = connection.sock.deadline = max(connection.sock.deadline, now + _LATE)
        try:
            if connection.answers_within(min(STALLED, ends - now)):
                answer, reusable = _received(flight)
            else:
                with self._none_idle(flight.target):
                    answer, reusable = _received(flight)
        except Exception as error:  # noqa: BLE001 - whatever the libraries raise, its text may hold the URL
            connection.close()
            return _explained(error, flight.target, deadline)
        if reusable:
            self._give_back(flight.target, flight.kept)
        else:
            connection.close()
        return answer

    def _take(self, target: _Target, ends: float) -> _Kept | None:
        """A kept connection that is alive still; the others are closed."""
        now = time.monotonic()
        while True:
            with self._lock:
                idle = self._idle.get(target)
                kept = idle.pop() if idle else None
            if kept is None:
                return None
            if kept.fresh(now) and kept.connection.is_connected:
                kept.connection.sock.deadline = ends
                return kept
            kept.connection.close()

    def _give_back(self, target: _Target, kept: _Kept) -> None:
        kept.used = time.monotonic()
        with self._lock:
            wanted = target not in self._stalled and sum(map(len, self._idle.values())) < MOST_IDLE
            if wanted:
                self._idle[target].append(kept)
        if not wanted:
            kept.connection.close()
        if kept.used >= self._sweep_at:
            self.sweep()

    @contextmanager
    def _none_idle(self, target: _Target) -> Iterator[None]:
        """Close what is idle there, and keep nothing meanwhile."""
        with self._lock:
            self._stalled.append(target)
            idle = self._idle.pop(target, ())
        for kept in idle:
            kept.connection.close()
        try:
            yield
        finally:
            with self._lock:
                self._stalled.remove(target)

    def _open(self, target: _Target, ends: float) -> _Kept:
        proxy = self._proxy_for(target)
        if proxy:
            self._judge_literal(target.host)
        host, port = (proxy.host, proxy.port) if proxy else (target.host, target.port)
        connection = _connection(target, host, port)
        if proxy and target.scheme == "https":
            connection.set_tunnel(target.host, target.port, dict(proxy.headers))
        connection.open_socket = lambda: self._connect(host, port, ends)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        connection.sock.deadline = ends
        now = time.monotonic()
        return _Kept(connection, now, now)

    def _judge_literal(self, host: str) -> None:
        """A name is the proxy's to look up; an address says already where the proxy would go. Raises SendError."""
        try:
            address = ip_address(host)
        except ValueError:
            return
        if refusal := self._guard.refusal(address):
            raise _refused(host, address, refusal)

    def _connect(self, host: str, port: int, ends: float) -> socket.socket:
        """Connects to the first allowed address that takes it: the very addresses that were judged."""
        addresses = self._resolver.resolve(host, port, ends - time.monotonic())
        refusals = {address: self._guard.refusal(address) for address in addresses}
        allowed = [address for address, refusal in refusals.items() if not refusal]
        if refusals and not allowed:
            raise _refused(host, *next(iter(refusals.items())))
        failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
        for address in allowed:
            try:
                return connect(str(address), port, ends)
            except OSError as error:
                failure = error
        raise failure

    def _proxy_for(self, target: _Target) -> Proxy | None:
        return self._proxy if self._proxy and self._proxy.serves(target.host, target.port) else None


def _refused(host: str, address: Address, refusal: str) -> SendError:
    return SendError(FailureReason.EGRESS_REFUSED, f"{host}: {address} is refused: {refusal}", parked=True)


def _side_by_side(tasks: Sequence[Callable[[], None]]) -> None:
    """Run the first in this thread, and each other one in its own."""
    threads = [threading.Thread(target=each, name="peer", daemon=True) for each in tasks[1:]]
    for thread in threads:
        thread.start()
    for task in tasks[:1]:
        task()
    for thread in threads:
        thread.join()


def _addressed(request: Request) -> tuple[_Target, str]:
    """Where a request goes: what connects, and the path on the wire."""
    try:
        url = urlsplit(request.url)
        usual = _PORTS[url.scheme]
        target = _Target(url.scheme, _in_ascii(url.hostname or ""), url.port or usual, request.tls)
    except (ValueError, KeyError):
        raise SendError(
            FailureReason.CONFIGURATION_REFUSED, "the URL is not one of http or https", parked=True
        ) from None
    return target, (url.path or "/") + (f"?{url.query}" if url.query else "")


def _in_ascii(host: str) -> str:
    """As names are looked up, and as HTTP carries them. Raises ValueError."""
    return host if host.isascii() else host.encode("idna").decode()


def _received(flight: _Flight) -> tuple[Response, bool]:
    """The answer, and whether the connection can be used again."""
    response = flight.kept.connection.answer(flight.method)
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
    """Some compress although they were asked not to. What cannot be decoded stays as it is; 64 KiB at most."""
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


def _connection(target: _Target, host: str, port: int) -> Plain | Secure:
    if target.scheme == "http":
        return Plain(host, port)
    try:
        return Secure(host, port, ssl_context=tls_context(target.tls))
    except (ssl.SSLError, ValueError):
        detail = f"{target}: the webhook's own CA, certificate or key cannot be used"
        raise SendError(FailureReason.CONFIGURATION_REFUSED, detail, parked=True) from None


def _explained(error: Exception, target: _Target, deadline: float) -> SendError:
    """Which of the closed reasons an exception is, in words of our own."""
    if isinstance(error, ssl.SSLCertVerificationError):
        detail = f"{target}: its certificate is refused: {error.verify_message}"
        return SendError(FailureReason.CERTIFICATE, detail, parked=True)
    if isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError):
        return SendError(FailureReason.TIMEOUT, f"{target}: no whole answer within {deadline:g} s")
    if isinstance(error, socket.gaierror):
        return SendError(FailureReason.NAME_NOT_FOUND, f"{target}: the name cannot be resolved")
    if isinstance(error, ssl.SSLError) and _CLIENT_REFUSED.search(error.reason or ""):
        detail = f"{target}: it refuses the client certificate, or asks for one ({_words(error)})"
        return SendError(FailureReason.CREDENTIAL_REFUSED, detail, parked=True)
    return SendError(FailureReason.NETWORK, f"{target}: {_what_failed(error)}")


def _what_failed(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS fails ({_words(error)})"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return "the answer is cut off, or no HTTP"


def _words(error: ssl.SSLError) -> str:
    return (error.reason or "unknown").lower().replace("_", " ")
