"""Requests on one connection."""

import socket
import time

import pytest

from sew_agent.delivery.http.connection import Connection
from sew_agent.delivery.http.event_loop import finish


def test_a_request_whose_time_is_over_before_it_begins_is_not_sent() -> None:
    """It would arrive, and be sent again: nobody waits for its answer."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        with pytest.raises(TimeoutError):
            finish([Connection(ours).send(b"POST / HTTP/1.1\r\n\r\n", time.monotonic())])
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


def test_all_others_have_their_turn_between_two_pieces_of_an_answer_and_a_trickle_waits() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        begun, ends = time.monotonic(), time.monotonic() + 60.0
        theirs.send(b"HTTP/1.1 ")
        steps = Connection(ours).read("POST", ends)
        waits = [next(steps)]
        for _ in range(40):
            theirs.send(b"2")
            waits.append(steps.send(()))
    assert all(not wait.sockets for wait in waits)
    assert sum(wait.until <= time.monotonic() for wait in waits) < 20
    assert all(begun <= wait.until < ends for wait in waits)
