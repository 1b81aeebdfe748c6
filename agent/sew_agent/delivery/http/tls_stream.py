"""TLS over a socket that does not block, read in pieces.

ssl.SSLSocket reads for as long as bytes come, and a peer may send messages of TLS itself for ever (session tickets, new
keys), which give nothing to read: the one thread would serve that peer alone. Here each call reads one piece.
"""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

_PIECE = 16 * 1024
"""Bytes that are read from the socket at once: about one record of TLS."""
MOST_UNSENT = 256 * 1024
"""Bytes that wait to be sent, above which nothing more is taken in: a piece of a request has a quarter of them."""
_Result = TypeVar("_Result")


class ReadsNothingError(ssl.SSLError):
    """End of a connection whose peer sends messages of TLS that ask for an answer, and reads none of the answers."""

    reason = "it sends without end and reads nothing"


class TlsStream:
    """TLS of a client over a connected socket, which stays the caller's to close.

    What blocks raises: BlockingIOError where nothing came, ssl.SSLWantReadError where what came is not enough yet,
    ssl.SSLWantWriteError where the socket takes no more; then the same call is to be made again.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unsent = memoryview(b"")
        self._taken = 0
        """Bytes of the caller's that are encrypted, but not all sent."""

    @property
    def is_empty(self) -> bool:
        """Return whether nothing that came waits to be read here."""
        return not self._tls.pending() and not self._incoming.pending

    def do_handshake(self) -> None:
        """Go on with the handshake. Raises OSError (ssl.SSLError)."""
        self._step(self._tls.do_handshake)
        self._flush()

    def send(self, data: memoryview) -> int:
        """Send bytes; return how many, all sent. Raises OSError."""
        if not self._taken:
            self._taken = self._step(lambda: self._tls.write(data))
        self._flush()
        taken, self._taken = self._taken, 0
        return taken

    def recv(self, size: int) -> bytes:
        """Return bytes that came; none for the end, also where the peer did not announce it. Raises OSError."""
        try:
            return self._step(lambda: self._tls.read(size))
        except ssl.SSLEOFError:
            return b""

    def _step(self, step: Callable[[], _Result]) -> _Result:
        """Take a step of TLS; where it lacks bytes, take it once more with the next piece.

        That is read where the socket takes no more, too: the peer may have answered, and read no more itself.
        """
        try:
            return self._try(step)
        except ssl.SSLWantReadError:
            self._take_in()
        except ssl.SSLWantWriteError as error:
            if len(self._unsent) + self._outgoing.pending > MOST_UNSENT:
                raise ReadsNothingError from None
            try:
                self._take_in()
            except BlockingIOError:
                raise error from None
        return self._try(step)

    def _take_in(self) -> None:
        """Read a piece. Raises OSError."""
        if piece := self._plain.recv(_PIECE):
            self._incoming.write(piece)
        else:
            self._incoming.write_eof()

    def _try(self, step: Callable[[], _Result]) -> _Result:
        """Take a step; what it has written is sent before more is read, and an alert where it fails."""
        try:
            return step()
        except ssl.SSLWantReadError:
            with suppress(BrokenPipeError, ConnectionResetError):  # the peer has gone, maybe after its answer
                self._flush()
            raise
        except ssl.SSLError:
            with suppress(OSError):
                self._flush()
            raise

    def _flush(self) -> None:
        """Send what TLS has written. What a broken connection does not take is dropped."""
        try:
            while data := self._unsent or memoryview(self._outgoing.read()):
                self._unsent = data[self._plain.send(data) :]
        except BlockingIOError:
            self._unsent = data
            raise ssl.SSLWantWriteError from None
        except OSError:
            self._unsent = memoryview(b"")
            raise
