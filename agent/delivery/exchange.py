"""One request and its answer over one connection: what goes over the wire, and what is an answer.

By a socket and the standard library alone: urllib3, which connects, does much for each request that we do not need.
"""

import http.client
import re
import socket
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from urllib3.connection import HTTPConnection, HTTPSConnection

from agent.delivery.sockets import DeadlineSocket, DeadlineTlsSocket

_HEAD = re.compile(r"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\x80-\xff]*\r\n)+\r\n")
"""https://www.rfc-editor.org/rfc/rfc9112#section-2.1"""
_INTERIM = (102, 103, 104)
"""What comes before the answer, beside 100, which the library passes over. After 101 nothing more comes by HTTP."""


def write_head(host: str, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A request's first line and headers. Raises ValueError for what HTTP cannot carry."""
    fields = {"Host": host, "Accept-Encoding": "identity", **headers}
    if body or method != "GET":
        fields["Content-Length"] = str(len(body))
    lines = [f"{name}: {value}\r\n" for name, value in fields.items()]
    head = f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n"
    if not _HEAD.fullmatch(head) or head.count("\n") != len(fields) + 2:
        raise ValueError("no head of HTTP")
    return head.encode("latin-1")


class _Lines:
    """A stream that remembers the last line that was read."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.last = b""

    def readline(self, limit: int) -> bytes:
        self.last = self.stream.readline(limit)
        return self.last


class _Answer(http.client.HTTPResponse):
    """An answer whose head ends as it must; the library takes one that was cut off for a whole one."""

    headers: Any

    def begin(self) -> None:
        stream: Any = self.fp
        lines: Any = _Lines(stream)
        self.fp = lines  # begin reads nothing but lines
        try:
            super().begin()
            while self.status in _INTERIM:
                self.headers = None  # else it takes itself for begun
                super().begin()
        finally:
            self.fp = stream
        unreadable = self.length is None and not self.chunked and "content-length" in self.headers
        if lines.last not in (b"\r\n", b"\n") or unreadable:
            raise http.client.IncompleteRead(b"")


class _Exchange:
    """What urllib3's connections get beside how they connect. Their socket is opened elsewhere."""

    sock: DeadlineSocket | DeadlineTlsSocket
    open_socket: Callable[[], socket.socket]

    def ask(self, head: bytes, body: bytes) -> bool:
        """Whether the whole request went out."""
        try:
            self.sock.sendall(head + body)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def answer(self, method: str) -> http.client.HTTPResponse:
        response = _Answer(self.sock, method=method)
        try:
            response.begin()
        except BaseException:
            response.close()
            raise
        return response

    def _new_conn(self) -> socket.socket:
        return self.open_socket()


class Plain(_Exchange, HTTPConnection):  # type: ignore[misc]  # its socket is one of ours
    """Without TLS."""


class Secure(_Exchange, HTTPSConnection):
    """With TLS."""

    sock: DeadlineTlsSocket

    @property
    def is_connected(self) -> bool:
        """Without anything left of the last answer, also in TLS itself, which urllib3 does not look at."""
        return super().is_connected and not self.sock.pending()
