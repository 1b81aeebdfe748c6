"""Event loop: many tasks in one thread. A task is a generator that yields what it waits for."""

import heapq
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, NamedTuple, TypeVar

from sew_agent.base.clocks import ProcessorTime

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Wait(NamedTuple):
    """Until when (time.monotonic) a task waits at most, and for what: one of the sockets, or a future."""

    until: float
    sockets: Sequence[socket.socket] = ()
    events: int = READ
    future: Future[Any] | None = None


_NOTHING = Wait(0.0)
_TURN = 0.02
"""Seconds of the processor after which a turn of the loop ends: its caller has other work."""
_Result = TypeVar("_Result")
Steps = Generator[Wait, Sequence[socket.socket], _Result]
"""A task. After each wait it gets the sockets that are ready; none where its time is over."""


class _Running:
    """A task that runs, and what it waits for."""

    __slots__ = ("done", "number", "steps", "wait")

    def __init__(self, steps: Steps[Any], done: Callable[[Any], None]) -> None:
        self.steps, self.done = steps, done
        self.number = 0
        """Number of its wait."""
        self.wait = _NOTHING


class EventLoop:
    """Loop over tasks. All of it belongs to one thread, but for `wake`. `worked`: seconds of the processor for it."""

    def __init__(self, worked: Callable[[], float] | None = None) -> None:
        self._worked = worked or ProcessorTime()
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_in, READ)
        self._numbers = count()
        self._waiting: dict[int, _Running] = {}
        """Number of a wait -> its task."""
        self._timers: list[tuple[float, int]] = []
        """End and number of each wait, of those that are over too: most end long before their time."""
        self._woken: deque[int] = deque()
        """Numbers of waits whose future has its result; filled by any thread."""
        self._ready: deque[tuple[_Running, Sequence[socket.socket]]] = deque()
        """Tasks that wait no more, and their sockets that are ready."""

    def start(self, steps: Steps[_Result], done: Callable[[_Result], None]) -> None:
        """Start a task. `done` gets its result, at once or in `run`."""
        self._resume(_Running(steps, done), None)

    def run(self, seconds: float) -> None:
        """Wait at most so long until something can go on, and let go on what can, in its order.

        A turn ends after some time of the processor: the rest goes on in the next one.
        """
        if self._ready:
            seconds = 0.0
        elif self._timers:
            seconds = min(seconds, self._timers[0][0] - time.monotonic())
        self._collect(max(seconds, 0.0))
        ends = self._worked() + _TURN
        while self._ready:
            self._resume(*self._ready.popleft())
            if self._worked() >= ends:
                break

    def wake(self) -> None:
        """End the wait. Thread-safe."""
        with suppress(OSError):  # full: it wakes anyway; closed: nobody waits
            self._wake_out.send(b"\0")

    def close(self) -> None:
        """Close what the loop itself holds; tasks that wait are dropped."""
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            while self._wake_in.recv(4096):
                pass

    def _collect(self, seconds: float) -> None:
        """Wait at most so long, and end all waits that are over."""
        ready: dict[_Running, list[socket.socket]] = {}
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                self._drain()
            else:
                ready.setdefault(key.data, []).append(key.fileobj)  # type: ignore[arg-type]  # never a number here
        for task, sockets in ready.items():
            self._end_wait(task.number, sockets)
        while self._woken:
            self._end_wait(self._woken.popleft(), ())
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            self._end_wait(heapq.heappop(self._timers)[1], ())

    def _end_wait(self, number: int, sockets: Sequence[socket.socket]) -> None:
        """Let a task go on in its turn, unless that wait is over already."""
        if task := self._waiting.pop(number, None):
            for waiting in task.wait.sockets:
                self._selector.unregister(waiting)
            self._ready.append((task, sockets))

    def _resume(self, task: _Running, ready: Sequence[socket.socket] | None) -> None:
        """Let a task go on until it waits again; None begins it."""
        self._go_on(task, task.steps.send, ready)

    def _go_on(self, task: _Running, go: Callable[[Any], Wait], given: Any) -> None:
        try:
            wait = go(given)
        except StopIteration as ended:
            task.done(ended.value)
            return
        try:
            self._register(task, wait)
        except OSError as error:  # the system has no room for another watch: this task alone fails
            self._go_on(task, task.steps.throw, error)
            return
        self._await(task, wait)

    def _register(self, task: _Running, wait: Wait) -> None:
        """Watch the sockets of a wait: all of them, or none. Raises OSError."""
        watched: list[socket.socket] = []
        try:
            for waiting in wait.sockets:
                self._selector.register(waiting, wait.events, task)
                watched.append(waiting)
        except OSError:
            for waiting in watched:
                self._selector.unregister(waiting)
            raise

    def _await(self, task: _Running, wait: Wait) -> None:
        task.wait, task.number = wait, next(self._numbers)
        self._waiting[task.number] = task
        heapq.heappush(self._timers, (wait.until, task.number))
        if wait.future:
            wait.future.add_done_callback(partial(self._wake_task, task.number))

    def _wake_task(self, number: int, _: Future[Any]) -> None:
        self._woken.append(number)
        self.wake()


def finish(tasks: Sequence[Steps[_Result]]) -> list[_Result]:
    """Run tasks side by side in this thread, and return their results in order. Raises what a task raises."""
    results: dict[int, _Result] = {}
    loop = EventLoop()
    try:
        for number, steps in enumerate(tasks):
            loop.start(steps, lambda result, of=number: results.__setitem__(of, result))  # type: ignore[misc]
        while len(results) < len(tasks):
            loop.run(60.0)
    finally:
        loop.close()
    return [results[number] for number in range(len(tasks))]
