"""HTTP answers with random bytes changed, read by the real client: a broken answer never passes for a whole one."""

import random
import time
from collections.abc import Callable

from kubectl_sew.consumers.base import FailureReason, Request, Response
from sew_agent.base.settings import parse_rules
from sew_agent.delivery.http.answer import BODY_LIMIT
from sew_agent.delivery.http.client import HttpClient
from sew_agent.delivery.http.egress import EgressGuard
from sew_agent.delivery.http.errors import SendError
from sew_agent.delivery.http.resolver import Resolver
from testbed.raw_server import Connection, RawServer

COST = 10
"""Each answer takes two requests, and some the whole deadline."""
DEADLINE = 0.5
SECOND = b"HTTP/1.1 299 Second\r\ncontent-length: 6\r\n\r\nsecond"
WHOLE = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nx-trailer: a\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nx-one: a\r\n\r\n",
    b"HTTP/1.1 103 Early\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nX-A : b\r\nMy Param: x\r\ncontent-length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nx: a\r\n  folded\r\ncontent-length: 5\r\n\r\nhello",
    b"HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello",
)
PIECES = (
    *(b"\r\n", b"\n", b"\r", b":", b" ", b"\t", b"\x00", b"\xff"),
    *(b"0", b"-1", b"+2", b"ffffffffffffffff", b"0x5", b"1e5"),
    *(b"HTTP/1.1 200 OK\r\n", b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"connection: close\r\n"),
    *(b"x: y\r\n" * 120, b"\r\n\r\n", b"0\r\n\r\n", b"a" * 70_000, b"HTTP/1.1 100 Continue\r\n\r\n" * 20),
)


def fuzz(n: int, seed: int) -> None:
    """Try so many answers. Raises AssertionError that names the seed, the number and the answer."""
    chance = random.Random(seed)
    current: list[tuple[bytes, bool]] = []

    def script(connection: Connection) -> bool:
        if connection.requests[-1].endswith(b"second"):
            connection.send(SECOND)
            return True
        answer, stays = current[-1]
        connection.send(answer)
        return stays

    sender = HttpClient(EgressGuard(allow=parse_rules("127.0.0.0/8")), Resolver(), user_agent="fuzz")
    with RawServer(script) as server:
        for number in range(n):
            whole = chance.choice(WHOLE)
            answer, cut = _changed(whole, chance)
            current[:] = [(answer, chance.random() < 0.03)]
            _check(lambda body: _sent(sender, server.port, body), cut, f"seed {seed}, number {number}: {answer!r:.300}")
    sender.close()


def _changed(whole: bytes, chance: random.Random) -> tuple[bytes, bool]:
    """An answer with some changes, or only cut off."""
    if chance.random() < 0.2:
        answer = whole[: chance.randrange(len(whole))]
        return answer, b"\r\n0" not in answer  # the last chunk says that nothing is missing
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(whole) + 1)
        until = at + chance.choice((0, 0, 1, 1, 2, 9))
        put = chance.choice((chance.choice(PIECES), bytes([chance.randrange(256)]), b""))
        whole = whole[:at] + put + whole[until:]
    return whole, False


def _sent(sender: HttpClient, port: int, body: bytes) -> Response | SendError:
    request = Request("POST", f"http://127.0.0.1:{port}/", (), body)
    began = time.monotonic()
    (came,) = sender.send([request], deadline=DEADLINE)
    assert time.monotonic() - began < DEADLINE + 5.0, "the deadline has passed"
    return came


def _check(send: Callable[[bytes], Response | SendError], cut: bool, case: str) -> None:
    first = send(b"first")
    if isinstance(first, SendError):
        assert first.reason in (FailureReason.NETWORK, FailureReason.TIMEOUT), f"{first.reason}: {case}"
        assert "mistake" not in first.detail, case
    else:
        assert not cut, f"an answer that was cut off counts: {case}"
        assert len(first.body) <= BODY_LIMIT, case
        assert 100 <= first.status <= 999, case
    second = send(b"second")
    if isinstance(second, SendError):  # the server closed without a word, while the request was on its way
        assert second.reason is FailureReason.NETWORK, f"{second.reason}: {case}"
        second = send(b"second")
    assert isinstance(second, Response), f"the next request fails ({second}): {case}"
    assert second.status == 299, f"the next request gets {second.status} of the answer before: {case}"
