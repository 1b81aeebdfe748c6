"""Looking names up: what is shared, what is kept, and what a silent name server holds up."""

import socket
import threading
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

import pytest

import sew_agent.delivery.http.resolver
from sew_agent.delivery.http.event_loop import Steps, Wait
from sew_agent.delivery.http.resolver import (
    PLACES,
    SILENT_PLACES,
    SLOW,
    Address,
    NameServerError,
    Resolver,
    system_lookup,
)

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


class ResolverHarness:
    """Resolver with a clock that only the test moves, and the requests to it that wait."""

    def __init__(self, server: NameServer, places: int = PLACES, silent_places: int = SILENT_PLACES) -> None:
        self.now = 0.0
        self.resolver = Resolver(server, lambda: self.now, places=places, silent_places=silent_places)
        self.waiting: dict[str, tuple[Steps[Sequence[Address]], Wait]] = {}
        self._answers: dict[str, Sequence[Address]] = {}

    def request(self, *hosts: str, seconds: float = 10.0) -> None:
        for host in hosts:
            steps = self.resolver.look_up(host, 443, self.now + seconds)
            self.waiting[host] = steps, next(steps)

    def pass_seconds(self, seconds: int) -> None:
        """Let time pass, and each request go on when its wait is over; those that were not answered end."""
        for _ in range(seconds):
            self.now += 1.0
            for host, (_, wait) in list(self.waiting.items()):
                if wait.until <= self.now:
                    self._go_on(host)

    def answer(self, host: str) -> Sequence[Address]:
        """Return the answer, for which no time passes any more."""
        if host in self.waiting:
            future = self.waiting[host][1].future
            assert future
            future.result(5.0)
            self._go_on(host)
        return self._answers.pop(host)

    def _go_on(self, host: str) -> None:
        steps, _ = self.waiting.pop(host)
        try:
            self.waiting[host] = steps, steps.send(())
        except StopIteration as ended:
            self._answers[host] = ended.value
        except NameServerError:
            pass


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


def silent(first: int, count: int) -> list[str]:
    return [f"silent-{number}" for number in range(first, first + count)]


def test_a_new_name_waits_a_second_for_each_set_of_places_that_silent_ones_before_it_take(server: NameServer) -> None:
    harness = ResolverHarness(server)
    harness.request(*silent(0, 150), "other")
    harness.pass_seconds(2)
    assert harness.answer("other") == [FOUND]


def test_a_lookup_is_silent_a_second_after_it_began_however_long_it_waited_before(server: NameServer) -> None:
    harness = ResolverHarness(server, places=1, silent_places=3)
    harness.request(*silent(0, 3), "other")
    harness.pass_seconds(3)
    assert harness.answer("other") == [FOUND]


def test_a_lookup_leaves_its_place_also_where_nobody_waits_for_it_any_more(server: NameServer) -> None:
    harness = ResolverHarness(server, places=1, silent_places=1)
    harness.request("silent-0", seconds=SLOW / 2)
    harness.pass_seconds(1)
    assert not harness.waiting
    harness.request("other")
    assert harness.answer("other") == [FOUND]


def test_a_name_that_was_answered_waits_for_no_new_name(server: NameServer) -> None:
    harness = ResolverHarness(server, places=1, silent_places=1)
    harness.request("known")
    assert harness.answer("known") == [FOUND]
    harness.pass_seconds(60)
    harness.request(*silent(0, 9), "known")
    assert harness.answer("known") == [FOUND]


def test_silent_names_wait_in_half_of_their_own_places_alone(server: NameServer) -> None:
    harness = ResolverHarness(server, places=2, silent_places=4)
    harness.request(*silent(0, 3))
    harness.pass_seconds(2)
    server.go.set()
    for name in silent(0, 3):
        harness.answer(name)
    server.go.clear()
    harness.pass_seconds(60)
    harness.request(*silent(0, 2))
    with pytest.raises(NameServerError):
        harness.request("silent-2")
    harness.request("silent-3", "silent-4", "other")
    harness.pass_seconds(1)
    assert harness.answer("other") == [FOUND]


def test_a_name_that_nobody_waits_for_any_more_is_not_asked_for(server: NameServer) -> None:
    harness = ResolverHarness(server, places=1, silent_places=1)
    harness.request("silent-0", "silent-1", "forgotten", "late", seconds=2.0)
    harness.pass_seconds(1)
    harness.request("late")
    harness.pass_seconds(1)
    assert list(harness.waiting) == ["late"]
    server.go.set()
    assert harness.answer("late") == [FOUND]
    assert "forgotten" not in server.asked


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
