"""TLS in pieces: what one call reads, whatever the peer sends."""

import array
import fcntl
import socket
import ssl
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from kubectl_sew.tls import client_context
from sew_agent.delivery.http import tls_stream
from sew_agent.delivery.http.connection import Connection, secured
from sew_agent.delivery.http.event_loop import READ, Steps
from testbed.raw_server import Authority

NEVER = float("inf")


class Peer:
    """The server's end of a connection, whose bytes go out when the test says so."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.ours, self._sock = socket.socketpair()
        for end in (self.ours, self._sock):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def take_in(self) -> None:
        with suppress(BlockingIOError):
            self._incoming.write(self._sock.recv(1 << 20))

    def hand_out(self) -> None:
        self._sock.sendall(self._outgoing.read())

    def shake_hands(self) -> None:
        self.take_in()
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self.hand_out()

    def read(self) -> bytes:
        self.take_in()
        read = bytearray()
        with suppress(ssl.SSLWantReadError):
            while piece := self.tls.read(1 << 20):
                read += piece
        return bytes(read)

    def value_of(self, steps: Steps[Any], between: Callable[[], object]) -> Any:
        """Return what steps return, with something done before each of them but the first."""
        try:
            for _ in range(10_000):
                between()
                steps.send((self.ours,))
        except StopIteration as ended:
            return ended.value
        raise AssertionError("it does not end")

    def leave(self) -> None:
        """Close the server's end, whatever was not read."""
        self._sock.close()

    def close(self) -> None:
        self.ours.close()
        self._sock.close()


def waiting(sock: socket.socket) -> int:
    """Return the bytes that the system holds for a socket."""
    size = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, size)
    return size[0]


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def peer(authority: Authority, request: pytest.FixtureRequest) -> Iterator[Peer]:
    context = authority.server("hooks.test")
    context.minimum_version = context.maximum_version = request.param
    opened = Peer(context)
    yield opened
    opened.close()


def trusting(authority: Authority) -> ssl.SSLContext:
    return client_context(cadata=authority.certificate)


def connected(peer: Peer, authority: Authority) -> Connection:
    steps = secured(peer.ours, client_context(cadata=authority.certificate), "hooks.test", NEVER)
    next(steps)
    connection: Connection = peer.value_of(steps, peer.shake_hands)
    peer.shake_hands()
    return connection


def test_a_request_and_its_answer_pass(peer: Peer, authority: Authority) -> None:
    connection = connected(peer, authority)
    with pytest.raises(StopIteration):
        next(connection.send(b"POST / HTTP/1.1\r\n\r\n", NEVER))
    assert peer.read() == b"POST / HTTP/1.1\r\n\r\n"
    peer.tls.write(b"HTTP/1.1 204 Fine\r\n\r\n")
    peer.hand_out()
    with pytest.raises(StopIteration) as ended:
        next(connection.read("POST", NEVER))
    assert ended.value.value.status == 204
    assert connection.is_quiet


def test_a_flood_of_messages_that_give_nothing_to_read_is_read_in_pieces(authority: Authority) -> None:
    """A session ticket is such a message: a peer may send them for ever, faster than they are read."""
    context = authority.server("hooks.test")
    context.num_tickets = 500
    peer = Peer(context)
    connection = connected(peer, authority)
    peer.tls.write(b"HTTP/1.1 204 Fine\r\n\r\n")
    peer.hand_out()
    flood = waiting(peer.ours)
    assert flood > 100_000
    steps = connection.read("POST", NEVER)
    next(steps)
    assert flood - 20_000 <= waiting(peer.ours) < flood
    assert peer.value_of(steps, lambda: None).status == 204
    peer.close()


def test_what_came_and_was_not_read_makes_a_connection_unfit(peer: Peer, authority: Authority) -> None:
    connection = connected(peer, authority)
    peer.tls.write(b"HTTP/1.1 204 Fine\r\n\r\n")
    peer.tls.write(b"HTTP/1.1 200 Unasked\r\n\r\n")
    peer.hand_out()
    with pytest.raises(StopIteration):
        next(connection.read("POST", NEVER))
    assert not connection.is_quiet


def test_the_peer_is_told_why_its_certificate_is_refused(peer: Peer) -> None:
    steps = secured(peer.ours, ssl.create_default_context(), "hooks.test", NEVER)
    next(steps)
    peer.shake_hands()
    with pytest.raises(ssl.SSLCertVerificationError):
        steps.send((peer.ours,))
    peer.take_in()
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        peer.tls.do_handshake()


def test_a_request_that_the_system_takes_in_parts_arrives_whole(peer: Peer, authority: Authority) -> None:
    connection = connected(peer, authority)
    request, arrived = bytes(range(256)) * 40_000, bytearray()
    steps = connection.send(request, NEVER)
    next(steps)
    assert peer.value_of(steps, lambda: arrived.extend(peer.read())) is True
    while piece := peer.read():
        arrived += piece
    assert arrived == request


@pytest.mark.parametrize("closes", [False, True])
def test_an_answer_is_read_where_the_peer_takes_no_more_of_the_request(
    peer: Peer, authority: Authority, *, closes: bool
) -> None:
    connection = connected(peer, authority)
    steps = connection.send(bytes(10_000_000), NEVER)
    next(steps)  # the system takes no more
    peer.tls.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
    peer.hand_out()
    if closes:
        peer.leave()
    with pytest.raises(StopIteration) as sent:
        steps.send((peer.ours,))
    assert sent.value.value is False
    with pytest.raises(StopIteration) as read:
        next(connection.read("POST", NEVER))
    assert read.value.value.status == 413


def test_the_rest_of_an_answer_is_waited_for_where_the_peer_takes_no_more(peer: Peer, authority: Authority) -> None:
    connection = connected(peer, authority)
    steps = connection.send(bytes(10_000_000), NEVER)
    next(steps)
    peer.tls.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\n")
    peer.hand_out()
    with pytest.raises(StopIteration):
        steps.send((peer.ours,))
    steps = connection.read("POST", NEVER)
    assert next(steps).events & READ
    peer.tls.write(b"large")
    peer.hand_out()
    with pytest.raises(StopIteration) as read:
        steps.send((peer.ours,))
    assert read.value.value.body == b"large"


def test_of_a_peer_that_reads_nothing_no_more_is_taken_in_than_there_is_room_for_answers(
    peer: Peer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_stream, "MOST_UNSENT", 1000)
    connection = connected(peer, authority)
    steps = connection.send(bytes(10_000_000), NEVER)
    next(steps)
    peer.tls.write(b"HTTP/1.1 413 Too Large\r\n")
    peer.hand_out()
    with pytest.raises(StopIteration):
        steps.send((peer.ours,))
    with pytest.raises(tls_stream.ReadsNothingError):
        next(connection.read("POST", NEVER))
