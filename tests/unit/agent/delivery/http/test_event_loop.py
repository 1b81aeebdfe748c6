"""Tasks in one thread: what they wait for, and what wakes them."""

import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import cast

import pytest

from sew_agent.delivery.http.event_loop import READ, WRITE, EventLoop, Steps, Wait, finish

SOON = 5.0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, two = socket.socketpair()
    with one, two:
        yield one, two


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    made = EventLoop()
    yield made
    made.close()


def waiting(wait: Wait) -> Steps[list[socket.socket]]:
    return list((yield wait))


def in_time() -> float:
    return time.monotonic() + SOON


def test_a_task_goes_on_with_the_sockets_that_are_ready(pair: tuple[socket.socket, socket.socket]) -> None:
    one, two = pair
    two.send(b"x")
    assert finish([waiting(Wait(in_time(), (one, two)))]) == [[one]]
    assert finish([waiting(Wait(in_time(), (one,), READ | WRITE))]) == [[one]]


def test_a_task_whose_time_is_over_goes_on_with_none(pair: tuple[socket.socket, socket.socket]) -> None:
    started = time.monotonic()
    assert finish([waiting(Wait(started + 0.02, (pair[0],)))]) == [[]]
    assert time.monotonic() - started >= 0.02


def test_what_is_ready_counts_though_the_time_is_over(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].send(b"x")
    assert finish([waiting(Wait(0.0, (pair[0],)))]) == [[pair[0]]]


def test_what_the_system_cannot_watch_fails_its_task_alone(
    pair: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    """Files are refused as sockets are where there are too many of them."""
    one, two = pair

    def refused() -> Steps[str]:
        yield Wait(in_time(), (two,), WRITE)
        with (tmp_path / "file").open("wb") as file:
            try:
                yield Wait(in_time(), (one, cast(socket.socket, file)))
            except OSError:
                yield Wait(in_time(), (one,), WRITE)
                return "refused"
        return "watched"

    def other() -> Steps[str]:
        yield Wait(time.monotonic() + 0.02)
        return "ended"

    assert finish([refused(), other()]) == ["refused", "ended"]


def test_tasks_run_side_by_side_and_their_results_come_in_order() -> None:
    one, two = socket.socketpair()

    def first() -> Steps[bytes]:
        yield Wait(in_time(), (one,))
        return one.recv(10)

    def second() -> Steps[bytes]:
        two.send(b"from the second")
        yield from ()
        return b"ended"

    with one, two:
        assert finish([first(), second()]) == [b"from the s", b"ended"]


@pytest.mark.parametrize("before", [True, False], ids=["done before", "done by another thread"])
def test_a_future_wakes_its_task(*, before: bool) -> None:
    answer: Future[int] = Future()

    def task() -> Steps[int]:
        yield Wait(in_time(), future=answer)
        return answer.result(0)

    other = threading.Timer(0.0 if before else 0.05, answer.set_result, (7,))
    other.start()
    if before:
        other.join()
    assert finish([task()]) == [7]
    other.join()


def test_a_wait_ends_when_another_thread_says_so(loop: EventLoop) -> None:
    other = threading.Timer(0.02, loop.wake)
    other.start()
    started = time.monotonic()
    loop.run(SOON)
    assert time.monotonic() - started < SOON
    other.join()


def test_a_turn_ends_after_much_work_and_the_rest_goes_on_in_the_next_ones_in_order() -> None:
    went: list[int] = []

    def task(name: int) -> Steps[None]:
        for _ in range(3):
            yield Wait(0.0)
            went.append(name)

    loop = EventLoop(lambda: float(len(went)))
    for name in range(4):
        loop.start(task(name), lambda _: None)
    lengths = []
    for _ in range(12):
        loop.run(SOON)
        lengths.append(len(went))
    loop.close()
    assert lengths == list(range(1, 13))
    assert went == [0, 1, 2, 3] * 3


def test_what_was_ready_before_the_end_of_a_turn_keeps_what_it_waited_for(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """Its time may be over when it goes on at last: the answer was there before."""
    one, two = pair
    two.send(b"x")
    ended: list[list[socket.socket]] = []
    loop = EventLoop(lambda: float(len(ended)))
    loop.start(waiting(Wait(0.0, (two,), WRITE)), ended.append)
    loop.start(waiting(Wait(0.0, (one,))), ended.append)
    for length in (1, 2):
        loop.run(SOON)
        assert len(ended) == length
    loop.close()
    assert {made.fileno() for (made,) in ended} == {one.fileno(), two.fileno()}


def test_many_wakings_are_one(loop: EventLoop) -> None:
    for _ in range(100_000):
        loop.wake()
    loop.run(SOON)
    started = time.monotonic()
    loop.run(0.02)
    assert time.monotonic() - started >= 0.02


def test_a_task_that_has_ended_is_not_kept_until_its_time_is_over(
    loop: EventLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    def task() -> Steps[int]:
        held = bytearray(100_000)
        yield Wait(in_time(), (pair[0],))
        return len(held)

    ended: list[int] = []
    pair[1].send(b"x")
    tracemalloc.start()
    for _ in range(100):
        loop.start(task(), ended.append)
        loop.run(0.0)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(ended) == 100
    assert held < 1_000_000


def test_what_a_task_raises_comes_out() -> None:
    def task() -> Steps[None]:
        yield from ()
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        finish([task()])
