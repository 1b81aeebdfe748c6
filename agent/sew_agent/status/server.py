"""The server of /metrics, /healthz and /readyz."""

import errno
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler
from socket import AF_INET, AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, SHUT_RDWR, socket
from socketserver import BaseRequestHandler, TCPServer, ThreadingMixIn
from time import monotonic
from typing import Any

from kubectl_sew.errors import SewError
from sew_agent.base.health import Health
from sew_agent.base.log import Log
from sew_agent.base.metrics import CONTENT_TYPE
from sew_agent.base.settings import SettingsError
from sew_agent.base.threads import start_thread

REQUEST_SECONDS = 5.0
"""Seconds for a request; a slower client is cut off."""
CLIENTS = 8
"""Clients served at the same time. One more replaces the oldest that has asked nothing yet, else the oldest: neither
idle connections nor a flood of new ones must keep the kubelet out."""
_ROOM_WITHIN = 1.0
"""Seconds in which the oldest client, cut off, makes room."""
ANY_IPV6 = "::"
ANY_IPV4 = "0.0.0.0"  # noqa: S104 - what the manifests ask for by [::], on a machine without IPv6


def serve(
    listen: tuple[str, int] | None, health: Health, metrics: Callable[[], str], log: Log, stack: ExitStack
) -> None:
    """Serve until `stack` ends it; nothing where `listen` is None. Raises SettingsError where it is not free."""
    if listen is None:
        return
    server = HealthServer(listen, health, metrics)
    server.start()
    stack.callback(server.close)
    log.info("listening", address=server.address)


class HealthServer:
    """Server of /metrics, /healthz and /readyz from `start` until `close`."""

    def __init__(self, listen: tuple[str, int], health: Health, metrics: Callable[[], str]) -> None:
        """`metrics` returns the text of a scrape, and may raise SewError."""
        self._listen = listen
        self._pages = {
            "/metrics": lambda: (200, metrics()),
            "/healthz": lambda: _verdict(health.stalled()),
            "/readyz": lambda: _verdict(health.unready()),
        }

    def start(self) -> None:
        """Raises SettingsError where the address is not free, NoThreadError where there is no thread."""
        try:
            self._server = _listen(self._listen, _handler(self._pages))
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise SettingsError(
                f"SEW_LISTEN {_written(self._listen)}: metrics and health cannot be served there ({why.lower()}): "
                "end what uses it, or choose another --listen HOST:PORT, or --listen off"
            ) from None
        start_thread(self._server.serve_forever, "health", 0.1)

    @property
    def address(self) -> str:
        """Return HOST:PORT, with the port that the system chose where 0 was asked for."""
        host, port, *_ = self._server.server_address
        return _written((str(host), int(port)))

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _verdict(problems: Mapping[str, str]) -> tuple[int, str]:
    if not problems:
        return 200, "ok\n"
    return 503, "".join(f"{name}: {problem}\n" for name, problem in problems.items())


def _written(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(listen: tuple[str, int], handler: type[BaseRequestHandler]) -> "_Server":
    """Open the server; `[::]` serves IPv4 too, or alone on a machine without IPv6. Raises OSError, OverflowError."""
    try:
        return _Server(listen, handler)
    except OSError as error:
        if listen[0] != ANY_IPV6 or error.errno not in _NO_IPV6:
            raise
        return _Server((ANY_IPV4, listen[1]), handler)


_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class _DeadlineSocket(socket):
    """Socket whose reads and writes get the time until `deadline` (monotonic) as their timeout: no client drips on."""

    deadline = float("inf")

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self._remaining())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(self._remaining())
        super().sendall(*args, **kwargs)

    def _remaining(self) -> float:
        left = self.deadline - monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left


class _Server(ThreadingMixIn, TCPServer):
    """Server with a limit of clients; not HTTPServer, which looks up its own name at the start, and may hang."""

    allow_reuse_address = True
    request_queue_size = 128
    """Connections that may wait to be accepted: were they few, a probe's would be refused in a flood."""
    daemon_threads = True
    block_on_close = False

    def __init__(self, listen: tuple[str, int], handler: type[BaseRequestHandler]) -> None:
        self.address_family = AF_INET6 if ":" in listen[0] else AF_INET
        self._free = threading.BoundedSemaphore(CLIENTS)
        self._lock = threading.Lock()
        self._open: dict[socket, bool] = {}
        """Served connections, the oldest first -> whether their requests have come."""
        super().__init__(listen, handler)

    def server_bind(self) -> None:
        if self.address_family == AF_INET6 and self.server_address[0] == ANY_IPV6:
            self.socket.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self) -> tuple[socket, Any]:
        accepted, address = super().get_request()
        connection = _DeadlineSocket(fileno=accepted.detach())
        connection.deadline = monotonic() + REQUEST_SECONDS
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self._cut_oldest()
            if not self._free.acquire(timeout=_ROOM_WITHIN):
                self.shutdown_request(request)
                return
        with self._lock:
            self._open[request] = False
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system gives no more threads: this client comes again
            self._let_go(request)
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._let_go(request)

    def asked(self, request: Any) -> None:
        """Take note that a connection's request has come: others make room before it."""
        with self._lock:
            self._open[request] = True

    def _let_go(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        self._free.release()

    def _cut_oldest(self) -> None:
        """Cut the oldest idle connection off, else the oldest: its thread then reads the end, and is free.

        The newest is none: what it asks may be on the way.
        """
        with self._lock:
            served = list(self._open)
            idle = [connection for connection in served[:-1] if not self._open[connection]]
        oldest = next(iter(idle or served), None)
        if oldest is not None:
            with suppress(OSError):
                oldest.shutdown(SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that went away."""


Page = Callable[[], tuple[int, str]]


def _handler(pages: Mapping[str, Page]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Handler of HTTP/1.0: one request for each connection."""

        server_version = "sew-agent"
        sys_version = ""

        server: _Server

        def do_GET(self) -> None:
            self.server.asked(self.request)
            self._serve(pages.get(self.path.partition("?")[0]))

        def _serve(self, page: Page | None) -> None:
            status, text = _answer(page)
            body = text.encode(errors="replace")
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives
            """Log nothing: probes would fill the log."""

    return Handler


def _answer(page: Page | None) -> tuple[int, str]:
    if page is None:
        return 404, "there is /metrics, /healthz and /readyz\n"
    try:
        return page()
    except SewError as error:
        return 500, f"{error}\n"
