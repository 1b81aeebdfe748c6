"""HTTP/1.1 on one connection: writing a request, and reading its answer strictly.

Uses a socket and the standard library alone: urllib3, which connects, does much for each request that is not needed.
"""

import http.client
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.wait import wait_for_read

from sew_agent.delivery.http.sockets import DeadlineSocket, DeadlineTlsSocket

_HEAD = re.compile(r"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\x80-\xff]*\r\n)+\r\n")
"""https://www.rfc-editor.org/rfc/rfc9112#section-2.1"""
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PLAIN = re.compile(_NAME.pattern + b":")
"""The beginning of nearly every header line: the others are checked more closely."""
_LENGTH = re.compile("[0-9]{1,18}", re.ASCII)
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_LONGEST_LINE = 65_537
MOST_OF_A_HEAD = 256 * 1024
"""Bytes of an answer's lines before its body, with those of interim answers."""
_ALL_READ = 80
"""Header lines after which only the needed ones are read."""
_NEEDED = {b"content-length", b"transfer-encoding", b"connection", b"content-encoding", b"content-type", b"retry-after"}
_PIECE = 64 * 1024
"""Bytes that are sent between two checks for an early answer."""
_INTERIM = (102, 103, 104)
"""Interim statuses, beside 100, which the library skips. After 101 nothing more comes by HTTP."""


def write_head(host: str, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a request's first line and headers. Raises ValueError for what HTTP cannot carry."""
    fields = {"Host": host, "Accept-Encoding": "identity", **headers}
    if body or method not in ("GET", "CONNECT"):
        fields["Content-Length"] = str(len(body))
    lines = [f"{name}: {value}\r\n" for name, value in fields.items()]
    head = f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n"
    if not _HEAD.fullmatch(head) or head.count("\n") != len(fields) + 2:
        raise ValueError("no head of HTTP")
    return head.encode("latin-1")


class _Lines:
    """Lines of an answer's head, without those that the library would take for the end of the head.

    The library stops at a header with a blank before its colon or in its name, and refuses more than 100 headers. It
    would miss the Content-Length behind them, and an accepted event would be sent again and again.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.last = b""
        self.odd = False
        self._size = 0
        self._kept = -1
        """Header lines that were passed on; -1 before the first line of an answer."""
        self._dropped = False

    def readline(self, limit: int) -> bytes:
        """Return the next line for the library. Raises http.client.HTTPException where the head is too long."""
        while True:
            self.last = self.stream.readline(limit)
            self._size += len(self.last)
            if self._size > MOST_OF_A_HEAD:
                raise http.client.HTTPException("the head is too long")
            if kept := self._passed_on(self.last):
                return kept
            if not self.last:
                return b""

    def _passed_on(self, line: bytes) -> bytes:
        if self._kept < 0 or not line.strip():
            self._kept = self._kept + 1 if self._kept < 0 else -1
            return line
        if self._kept < _ALL_READ and _PLAIN.match(line):
            self._dropped = False
            self._kept += 1
            return line
        folded = line[:1] in b" \t"
        if not folded:
            name, colon, value = line.partition(b":")
            name = name.rstrip(b" \t")
            known = bool(colon) and _NAME.fullmatch(name) is not None
            self.odd |= not known
            self._dropped = not known or (self._kept >= _ALL_READ and name.lower() not in _NEEDED)
            line = name + colon + value
        if self._dropped or (folded and self._kept >= _ALL_READ):
            return b""
        self._kept += 1
        return line


class _Answer(http.client.HTTPResponse):
    """An answer whose head must be complete: the library accepts one that was cut off."""

    headers: Any
    fp: Any

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
        lengths = [] if self.chunked else self.headers.get_all("content-length", [])
        if lines.last not in (b"\r\n", b"\n") or not all(map(_LENGTH.fullmatch, lengths)):
            raise http.client.IncompleteRead(b"")
        self.will_close = self.will_close or lines.odd

    def _read_next_chunk_size(self) -> int:
        """Read the size strictly: the library accepts `-1`, and would read without an end."""
        size, _, _ = self.fp.readline(_LONGEST_LINE).partition(b";")
        if not _CHUNK_SIZE.fullmatch(size.strip()):
            raise ValueError("no size of a chunk")
        return int(size, 16)


def answer_on(connection: socket.socket, method: str) -> http.client.HTTPResponse:
    """Return the next answer with its head read, its body not. Raises what the library and the socket raise."""
    response = _Answer(connection, method=method)
    try:
        response.begin()
    except BaseException:
        response.close()
        raise
    return response


class _Connection:
    """Mixin for urllib3's connections: sends and reads. Their socket is opened elsewhere."""

    sock: DeadlineSocket | DeadlineTlsSocket
    open_socket: Callable[[], socket.socket]

    def send_request(self, head: bytes, body: bytes) -> bool:
        """Send a request; return whether all of it went out. A receiver may answer before, and read no more."""
        request = memoryview(head + body)
        try:
            for start in range(0, len(request), _PIECE):
                if start and self.sock.answered():
                    return False
                self.sock.sendall(request[start : start + _PIECE])
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            return False
        return True

    def answers_within(self, seconds: float) -> bool:
        """Return whether there is something to read within so many seconds."""
        return self.sock.answered() or bool(wait_for_read(self.sock, timeout=seconds))

    def read_answer(self, method: str) -> http.client.HTTPResponse:
        return answer_on(self.sock, method)

    def _new_conn(self) -> socket.socket:
        return self.open_socket()


class PlainConnection(_Connection, HTTPConnection):  # type: ignore[misc]  # its socket is one of ours
    """A connection without TLS."""


class TlsConnection(_Connection, HTTPSConnection):
    """A connection with TLS."""

    sock: DeadlineTlsSocket

    @property
    def is_connected(self) -> bool:
        """Return whether the connection is open with nothing unread, in TLS itself too, which urllib3 ignores."""
        return super().is_connected and not self.sock.pending() and not self.sock.ahead
