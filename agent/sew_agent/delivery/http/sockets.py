"""Sockets with one deadline for all reads and writes together: a dripping peer cannot hold them open."""

import errno
import os
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from urllib3.util.wait import wait_for_read

from kubectl_sew.consumers.base import Tls
from kubectl_sew.tls import client_context, load_client_certificate
from sew_agent.delivery.http.resolver import Address

HEAD_START = 0.25
"""Seconds for each address of a name before the next one is tried beside it."""
MOST_ADDRESSES = 8


class NoConnectionError(TimeoutError):
    """Failure to connect to any address in time."""


def _remaining(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left


class DeadlineSocket(socket.socket):
    """Socket whose reads and writes get the time until `deadline` (time.monotonic) as their timeout."""

    deadline = float("inf")

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(_remaining(self.deadline))
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(_remaining(self.deadline))
        super().sendall(*args, **kwargs)

    def answered(self) -> bool:
        """Return whether there is something to read, or the end."""
        return bool(wait_for_read(self, timeout=0))


class DeadlineTlsSocket(ssl.SSLSocket):
    """Socket with a deadline, over TLS."""

    deadline = float("inf")
    ahead = b""
    """Bytes that `answered` has read; they are read again first."""
    failure: ssl.SSLError | None = None
    """Error that `answered` met, kept for the next read: TLS raises it only once."""

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        if self.ahead:
            size = min(len(self.ahead), nbytes or len(buffer))
            buffer[:size], self.ahead = self.ahead[:size], self.ahead[size:]
            return size
        if self.failure:
            raise self.failure
        self.settimeout(_remaining(self.deadline))
        return super().recv_into(buffer, nbytes, flags)

    def answered(self) -> bool:
        """Return whether there is something to read, or the end; messages of TLS itself do not count."""
        if self.ahead or not (self.pending() or wait_for_read(self, timeout=0)):
            return bool(self.ahead)
        self.settimeout(0)
        try:
            self.ahead = self.recv(1024)
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        except ssl.SSLError as error:
            self.failure = error
        return True

    def send(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(_remaining(self.deadline))  # sendall is a loop over send here
        return super().send(*args, **kwargs)


def connect(addresses: Sequence[Address], port: int, deadline: float) -> DeadlineSocket:
    """Return a connection to the first address that accepts it. Raises OSError.

    Attempts begin one after the other, by families in turns, a quarter of a second later or as soon as one fails
    (https://www.rfc-editor.org/rfc/rfc8305): an address that swallows packets costs no more than that.
    """
    waiting = deque(in_turns(addresses)[:MOST_ADDRESSES])
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    begun: list[DeadlineSocket] = []
    next_at = 0.0
    try:
        while waiting or begun:
            if waiting and (not begun or time.monotonic() >= next_at):
                try:
                    begun.append(_begin(str(waiting.popleft()), port))
                except OSError as error:
                    failure = error
                next_at = time.monotonic() + HEAD_START
            until = min(next_at, deadline) if waiting else deadline
            for ready in _wait_for_any(begun, until):
                begun.remove(ready)
                if not (code := ready.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                    return _with_deadline(ready, deadline)
                failure = OSError(code, os.strerror(code))
                ready.close()
            if time.monotonic() >= deadline:
                raise NoConnectionError
    finally:
        for connection in begun:
            connection.close()
    raise failure


def _with_deadline(connection: DeadlineSocket, deadline: float) -> DeadlineSocket:
    connection.settimeout(_remaining(deadline))
    connection.deadline = deadline
    return connection


def in_turns(addresses: Sequence[Address]) -> list[Address]:
    """Return the addresses by families in turns, each in its order, the family of the first one first."""
    first = [address for address in addresses if address.version == addresses[0].version]
    other = [address for address in addresses if address.version != addresses[0].version]
    return [address for pair in zip_longest(first, other) for address in pair if address]


def _begin(address: str, port: int) -> DeadlineSocket:
    connection = DeadlineSocket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        code = connection.connect_ex((address, port))
    except BaseException:
        connection.close()
        raise
    if code not in (0, errno.EINPROGRESS):
        connection.close()
        raise OSError(code, os.strerror(code))
    return connection


def _wait_for_any(begun: Sequence[DeadlineSocket], until: float) -> list[DeadlineSocket]:
    """Return the connections that are open or have failed, as soon as there are any."""
    if not begun:
        return []
    with selectors.PollSelector() as selector:
        for connection in begun:
            selector.register(connection, selectors.EVENT_WRITE)
        ready = selector.select(max(until - time.monotonic(), 0.0))
    descriptors = {key.fd for key, _ in ready}
    return [connection for connection in begun if connection.fileno() in descriptors]


@lru_cache(maxsize=512)
def tls_context(tls: Tls | None) -> ssl.SSLContext:
    """Return a context for TLS 1.2 or newer, verified; the same material shares it. Raises ssl.SSLError."""
    context = client_context(cadata=tls.ca if tls and tls.ca else None)
    context.sslsocket_class = DeadlineTlsSocket
    if tls and tls.certificate:
        load_client_certificate(context, tls.certificate, tls.key)
    return context
