"""Sending, against real servers on loopback that do what receivers do, and what they should not."""

import gzip
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

import sew_agent.delivery.http.pool
from kubectl_sew.consumers.base import FailureReason, Request, Response, Tls, Verdict
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from sew_agent.base.settings import parse_rules
from sew_agent.delivery.attempt import Route, attempt
from sew_agent.delivery.http.answer import BODY_LIMIT
from sew_agent.delivery.http.client import HttpClient
from sew_agent.delivery.http.egress import EgressGuard
from sew_agent.delivery.http.errors import SendError
from sew_agent.delivery.http.proxy import read_proxy
from sew_agent.delivery.http.resolver import Lookup, Resolver
from sew_agent.delivery.http.sockets import in_turns
from sew_agent.store.records import Delivery
from testbed.raw_server import OK, Authority, Connection, RawServer, Script, answering
from tests.waiting import eventually

SHORT = 0.3
SECRET = "SECRET-PATH"
LOCAL = EgressGuard(allow=parse_rules("127.0.0.0/8"))


def resolving(host: str, port: int) -> Sequence[str]:
    """Names under .test are this machine."""
    if not host.endswith(".test"):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")
    return ["127.0.0.1"]


@pytest.fixture
def sending() -> Iterator[Callable[..., HttpClient]]:
    """Makes senders, and closes them at the end."""
    made: list[HttpClient] = []

    def make(guard: EgressGuard = LOCAL, lookup: Lookup = resolving, **more: Any) -> HttpClient:
        made.append(HttpClient(guard, Resolver(lookup), user_agent="sew-agent/test", **more))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def sender(sending: Callable[..., HttpClient]) -> HttpClient:
    return sending()


def request(port: int, *, scheme: str = "http", host: str = "hooks.test", **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "method": "POST",
        "url": f"{scheme}://{host}:{port}/{SECRET}?key={SECRET}",
        "headers": (("Content-Type", "application/json"),),
        "body": b"{}",
    }
    return Request(**(fields | changes))


def send(sender: HttpClient, asked: Request, *, deadline: float) -> Response:
    """The answer to one request; raises what came instead of it."""
    (answer,) = sender.send([asked], deadline=deadline)
    if isinstance(answer, SendError):
        raise answer
    return answer


def failure(send: Callable[[], Response]) -> SendError:
    """The error, without a trace of the secret in it or in what it came from."""
    with pytest.raises(SendError) as caught:
        send()
    assert SECRET not in f"{caught.value} {caught.value.__cause__}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def test_a_request_arrives_whole_and_its_answer_comes_back(sender: HttpClient) -> None:
    with RawServer(answering(b"HTTP/1.1 201 Created\r\nX-One: a\r\ncontent-length: 4\r\n\r\nbody")) as server:
        answer = send(sender, request(server.port), deadline=5.0)
        assert (answer.status, answer.headers["x-one"], answer.body) == (201, "a", b"body")
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == f"POST /{SECRET}?key={SECRET} HTTP/1.1"
    assert {f"Host: hooks.test:{server.port}", "User-Agent: sew-agent/test", "Content-Length: 2"} <= set(lines)
    assert body == b"{}"


def test_a_host_of_other_letters_is_named_as_it_is_looked_up(sending: Callable[..., HttpClient]) -> None:
    with RawServer(answering(OK)) as proxy:
        for through in (None, read_proxy(f"http://proxy.test:{proxy.port}", "")):
            sender = sending(proxy=through)
            for host in ("münchen.test", "例え.test"):
                assert send(sender, request(proxy.port, host=host), deadline=5.0).status == 200
        heads = [request.decode("ascii") for request in proxy.requests]
    names = ["xn--mnchen-3ya.test", "xn--r8jz45g.test"]
    assert all(f"Host: {name}:{proxy.port}\r\n" in head for name, head in zip(names * 2, heads, strict=True))
    assert [head.split("/")[2].partition(":")[0] for head in heads[2:]] == names


def test_a_user_agent_of_the_webhooks_own_stays_alone(sender: HttpClient) -> None:
    with RawServer(answering(OK)) as server:
        send(sender, request(server.port, headers=(("user-agent", "mine"),)), deadline=5.0)
        assert server.requests[0].lower().count(b"user-agent") == 1


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n",
    ],
)
def test_connections_are_used_again(sender: HttpClient, answer: bytes) -> None:
    with RawServer(answering(answer)) as server:
        for _ in range(3):
            send(sender, request(server.port), deadline=5.0)
        assert (server.connections, len(server.requests)) == (1, 3)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (BODY_LIMIT + 1) + b"x" * (BODY_LIMIT + 1),
    ],
)
def test_a_connection_that_cannot_be_trusted_to_be_empty_is_not_used_again(sender: HttpClient, answer: bytes) -> None:
    with RawServer(answering(answer)) as server:
        for _ in range(2):
            assert send(sender, request(server.port), deadline=5.0).status == 200
        assert server.connections == 2


def test_what_is_left_of_an_answer_is_never_the_next_one(sender: HttpClient, authority: Authority) -> None:
    """The answer fits into one TLS record, of which nothing is in the socket any more, and fills Python's buffer.

    Before 3.14, whose buffers are larger than a record.
    """
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\nx: "
    first = head.ljust(8192 - 4004, b"y") + b"\r\n\r\n" + b"x" * 4000
    with RawServer(answering(first + b"HTTP/1.1 500 Oops\r\n\r\n"), authority.server("hooks.test")) as server:
        asked = request(server.port, scheme="https", tls=Tls(ca=authority.certificate))
        assert [send(sender, asked, deadline=5.0).status for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("status", [100, 102, 103])
def test_what_comes_before_the_answer_is_passed_over(sender: HttpClient, status: int) -> None:
    interim = b"HTTP/1.1 %d Wait\r\nx: 1\r\n\r\n" % status
    with RawServer(answering(interim * 2 + OK)) as server:
        for _ in range(2):
            assert send(sender, request(server.port), deadline=5.0).body == b"ok"
        assert server.connections == 1


ODD_HEADS = [
    b"X-A : b",
    b"My Param: x",
    b"no colon",
    b": no name",
    b"X-Fold: a\r\n b: c",
    b"My Param: x\r\n content-length: 9",
    b"\r\n".join(b"X-%d: y" % number for number in range(300)),
]


@pytest.mark.parametrize("odd", ODD_HEADS)
@pytest.mark.parametrize("length", [b"Content-Length: 2", b"Content-Length : 2"])
def test_an_answer_with_an_odd_head_is_an_answer(sender: HttpClient, odd: bytes, length: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + odd + b"\r\n" + length + b"\r\nX-Last: z\r\n\r\n"
    with RawServer(answering(head + b"ok")) as server:
        for _ in range(2):
            answer = send(sender, request(server.port), deadline=5.0)
            assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"ok", "2")


def test_a_head_without_an_end_is_no_answer(sender: HttpClient) -> None:
    with RawServer(answering(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 60_000 + b"\r\n")) as server:
        error = failure(lambda: send(sender, request(server.port), deadline=5.0))
        assert error.detail.endswith("the answer is cut off, or is not HTTP")


@pytest.mark.parametrize("size", [b"-1", b"+2", b"0x2", b"1_0", b"", b" ", b"2 2", b"F" * 400])
def test_a_size_of_a_chunk_that_is_none_ends_the_answer(sender: HttpClient, size: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    with RawServer(answering(head + size + b"\r\nok\r\n0\r\n\r\n")) as server:
        error = failure(lambda: send(sender, request(server.port), deadline=5.0))
        assert (error.reason, error.parked) == (FailureReason.NETWORK, False)


@pytest.mark.parametrize("length", [b"-1", b"+2", b"2_0", b"0x2", b"9" * 400])
def test_a_length_that_is_no_number_is_no_answer(sender: HttpClient, length: bytes) -> None:
    with RawServer(answering(b"HTTP/1.1 200 OK\r\ncontent-length: " + length + b"\r\n\r\nok")) as server:
        error = failure(lambda: send(sender, request(server.port), deadline=5.0))
        assert (error.reason, error.parked) == (FailureReason.NETWORK, False)


@pytest.mark.parametrize(
    ("encoding", "body", "read"),
    [
        (b"gzip", gzip.compress(b"ok", mtime=0), b"ok"),
        (b" X-GZIP ", gzip.compress(b"ok", mtime=0), b"ok"),
        (b"deflate", zlib.compress(b"ok"), b"ok"),
        (b"identity", b"ok", b"ok"),
        (b"gzip", b"not packed", b"not packed"),
        (b"gzip", gzip.compress(b"x" * 50_000_000, mtime=0), b"x" * BODY_LIMIT),
    ],
)
def test_a_body_that_was_compressed_unasked_is_decoded_within_the_bound(
    sender: HttpClient, encoding: bytes, body: bytes, read: bytes
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: %s\r\ncontent-length: %d\r\n\r\n" % (encoding, len(body))
    with RawServer(answering(head + body)) as server:
        assert send(sender, request(server.port), deadline=5.0).body == read


def test_a_kept_connection_that_the_receiver_closed_is_replaced_without_a_failure(sender: HttpClient) -> None:
    closed = threading.Event()

    def script(connection: Connection) -> bool:
        connection.send(OK)
        connection.socket.shutdown(socket.SHUT_RDWR)
        closed.set()
        return False

    with RawServer(script) as server:
        for _ in range(3):
            assert send(sender, request(server.port), deadline=5.0).status == 200
            assert closed.wait(5)
            closed.clear()
        assert (server.connections, len(server.requests)) == (3, 3)


def test_a_request_that_was_cut_off_is_not_sent_again_by_itself(sender: HttpClient) -> None:
    answers = [True, False]

    def script(connection: Connection) -> bool:
        if answers.pop(0):
            connection.send(OK)
            return True
        return False

    with RawServer(script) as server:
        send(sender, request(server.port), deadline=5.0)
        error = failure(lambda: send(sender, request(server.port), deadline=5.0))
        assert (error.reason, error.parked) == (FailureReason.NETWORK, False)
        assert (server.connections, len(server.requests)) == (1, 2)


@pytest.mark.parametrize("limit", ["CONNECTION_LIFE", "IDLE_LIFE"])
def test_kept_connections_have_an_end(sender: HttpClient, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(sew_agent.delivery.http.pool, limit, 0.0)
    with RawServer(answering(OK)) as server:
        for _ in range(2):
            send(sender, request(server.port), deadline=5.0)
        assert server.connections == 2


def test_a_receiver_that_is_not_asked_again_holds_no_socket(
    sender: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def script(connection: Connection) -> bool:
        connection.send(OK)
        if not connection.socket.recv(1):
            ended.set()
        return False

    with RawServer(script) as server:
        monkeypatch.setattr(sew_agent.delivery.http.pool, "IDLE_LIFE", 0.01)
        send(sender, request(server.port), deadline=5.0)
        eventually(lambda: sender.close_stale() or ended.is_set(), "the connection is closed")


def test_a_sender_that_is_closed_keeps_no_connection(sender: HttpClient) -> None:
    with RawServer(answering(OK)) as server:
        sender.close()
        for _ in range(2):
            assert send(sender, request(server.port), deadline=5.0).status == 200
        assert server.connections == 2


def hang(connection: Connection) -> None:
    connection.stopped.wait(10)


def drip_head(connection: Connection) -> None:
    connection.drip(b"HTTP/1.1 200 OK\r\n" + b"x-long: y\r\n" * 1000)


def drip_body(connection: Connection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    connection.drip(b"x" * 1000)


def drip_chunks(connection: Connection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    connection.drip(b"1\r\nx\r\n" * 1000)


def promise_continue(connection: Connection) -> None:
    connection.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


@pytest.mark.parametrize("script", [hang, drip_head, drip_body, drip_chunks, promise_continue])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_deadline_is_that_of_the_whole(
    sender: HttpClient, authority: Authority, script: Script, scheme: str
) -> None:
    context = authority.server("hooks.test") if scheme == "https" else None
    with RawServer(script, context) as server:
        asked = request(server.port, scheme=scheme, tls=Tls(ca=authority.certificate))
        started = time.monotonic()
        error = failure(lambda: send(sender, asked, deadline=SHORT))
        assert SHORT <= time.monotonic() - started < SHORT + 1.0
    assert (error.reason, error.parked) == (FailureReason.TIMEOUT, False)
    assert error.detail == f"{scheme}://hooks.test:{server.port}: no whole answer within 0.3 s"


def test_the_deadline_holds_on_a_connection_that_is_used_again(sender: HttpClient) -> None:
    answers: list[Script] = [answering(OK), hang]

    def script(connection: Connection) -> None:
        answers.pop(0)(connection)

    with RawServer(script) as server:
        send(sender, request(server.port), deadline=30.0)
        started = time.monotonic()
        assert failure(lambda: send(sender, request(server.port), deadline=SHORT)).reason is FailureReason.TIMEOUT
        assert time.monotonic() - started < SHORT + 1.0


def test_an_answer_that_is_there_is_taken_whatever_time_another_took(sender: HttpClient) -> None:
    with RawServer(hang) as silent, RawServer(answering(OK)) as server:
        asked = [request(silent.port), request(server.port), request(silent.port), request(server.port)]
        started = time.monotonic()
        answers = sender.send(asked, deadline=SHORT)
        assert time.monotonic() - started < SHORT + 1.0
    results = [answer.reason if isinstance(answer, SendError) else answer.status for answer in answers]
    assert results == [FailureReason.TIMEOUT, 200, FailureReason.TIMEOUT, 200]


def test_a_receiver_that_cannot_be_connected_to_holds_up_no_other(sending: Callable[..., HttpClient]) -> None:
    hanging = threading.Event()

    def lookup(host: str, port: int) -> Sequence[str]:
        if host == "silent.test":
            hanging.wait(10)
        return ["127.0.0.1"]

    sender = sending(lookup=lookup)
    with RawServer(answering(OK)) as server:
        asked = [request(1, host="silent.test"), request(server.port)]
        started = time.monotonic()
        first, second = sender.send(asked, deadline=SHORT)
        assert time.monotonic() - started < SHORT + 1.0
    hanging.set()
    assert isinstance(first, SendError)
    assert isinstance(second, Response)


def test_all_requests_go_out_before_an_answer_is_waited_for(sender: HttpClient) -> None:
    together = threading.Barrier(3, timeout=5.0)

    def script(connection: Connection) -> None:
        together.wait()
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n" + connection.requests[-1][-2:])

    with RawServer(script) as server:
        answers = sender.send([request(server.port, body=b"n%d" % number) for number in range(3)], deadline=5.0)
        assert [answer.status for answer in answers if isinstance(answer, Response)] == [200, 200, 200]
        assert server.connections == 3
        assert len(server.requests) == 3


def test_a_receiver_that_serves_one_connection_at_a_time_answers_all(
    sender: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sew_agent.delivery.http.pool, "STALLED", 0.02)
    with RawServer(answering(OK), in_turn=True) as server:
        for _ in range(2):
            answers = sender.send([request(server.port) for _ in range(3)], deadline=5.0)
            assert [answer.status for answer in answers if isinstance(answer, Response)] == [200, 200, 200]
        assert len(server.requests) == 6, "none is sent twice"


def test_no_more_connections_are_kept_idle_than_there_may_be(sending: Callable[..., HttpClient]) -> None:
    sender = sending(most_idle=3)
    with RawServer(answering(OK)) as one, RawServer(answering(OK)) as other:
        for _ in range(2):
            sender.send([request(one.port)] * 2 + [request(other.port)] * 2, deadline=5.0)
        assert one.connections + other.connections == 5


def test_a_sender_that_is_never_idle_leaves_a_receiver_of_one_connection_to_another(
    sender: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sew_agent.delivery.http.pool, "STALLED", 0.02)
    begun, done = threading.Event(), threading.Event()

    def script(connection: Connection) -> None:
        connection.stopped.wait(0.01)
        connection.send(OK)

    def busy() -> None:
        while not done.is_set():
            sender.send([request(server.port)], deadline=5.0)
            begun.set()

    with RawServer(script, in_turn=True) as server:
        other = threading.Thread(target=busy)
        other.start()
        assert begun.wait(5.0)
        answers = [answer for _ in range(3) for answer in sender.send([request(server.port)], deadline=1.0)]
        done.set()
        other.join()
    assert [answer.status for answer in answers if isinstance(answer, Response)] == [200] * 3


def test_connections_are_kept_though_every_answer_is_slow(sender: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sew_agent.delivery.http.pool, "STALLED", 0.005)

    def script(connection: Connection) -> None:
        connection.stopped.wait(0.02)
        connection.send(OK)

    def work() -> None:
        for _ in range(15):
            send(sender, request(server.port), deadline=5.0)

    with RawServer(script) as server:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.requests) == 60
        assert server.connections <= 20


def test_one_request_without_an_answer_costs_the_others_of_its_receiver_no_connections(
    sender: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sew_agent.delivery.http.pool, "STALLED", 0.005)
    asked = threading.Event()

    def script(connection: Connection) -> None:
        if b"hang" in connection.requests[-1]:
            asked.set()
            connection.stopped.wait(10)
        connection.stopped.wait(0.01)
        connection.send(OK)

    with RawServer(script) as server:
        hanging = threading.Thread(target=lambda: sender.send([request(server.port, body=b"hang")], deadline=2.0))
        hanging.start()
        assert asked.wait(5)
        for _ in range(30):
            send(sender, request(server.port), deadline=5.0)
        assert server.connections <= 10
    hanging.join()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_deadline_holds_while_the_receiver_takes_nothing(sender: HttpClient, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error = failure(lambda: send(sender, request(port, scheme=scheme, body=b"x" * 50_000_000), deadline=2.0))
        assert error.reason is FailureReason.TIMEOUT


def test_the_deadline_holds_for_the_lookup(sending: Callable[..., HttpClient]) -> None:
    hanging = threading.Event()
    sender = sending(lookup=lambda *_: ["127.0.0.1"] if hanging.wait(10) else [])
    error = failure(lambda: send(sender, request(80), deadline=0.05))
    assert (error.reason, error.parked) == (FailureReason.NAME_SERVER_SILENT, False)
    assert error.detail == "http://hooks.test: the name server does not answer within 0.05 s"
    hanging.set()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 60_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
    ],
)
def test_what_is_no_whole_answer_is_a_failure_of_the_network(sender: HttpClient, answer: bytes) -> None:
    def script(connection: Connection) -> bool:
        connection.send(answer)
        return False

    with RawServer(script) as server:
        error = failure(lambda: send(sender, request(server.port), deadline=5.0))
    assert (error.reason, error.parked) == (FailureReason.NETWORK, False)
    assert error.detail.startswith(f"http://hooks.test:{server.port}: ")


def test_a_huge_body_is_cut(sender: HttpClient) -> None:
    def script(connection: Connection) -> bool:
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while not connection.stopped.is_set():
            connection.send(b"x" * 65536)
        return False

    with RawServer(script) as server:
        assert send(sender, request(server.port), deadline=5.0).body == b"x" * BODY_LIMIT


def test_a_compressed_body_is_not_unpacked(sender: HttpClient) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nbomb"
    with RawServer(answering(answer)) as server:
        assert send(sender, request(server.port), deadline=5.0).body == b"bomb"
        assert b"accept-encoding: identity" in server.requests[0].lower()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_answers_and_never_followed(sender: HttpClient, status: int) -> None:
    with RawServer(answering(OK)) as target:
        moved = f"HTTP/1.1 {status} Moved\r\nlocation: http://hooks.test:{target.port}/\r\ncontent-length: 0\r\n\r\n"
        with RawServer(answering(moved.encode())) as server:
            assert send(sender, request(server.port), deadline=5.0).status == status
        assert target.connections == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("size", [70_000, 20_000_000])
def test_an_answer_that_comes_before_the_body_was_read_counts(
    sender: HttpClient, authority: Authority, scheme: str, size: int
) -> None:
    context = authority.server("hooks.test")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            accepted, _ = listener.accept()
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else closing drops what waits
            with context.wrap_socket(accepted, server_side=True) if scheme == "https" else accepted as connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        tls = Tls(ca=authority.certificate) if scheme == "https" else None
        asked = request(listener.getsockname()[1], scheme=scheme, body=b"x" * size, tls=tls)
        assert send(sender, asked, deadline=5.0).status == 413
        thread.join()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_early_answer_on_a_connection_that_stays_open_is_not_waited_for(
    sender: HttpClient, authority: Authority, scheme: str
) -> None:
    context, answered = authority.server("hooks.test"), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            accepted, _ = listener.accept()
            with context.wrap_socket(accepted, server_side=True) if scheme == "https" else accepted as connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
                answered.wait()

        thread = threading.Thread(target=refuse)
        thread.start()
        tls = Tls(ca=authority.certificate) if scheme == "https" else None
        asked = request(listener.getsockname()[1], scheme=scheme, body=b"x" * 20_000_000, tls=tls)
        started = time.monotonic()
        try:
            assert send(sender, asked, deadline=20.0).status == 413
        finally:
            answered.set()
            thread.join()
        assert time.monotonic() - started < 10.0


def test_a_port_where_nobody_listens_is_a_failure_of_the_network(sender: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failure(lambda: send(sender, request(port), deadline=5.0))
    assert (error.reason, error.detail) == (
        FailureReason.NETWORK,
        f"http://hooks.test:{port}: connection refused",
    )


def test_a_name_that_is_not_there_is_reported(sender: HttpClient) -> None:
    error = failure(lambda: send(sender, request(80, host="nowhere.invalid"), deadline=5.0))
    assert (error.reason, error.parked) == (FailureReason.NAME_NOT_FOUND, False)
    assert error.detail == "http://nowhere.invalid: the name cannot be resolved"


def test_an_address_that_is_refused_parks_and_is_not_connected_to(sending: Callable[..., HttpClient]) -> None:
    sender = sending(EgressGuard())
    with RawServer(answering(OK)) as server:
        error = failure(lambda: send(sender, request(server.port), deadline=5.0))
        assert (error.reason, error.parked) == (FailureReason.EGRESS_REFUSED, True)
        assert "hooks.test: 127.0.0.1 is refused: loopback" in error.detail
        assert server.connections == 0


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")])
def test_an_address_that_is_refused_is_named_once(sending: Callable[..., HttpClient], host: str, address: str) -> None:
    error = failure(
        lambda: send(sending(EgressGuard(), lookup=lambda *_: [address]), request(9, host=host), deadline=5.0)
    )
    assert error.detail.startswith(f"{address} is refused: loopback")


def test_the_first_allowed_address_is_taken_and_the_name_looked_up_once(sending: Callable[..., HttpClient]) -> None:
    asked = []

    def lookup(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["169.254.169.254", "127.0.0.9", "127.0.0.1"]

    sender = sending(lookup=lookup)
    with RawServer(answering(OK)) as server:
        assert send(sender, request(server.port), deadline=5.0).status == 200
        assert asked == ["hooks.test"]


def test_an_address_that_does_not_answer_gives_way_to_the_next(sending: Callable[..., HttpClient]) -> None:
    sender = sending(lookup=lambda *_: ["127.0.0.2", "127.0.0.1"])
    with RawServer(answering(OK)) as server:
        assert send(sender, request(server.port), deadline=5.0).status == 200


@contextmanager
def swallowing(port: int) -> Iterator[str]:
    """An address that takes no more connections, and answers none."""
    with socket.create_server(("127.0.0.2", port), backlog=0), ExitStack() as stack:
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", port))
        yield "127.0.0.2"


def test_an_address_that_swallows_packets_costs_little_of_the_time(sending: Callable[..., HttpClient]) -> None:
    with RawServer(answering(OK)) as server, swallowing(server.port) as silent:
        sender = sending(lookup=lambda *_: [silent, "127.0.0.1"])
        started = time.monotonic()
        assert send(sender, request(server.port), deadline=5.0).status == 200
        assert time.monotonic() - started < 2.0
        assert server.connections == 1


def test_where_no_address_takes_a_connection_that_is_said(sending: Callable[..., HttpClient]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with swallowing(port) as silent:
        sender = sending(lookup=lambda *_: [silent])
        error = failure(lambda: send(sender, request(port), deadline=SHORT))
    assert (error.reason, error.detail) == (
        FailureReason.TIMEOUT,
        f"http://hooks.test:{port}: no connection within 0.3 s",
    )


def test_families_of_addresses_are_tried_in_turns() -> None:
    addresses = [
        ip_address(address) for address in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2")
    ]
    order = ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"]
    assert [str(address) for address in in_turns(addresses)] == order
    assert in_turns([]) == []


def test_a_certificate_of_the_webhooks_own_authority_is_taken(sender: HttpClient, authority: Authority) -> None:
    with RawServer(answering(OK), authority.server("hooks.test")) as server:
        asked = request(server.port, scheme="https", tls=Tls(ca=authority.certificate))
        for _ in range(3):
            assert send(sender, asked, deadline=5.0).body == b"ok"
        assert server.connections == 1


@pytest.mark.parametrize(
    ("name", "days", "known"), [("other.test", 30, True), ("hooks.test", 0, True), ("hooks.test", 30, False)]
)
def test_a_bad_certificate_parks(sender: HttpClient, authority: Authority, name: str, days: int, known: bool) -> None:
    with RawServer(answering(OK), authority.server(name, days=days)) as server:
        asked = request(server.port, scheme="https", tls=Tls(ca=authority.certificate) if known else None)
        error = failure(lambda: send(sender, asked, deadline=5.0))
        assert (error.reason, error.parked, server.requests) == (FailureReason.CERTIFICATE, True, [])


def test_the_client_certificate_is_shown(sender: HttpClient, authority: Authority) -> None:
    certificate, key = authority.sign("agent.test", kind="clientAuth")
    with RawServer(answering(OK), authority.server("hooks.test", clients=True)) as server:
        tls = Tls(authority.certificate, certificate.read_text(), key.read_text())
        assert send(sender, request(server.port, scheme="https", tls=tls), deadline=5.0).status == 200


def test_an_intermediate_authority_alone_is_trusted_with_every_python(
    sender: HttpClient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    authority = Authority(tmp_path_factory.mktemp("below"))
    below = authority.intermediate()
    with RawServer(answering(OK), authority.server("hooks.test")) as server:
        asked = request(server.port, scheme="https", tls=Tls(ca=below))
        assert send(sender, asked, deadline=5.0).status == 200


def test_a_client_certificate_that_is_asked_for_and_not_there_fails(sender: HttpClient, authority: Authority) -> None:
    with RawServer(answering(OK), authority.server("hooks.test", clients=True)) as server:
        for size in (2, 200_000):
            asked = request(server.port, scheme="https", tls=Tls(authority.certificate), body=b"x" * size)
            error = failure(lambda asked=asked: send(sender, asked, deadline=5.0))
            assert error.reason in (FailureReason.CREDENTIAL_REFUSED, FailureReason.NETWORK)
            assert error.parked is (error.reason is FailureReason.CREDENTIAL_REFUSED)


@pytest.mark.parametrize("reason", ["TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_UNKNOWN_CA"])
def test_a_client_certificate_that_is_refused_parks(
    sender: HttpClient, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    refused = ssl.SSLError(1, "x")
    refused.reason = reason

    def refuse(*_: object) -> Response:
        raise refused

    monkeypatch.setattr(sender, "_exchange", refuse)
    error = failure(lambda: send(sender, request(443, scheme="https"), deadline=5.0))
    assert (error.reason, error.parked) == (FailureReason.CREDENTIAL_REFUSED, True)


@pytest.mark.parametrize("broken", ["ca", "certificate", "key", "other key", "encrypted key"])
def test_tls_material_that_cannot_be_used_parks(sender: HttpClient, authority: Authority, broken: str) -> None:
    certificate, key = (path.read_text() for path in authority.sign("agent.test", kind="clientAuth"))
    nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    tls = {
        "ca": Tls(ca=nonsense),
        "certificate": Tls(certificate=nonsense, key=key),
        "key": Tls(certificate=certificate, key="-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        "other key": Tls(certificate=certificate, key=authority.sign("other.test")[1].read_text()),
        "encrypted key": Tls(certificate=certificate, key=authority.encrypted("agent.test")),
    }[broken]
    error = failure(lambda: send(sender, request(443, scheme="https", tls=tls), deadline=5.0))
    assert (error.reason, error.parked) == (FailureReason.CONFIGURATION_REFUSED, True)
    assert "AAAA" not in error.detail


def test_tls_1_1_is_refused(sender: HttpClient, authority: Authority) -> None:
    context = authority.server("hooks.test")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with RawServer(answering(OK), context) as server:
        asked = request(server.port, scheme="https", tls=Tls(authority.certificate))
        assert failure(lambda: send(sender, asked, deadline=5.0)).reason is FailureReason.NETWORK
        assert server.requests == []


def test_plain_http_where_tls_is_asked_for_is_a_failure_of_the_network(sender: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            accepted, _ = plain.accept()
            with accepted:
                accepted.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")
                accepted.recv(65536)

        thread = threading.Thread(target=answer)
        thread.start()
        asked = request(plain.getsockname()[1], scheme="https")
        assert failure(lambda: send(sender, asked, deadline=5.0)).reason is FailureReason.NETWORK
        thread.join()


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": (("X", "a\r\nb: c"),)},
        {"headers": (("X: a\r\nb", "c"),)},
        {"headers": (("X y", "a"),)},
        {"headers": (("", "a"),)},
        {"method": "POST / HTTP/1.1\r\nX: a\r\n\r\nPOST"},
        {"headers": (("X", "\u20ac"),)},
        {"url": f"http://hooks.test/{SECRET}\x00"},
        {"url": f"ftp://hooks.test/{SECRET}"},
        {"url": f"http://hooks.test:99999/{SECRET}"},
        {"url": f"http://[hooks/{SECRET}"},
    ],
)
def test_what_http_cannot_carry_parks(sender: HttpClient, changes: dict[str, Any]) -> None:
    with RawServer(answering(OK)) as server:
        url = (
            {"url": str(changes["url"]).replace("hooks.test/", f"hooks.test:{server.port}/")}
            if "url" in changes
            else {}
        )
        error = failure(lambda: send(sender, request(server.port, **(changes | url)), deadline=5.0))
        assert (error.reason, error.parked) == (FailureReason.CONFIGURATION_REFUSED, True)
        assert server.requests == []


def test_sixteen_threads_share_connections_and_each_gets_its_own_answer(sender: HttpClient) -> None:
    def echo(connection: Connection) -> None:
        body = connection.requests[-1].partition(b"\r\n\r\n")[2]
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    wrong: list[object] = []

    def work(thread: int) -> None:
        for number in range(30):
            body = f"{thread}-{number}".encode()
            answer = send(sender, request(server.port, body=body), deadline=10.0)
            if answer.body != body:
                wrong.append((body, answer.body))

    with RawServer(echo) as server:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert server.connections <= 16


def test_a_proxy_is_asked_for_the_whole_url_and_judged_by_the_guard(
    sending: Callable[..., HttpClient],
) -> None:
    with RawServer(answering(OK)) as proxy:
        through = read_proxy(f"http://me:pw@proxy.test:{proxy.port}", "direct.test")
        sender = sending(proxy=through)
        assert send(sender, request(8080, host="nowhere.invalid"), deadline=5.0).status == 200
        head = proxy.requests[0].decode()
        assert head.startswith(f"POST http://nowhere.invalid:8080/{SECRET}?key={SECRET} HTTP/1.1\r\n")
        assert "Proxy-Authorization: Basic bWU6cHc=\r\n" in head
        refusing = sending(EgressGuard(), proxy=through)
        error = failure(lambda: send(refusing, request(8080, host="nowhere.invalid"), deadline=5.0))
        assert (error.reason, error.detail[:10]) == (FailureReason.EGRESS_REFUSED, "proxy.test")


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "127.0.0.1"])
def test_an_address_in_a_url_is_judged_also_behind_a_proxy(sending: Callable[..., HttpClient], host: str) -> None:
    with RawServer(answering(OK)) as proxy:
        sender = sending(EgressGuard(), proxy=read_proxy(f"http://proxy.test:{proxy.port}", ""))
        for scheme in ("http", "https"):
            error = failure(lambda scheme=scheme: send(sender, request(80, scheme=scheme, host=host), deadline=SHORT))
            assert (error.reason, error.parked) == (FailureReason.EGRESS_REFUSED, True)
        assert proxy.requests == []


def test_hosts_of_no_proxy_are_reached_without_it(sending: Callable[..., HttpClient]) -> None:
    with RawServer(answering(OK)) as server, RawServer(answering(OK)) as proxy:
        through = read_proxy(f"http://proxy.test:{proxy.port}", "other.test, hooks.test")
        sender = sending(proxy=through)
        send(sender, request(server.port), deadline=5.0)
        assert (server.connections, proxy.connections) == (1, 0)


def test_tls_through_a_proxy_is_with_the_receiver(sending: Callable[..., HttpClient], authority: Authority) -> None:
    context = authority.server("hooks.test")

    def tunnel(connection: Connection) -> bool:
        connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(connection.socket, server_side=True) as secure:
            inner = Connection(secure, connection.stopped)
            connection.requests.append(inner.read())
            inner.send(OK)
        return False

    with RawServer(tunnel) as proxy:
        through = read_proxy(f"http://me:pw@proxy.test:{proxy.port}", "")
        sender = sending(proxy=through)
        tls = Tls(ca=authority.certificate)
        assert send(sender, request(443, scheme="https", tls=tls), deadline=5.0).body == b"ok"
        assert proxy.requests[0].startswith(b"CONNECT hooks.test:443 HTTP/1.")
        assert b"Proxy-Authorization" in proxy.requests[0]
        assert b"Proxy-Authorization" not in proxy.requests[1]


@pytest.mark.parametrize(
    "answer",
    ["407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway", "302 Found", "400 Bad Request"],
)
def test_a_refusal_by_the_proxy_is_the_proxys(sending: Callable[..., HttpClient], answer: str) -> None:
    with RawServer(answering(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n".encode())) as proxy:
        sender = sending(proxy=read_proxy(f"http://proxy.test:{proxy.port}", ""))
        error = failure(lambda: send(sender, request(443, scheme="https"), deadline=5.0))
    assert error.detail == f"the proxy http://proxy.test:{proxy.port} refuses: {answer}"
    assert (error.reason, error.parked) == (FailureReason.PROXY_REFUSED, answer.startswith("407"))


def test_what_a_proxy_says_of_when_to_come_again_is_kept(sending: Callable[..., HttpClient]) -> None:
    with RawServer(answering(b"HTTP/1.1 503 Busy\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n")) as proxy:
        sender = sending(proxy=read_proxy(f"http://proxy.test:{proxy.port}", ""))
        route = Route("w", CONSUMERS["Generic"], {"url": "https://hooks.test/"})
        delivery = Delivery(0, "w", "id", Event("", "e", {}), 0.0)
        outcome = attempt(route, delivery, partial(sender.send, deadline=5.0), clock=lambda: 0.0)
    assert (outcome.verdict, outcome.retry_after) == (Verdict.WAIT, 120.0)
    assert outcome.reason is FailureReason.PROXY_REFUSED


def test_a_proxy_without_the_right_credential_parks_also_without_tls(sending: Callable[..., HttpClient]) -> None:
    with RawServer(answering(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")) as proxy:
        sender = sending(proxy=read_proxy(f"http://proxy.test:{proxy.port}", ""))
        error = failure(lambda: send(sender, request(80), deadline=5.0))
    assert (error.reason, error.parked) == (FailureReason.PROXY_REFUSED, True)


def test_a_407_of_a_receiver_without_a_proxy_is_its_own_answer(sender: HttpClient) -> None:
    with RawServer(answering(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")) as server:
        assert send(sender, request(server.port), deadline=5.0).status == 407


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_named(sending: Callable[..., HttpClient], scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    sender = sending(proxy=read_proxy(f"http://proxy.test:{port}", ""))
    error = failure(lambda: send(sender, request(443, scheme=scheme), deadline=5.0))
    assert (error.reason, error.parked) == (FailureReason.NETWORK, False)
    assert error.detail == f"the proxy http://proxy.test:{port}: connection refused"


def test_a_proxy_that_hangs_or_answers_no_http_is_named(sending: Callable[..., HttpClient]) -> None:
    for script, words in ((hang, "no whole answer within 0.3 s"), (answering(b"SSH-2.0\r\n"), "not HTTP")):
        with RawServer(script) as proxy:
            sender = sending(proxy=read_proxy(f"http://proxy.test:{proxy.port}", ""))
            error = failure(lambda: send(sender, request(443, scheme="https"), deadline=SHORT))  # noqa: B023
        assert error.detail.startswith(f"the proxy http://proxy.test:{proxy.port}: ")
        assert words in error.detail


def test_a_tunnel_is_asked_for_in_http_1_1_with_the_host(sending: Callable[..., HttpClient]) -> None:
    with RawServer(answering(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n")) as proxy:
        sender = sending(proxy=read_proxy(f"http://proxy.test:{proxy.port}", ""))
        failure(lambda: send(sender, request(443, scheme="https", host="[2001:db8::1]"), deadline=5.0))
        head = proxy.requests[0]
    assert head.startswith(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n")
    assert b"content-length" not in head.lower()


def test_environment_variables_for_proxies_are_not_followed(
    sender: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with RawServer(answering(OK)) as server:
        assert send(sender, request(server.port), deadline=5.0).status == 200


def test_no_key_is_left_on_the_disk(
    sender: HttpClient, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("os.memfd_create", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    certificate, key = (path.read_text() for path in authority.sign("disk.test", kind="clientAuth"))
    with RawServer(answering(OK), authority.server("hooks.test", clients=True)) as server:
        tls = Tls(authority.certificate, certificate, key)
        assert send(sender, request(server.port, scheme="https", tls=tls), deadline=5.0).status == 200
    assert list(tmp_path.iterdir()) == []
