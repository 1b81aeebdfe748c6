"""A proxy in front of Elasticsearch that fails on demand: it answers itself, cuts answers off, or changes them."""

import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import urllib3

_PRODUCT = ("X-Elastic-Product", "X-OpenSearch-Version")


@dataclass
class Answer:
    """The answer to the client. `cut`: the connection ends after half of the body."""

    status: int
    body: bytes
    cut: bool = False
    media_type: str = "application/json"

    def change(self, change: Callable[[Any], Any]) -> "Answer":
        """Return the answer with another body: `change` gets the JSON and returns the new one."""
        return Answer(self.status, json.dumps(change(json.loads(self.body))).encode())


Fault = Callable[[str, bytes, Callable[[], Answer]], Answer]
"""A function from a request's path, body and real answer to the answer that is given."""


def refuse(status: int, kind: str = "es_rejected_execution_exception", reason: str = "made up") -> Answer:
    return Answer(status, json.dumps({"error": {"type": kind, "reason": reason}, "status": status}).encode())


@dataclass
class Proxy:
    """`fault` may be changed at any time. `asked`: the paths of all requests, in order."""

    url: str
    fault: Fault | None = None
    password: str = ""
    """Basic authentication that is asked for, where there is one: `user:password`."""
    asked: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of every answer: those by which the server says what it is, also where it is the proxy that answers."""
    _server: ThreadingHTTPServer | None = None

    def of(self, part: str) -> int:
        """Count the requests with this in their path."""
        return sum(part in path for path in self.asked)


@contextmanager
def proxy(target: str, tls: tuple[Path, Path] | None = None) -> Iterator[Proxy]:
    """Run a proxy on a free port. `tls`: certificate and key, for https."""
    pool = urllib3.PoolManager(retries=False, timeout=60, maxsize=4)
    said = pool.request("GET", target + "/").headers
    made = Proxy("", headers={name: said[name] for name in _PRODUCT if name in said})
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made, pool, target))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that does not trust us hangs up
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    made.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        pool.clear()


def _handler(made: Proxy, pool: urllib3.PoolManager, target: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.asked.append(self.path)

            def real() -> Answer:
                headers = {name: self.headers[name] for name in ("Accept", "Content-Type") if name in self.headers}
                response = pool.request(self.command, target + self.path, body=body, headers=headers)
                return Answer(response.status, response.data)

            self._send(self._validated(body, real))

        def _validated(self, body: bytes, real: Callable[[], Answer]) -> Answer:
            wanted = "Basic " + base64.b64encode(made.password.encode()).decode()
            if made.password and self.headers.get("Authorization") != wanted:
                return refuse(401, "security_exception", "unable to authenticate")
            return made.fault(self.path, body, real) if made.fault else real()

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)
            if answer.cut:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that http.server gives

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives
            """Print nothing."""

    return Handler
