"""Sockets with a deadline for everything that is done on them together: a dripping peer cannot hold them open."""

import os
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from urllib3.util.wait import wait_for_read

from kubectl_sew.consumers.base import Tls


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left


class DeadlineSocket(socket.socket):
    """`deadline` is a reading of time.monotonic; each read and write gets what is left of it as its timeout."""

    deadline = float("inf")

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(_left(self.deadline))
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(_left(self.deadline))
        super().sendall(*args, **kwargs)

    def answered(self) -> bool:
        """Whether there is something to read, or the end."""
        return bool(wait_for_read(self, timeout=0))


class DeadlineTlsSocket(ssl.SSLSocket):
    """The same over TLS."""

    deadline = float("inf")
    ahead = b""
    """What was read by `answered`, and is read again first."""
    failure: ssl.SSLError | None = None
    """What `answered` met instead, for whoever reads: TLS tells it once."""

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        if self.ahead:
            size = min(len(self.ahead), nbytes or len(buffer))
            buffer[:size], self.ahead = self.ahead[:size], self.ahead[size:]
            return size
        if self.failure:
            raise self.failure
        self.settimeout(_left(self.deadline))
        return super().recv_into(buffer, nbytes, flags)

    def answered(self) -> bool:
        """Whether there is something to read, or the end: what TLS itself says (tickets, new keys) is no answer."""
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
        self.settimeout(_left(self.deadline))  # sendall is a loop over send here
        return super().send(*args, **kwargs)


def connect(address: str, port: int, deadline: float) -> DeadlineSocket:
    """A connection to an address (no name: nothing is looked up). Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = DeadlineSocket(family, socket.SOCK_STREAM)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(_left(deadline))
        connection.connect((address, port))
        connection.settimeout(_left(deadline))
    except BaseException:
        connection.close()
        raise
    connection.deadline = deadline
    return connection


@lru_cache(maxsize=512)
def tls_context(tls: Tls | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, verified; shared by all webhooks with the same material. Raises ssl.SSLError."""
    context = ssl.create_default_context(cadata=tls.ca if tls and tls.ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = DeadlineTlsSocket
    if tls and tls.certificate:
        with _readable(tls.certificate + "\n" + tls.key) as path:
            context.load_cert_chain(path, password=lambda: "")  # else OpenSSL asks for one on a terminal
    return context


@contextmanager
def _readable(text: str) -> Iterator[str]:
    """A path to read a text from, which OpenSSL needs; in memory where the system can, so that no key meets a disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tls")
        try:
            os.write(descriptor, text.encode())
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tls"
        path.touch(mode=0o600)
        path.write_text(text)
        yield str(path)
