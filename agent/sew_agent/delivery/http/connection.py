"""HTTP/1.1 on one connection: writing a request, and reading its answer, without ever blocking."""

import re
import socket
import ssl
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass

from sew_agent.delivery.http.answer import AnswerReader
from sew_agent.delivery.http.event_loop import READ, WRITE, Steps, Wait
from sew_agent.delivery.http.tls_stream import TlsStream

_HEAD = re.compile(r"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\x80-\xff]*\r\n)+\r\n")
"""https://www.rfc-editor.org/rfc/rfc9112#section-2.1"""
_PIECE = 64 * 1024
"""Bytes that are sent between two checks for an early answer, and read at once."""
_AT_ONCE = 16
"""Pieces of an answer that are read as they come."""
_PAUSE = 0.05
"""Seconds between the next ones: a receiver that sends byte by byte would take the time of all others."""


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


@dataclass(slots=True)
class Connection:
    """A connection to a receiver or a proxy. `ends`: deadlines, by time.monotonic."""

    sock: socket.socket
    tls: TlsStream | None = None
    early: bytes | None = None
    """Bytes that came while a request was sent; b"" for the end of the connection."""
    failure: ssl.SSLError | None = None
    """Error that came while a request was sent, kept for the reading: TLS raises it only once."""

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        self.sock.close()

    @property
    def is_quiet(self) -> bool:
        """Return whether the connection is open, with nothing to read."""
        if self.early is not None or (self.tls and not self.tls.is_empty):
            return False
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def send(self, request: bytes, ends: float) -> Steps[bool]:
        """Send a request; return whether all of it went out. A receiver may answer before, and read no more.

        Raises OSError. Nothing goes out once the time is over: nobody would wait for its answer.
        """
        if time.monotonic() >= ends:
            raise TimeoutError
        stream, view, at = self.tls or self.sock, memoryview(request), 0
        while at < len(view):
            if at and self._is_answered():
                return False
            try:
                at += stream.send(view[at : at + _PIECE])
            except (BlockingIOError, ssl.SSLWantWriteError):
                yield from _ready(self.sock, READ | WRITE, ends)
                if self._is_answered():
                    return False
            except ssl.SSLWantReadError:
                yield from _ready(self.sock, READ, ends)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                return False
        return True

    def read(self, method: str, ends: float) -> Steps[AnswerReader]:
        """Read an answer. Raises OSError, NoAnswerError, BadAnswerError."""
        stream, reader, events = self.tls or self.sock, AnswerReader(method), READ
        if self.failure:
            raise self.failure
        early, self.early = self.early, None
        whole = reader.feed(early) if early is not None else False
        pieces = 0
        while not whole:
            try:
                whole = reader.feed(stream.recv(_PIECE))
            except (BlockingIOError, ssl.SSLWantReadError):
                events = READ
            except ssl.SSLWantWriteError:
                events = READ | WRITE  # a peer that reads no more has its answer read all the same
            else:
                pieces += 1
                now = time.monotonic()
                if not whole and now >= ends:
                    raise TimeoutError
                if not whole:  # all others have their turn before more of it is read
                    yield Wait(now + _PAUSE if pieces >= _AT_ONCE else now)
                continue
            yield from _ready(self.sock, events, ends)
        return reader

    def _is_answered(self) -> bool:
        """Return whether there is something to read, or the end; messages of TLS itself do not count."""
        try:
            self.early = (self.tls or self.sock).recv(1024)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except ssl.SSLError as error:
            self.failure = error
        return True


def secured(sock: socket.socket, context: ssl.SSLContext, host: str, ends: float) -> Steps[Connection]:
    """Begin TLS on a connection. Raises OSError (ssl.SSLError), and closes it then."""
    try:
        stream = TlsStream(sock, context, host.rstrip("."))
        while True:
            try:
                stream.do_handshake()
                return Connection(sock, stream)
            except (BlockingIOError, ssl.SSLWantReadError):
                yield from _ready(sock, READ, ends)
            except ssl.SSLWantWriteError:
                yield from _ready(sock, WRITE, ends)
    except BaseException:
        sock.close()
        raise


def _ready(sock: socket.socket, events: int, ends: float) -> Generator[Wait, object, None]:
    """Wait until a socket is ready. Raises TimeoutError."""
    if not (yield Wait(ends, (sock,), events)):
        raise TimeoutError
