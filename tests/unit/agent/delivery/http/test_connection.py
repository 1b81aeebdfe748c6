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
