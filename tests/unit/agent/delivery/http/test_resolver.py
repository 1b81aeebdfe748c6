"""Looking names up: what is shared, what is kept, and what a silent name server holds up."""

import socket
import threading
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

import pytest

import sew_agent.delivery.http.resolver
from sew_agent.delivery.http.resolver import NameServerError, Resolver, system_lookup

FOUND = ip_address("192.0.2.1")


class NameServer:
    """Does not answer names that begin with `silent`, until it is let go; counts what it is asked."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host.startswith("silent"):
            self.go.wait(10)
        return ["192.0.2.1"]


@pytest.fixture
def server() -> Iterator[NameServer]:
    made = NameServer()
    yield made
    made.go.set()


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_is_not_looked_up(host: str) -> None:
    def lookup(host: str, port: int) -> Sequence[str]:
        raise AssertionError(host, port)

    assert Resolver(lookup).resolve(host, 443, 1.0) == [ip_address(host)]


def test_all_addresses_come_in_the_order_of_the_lookup() -> None:
    resolver = Resolver(lambda *_: ["2001:db8::1", "192.0.2.1"])
    assert resolver.resolve("h", 80, 1.0) == [ip_address("2001:db8::1"), ip_address("192.0.2.1")]


def test_a_failed_lookup_is_reported_and_the_next_one_asks_again() -> None:
    answers: list[object] = [socket.gaierror(socket.EAI_NONAME, "no"), ["192.0.2.1"]]

    def lookup(*_: object) -> Sequence[str]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, list)
        return answer

    resolver = Resolver(lookup)
    with pytest.raises(socket.gaierror):
        resolver.resolve("h", 80, 1.0)
    assert resolver.resolve("h", 80, 1.0) == [ip_address("192.0.2.1")]


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b"])
def test_a_name_that_cannot_be_one_is_not_found(host: str) -> None:
    with pytest.raises(socket.gaierror):
        system_lookup(host, 80)


def test_a_name_that_hangs_ends_at_its_deadline_and_holds_one_thread() -> None:
    hanging, asked = threading.Event(), []

    def lookup(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        if host == "hangs":
            hanging.wait(10)
        return ["192.0.2.1"]

    resolver = Resolver(lookup, places=2)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            resolver.resolve("hangs", 80, 0.01)
    assert resolver.resolve("other", 80, 5.0) == [ip_address("192.0.2.1")]
    assert asked == ["hangs", "other"]
    hanging.set()


def test_more_names_than_threads_wait_for_each_other() -> None:
    hanging = threading.Event()

    def lookup(host: str, port: int) -> Sequence[str]:
        hanging.wait(10)
        return ["192.0.2.1"]

    resolver = Resolver(lookup, places=1)
    for name in ("one", "two"):
        with pytest.raises(TimeoutError):
            resolver.resolve(name, 80, 0.01)
    hanging.set()
    assert resolver.resolve("two", 80, 5.0) == [ip_address("192.0.2.1")]


def test_names_of_silent_servers_hold_up_no_other_name(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sew_agent.delivery.http.resolver, "SLOW", 0.01)
    resolver = Resolver(server, places=2, silent_places=4)
    for number in range(4):
        with pytest.raises(NameServerError):
            resolver.resolve(f"silent-{number}", 80, 0.05)
    assert resolver.resolve("other", 80, 5.0) == [FOUND]


def test_more_silent_names_than_places_fail_at_once_and_take_none_of_the_others(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sew_agent.delivery.http.resolver, "SLOW", 0.01)
    resolver = Resolver(server, places=1, silent_places=1)
    for name in ("silent-0", "silent-1"):
        with pytest.raises(NameServerError):
            resolver.resolve(name, 80, 0.05)
    assert server.asked == ["silent-0", "silent-1"]
    server.go.set()
    assert resolver.resolve("other", 80, 5.0) == [FOUND]


def test_an_answer_is_kept_for_a_short_time(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(server)
    for _ in range(3):
        assert resolver.resolve("one", 80, 5.0) == [FOUND]
    assert server.asked == ["one"]
    monkeypatch.setattr(sew_agent.delivery.http.resolver, "KEPT_FOR", 0.0)
    for _ in range(2):
        resolver.resolve("two", 80, 5.0)
    assert server.asked == ["one", "two", "two"]


def test_what_is_kept_of_names_is_bounded(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sew_agent.delivery.http.resolver, "MOST_NAMES", 2)
    resolver = Resolver(server)
    for name in ("one", "two", "three", "two", "one"):
        resolver.resolve(name, 80, 5.0)
    assert server.asked == ["one", "two", "three", "one"]


def test_a_name_is_looked_up_again_after_there_was_no_thread_for_it(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = Resolver(server, places=1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none)
        with pytest.raises(OSError, match="temporarily unavailable"):
            resolver.resolve("h", 80, 0.2)
    assert resolver.resolve("h", 80, 1.0) == [FOUND]
