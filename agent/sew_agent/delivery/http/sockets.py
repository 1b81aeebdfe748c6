"""Connecting to one of several addresses, and what a connection with TLS is verified by."""

import errno
import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest

from kubectl_sew.consumers.base import Tls
from kubectl_sew.tls import client_context, load_client_certificate
from sew_agent.delivery.http.event_loop import WRITE, Steps, Wait
from sew_agent.delivery.http.resolver import Address

HEAD_START = 0.25
"""Seconds for each address of a name before the next one is tried beside it."""
MOST_ADDRESSES = 8


class NoConnectionError(TimeoutError):
    """Failure to connect to any address in time."""


def connect(addresses: Sequence[Address], port: int, deadline: float) -> Steps[socket.socket]:
    """Return a connection to the first address that accepts it. Raises OSError.

    Attempts begin one after the other, by families in turns, a quarter of a second later or as soon as one fails
    (https://www.rfc-editor.org/rfc/rfc8305): an address that swallows packets costs no more than that.
    """
    waiting = deque(in_turns(addresses)[:MOST_ADDRESSES])
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    begun: list[socket.socket] = []
    next_at = 0.0
    try:
        while waiting or begun:
            if waiting and (not begun or time.monotonic() >= next_at):
                try:
                    begun.append(_begin(str(waiting.popleft()), port))
                except OSError as error:
                    failure = error
                next_at = time.monotonic() + HEAD_START
                if not begun:
                    continue
            for ready in (yield Wait(min(next_at, deadline) if waiting else deadline, tuple(begun), WRITE)):
                begun.remove(ready)
                if not (code := ready.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                    return ready
                failure = OSError(code, os.strerror(code))
                ready.close()
            if time.monotonic() >= deadline:
                raise NoConnectionError
    finally:
        for connection in begun:
            connection.close()
    raise failure


def in_turns(addresses: Sequence[Address]) -> list[Address]:
    """Return the addresses by families in turns, each in its order, the family of the first one first."""
    first = [address for address in addresses if address.version == addresses[0].version]
    other = [address for address in addresses if address.version != addresses[0].version]
    return [address for pair in zip_longest(first, other) for address in pair if address]


def _begin(address: str, port: int) -> socket.socket:
    connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
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


@lru_cache(maxsize=512)
def tls_context(tls: Tls | None) -> ssl.SSLContext:
    """Return a context for TLS 1.2 or newer, verified; the same material shares it. Raises ssl.SSLError."""
    context = client_context(cadata=tls.ca if tls and tls.ca else None)
    context.set_alpn_protocols(["http/1.1"])
    if tls and tls.certificate:
        load_client_certificate(context, tls.certificate, tls.key)
    return context
