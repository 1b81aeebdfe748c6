"""Pool of connections that are kept for the next request, and rules for when one is closed for another."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass

from sew_agent.delivery.http.connection import Connection
from sew_agent.delivery.http.event_loop import Steps, Wait

MOST_IDLE = 256
"""Idle connections to all receivers together, unless it is said otherwise."""
STALLED = 0.5
"""Seconds without an answer after which a connection may wait for another one to be closed: some receivers serve one
connection at a time."""
CONNECTION_LIFE = 300.0
IDLE_LIFE = 3.0
"""Servers close idle connections after 5 s or more: a request hardly ever meets one that is just being closed."""


@dataclass(slots=True)
class PooledConnection:
    """A connection with the moments (monotonic) of its opening and its last use."""

    connection: Connection
    opened: float
    used: float
    served: bool
    """True where the receiver's program has accepted it: by a TLS handshake or an answer."""
    spared: bool = False
    """True where it was kept once although another one may have waited for its end."""

    def fresh(self, now: float) -> bool:
        return now - self.opened < CONNECTION_LIFE and now - self.used < IDLE_LIFE


class ConnectionPool:
    """Idle connections by target. Thread-safe. `sweep` closes them in time, also where nothing more is sent.

    A receiver that serves one connection at a time answers no other one before that is closed. So a missing answer
    closes what is idle there, unless that cannot be the cause: connections are accepted in the order in which they were
    opened, so one that is served, or was opened before another one that was answered, does not wait for an end.
    """

    def __init__(self, most_idle: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_idle = most_idle
        self._clock = clock
        self._idle: dict[Hashable, deque[PooledConnection]] = defaultdict(deque)
        self._count = 0
        """Idle connections of all targets."""
        self._stalled: list[tuple[Hashable, PooledConnection]] = []
        self._newest: dict[Hashable, float] = {}
        """Target -> the opening of the newest connection that was answered."""
        self._lock = threading.Lock()
        self._next_sweep = 0.0
        self._closed = False

    def close(self) -> None:
        """Close idle connections, and keep no more of them."""
        with self._lock:
            self._closed = True
            idle, self._idle, self._count = self._idle, defaultdict(deque), 0
        _close([kept for several in idle.values() for kept in several])

    def take(self, target: Hashable) -> PooledConnection | None:
        """Return a kept connection that is still alive; close those that are not."""
        now = self._clock()
        while True:
            with self._lock:
                idle = self._idle.get(target)
                kept = idle.pop() if idle else None
                self._count -= 1 if kept else 0
            if kept is None or (kept.fresh(now) and kept.connection.is_quiet):
                return kept
            kept.connection.close()

    def await_answer(self, target: Hashable, kept: PooledConnection, ends: float) -> Steps[None]:
        """Wait for something to read; close idle connections that the receiver may wait for."""
        if kept.served:
            yield Wait(ends, (kept.connection.sock,))
            return
        if (yield from self._answers_soon(kept, ends)):
            return
        with self._lock:
            self._stalled.append((target, kept))
        try:
            while self._clock() < ends and self._closed_idle(target, kept):
                if (yield from self._answers_soon(kept, ends)):
                    return
        finally:
            with self._lock:
                self._stalled.remove((target, kept))

    def give_back(self, target: Hashable, kept: PooledConnection) -> None:
        """Keep a connection that was answered, unless another one may wait for its end."""
        kept.used = self._clock()
        with self._lock:
            kept.served = True
            self._newest[target] = max(self._newest.get(target, 0.0), kept.opened)
            hinders = any(of == target and self._may_wait(target, stalled) for of, stalled in self._stalled)
            room = self._count < self._most_idle and not self._closed
            wanted = room and not (hinders and kept.spared)
            kept.spared |= hinders
            if wanted:
                self._idle[target].append(kept)
                self._count += 1
        if not wanted:
            kept.connection.close()

    def sweep(self) -> None:
        """Close idle connections whose time is over; most calls find that the last one was a moment ago."""
        now = self._clock()
        if now < self._next_sweep:
            return
        self._next_sweep = now + IDLE_LIFE
        with self._lock:
            stale = [kept for several in self._idle.values() for kept in several if not kept.fresh(now)]
            fresh = {target: [kept for kept in several if kept.fresh(now)] for target, several in self._idle.items()}
            self._idle = defaultdict(deque, {target: deque(several) for target, several in fresh.items() if several})
            self._count -= len(stale)
            known = self._idle.keys() | {target for target, _ in self._stalled}
            self._newest = {target: opened for target, opened in self._newest.items() if target in known}
        _close(stale)

    def _may_wait(self, target: Hashable, kept: PooledConnection) -> bool:
        return kept.opened > self._newest.get(target, 0.0)

    def _closed_idle(self, target: Hashable, kept: PooledConnection) -> bool:
        """Close idle connections if this one may wait for their end; return whether it may."""
        with self._lock:
            if not self._may_wait(target, kept):
                return False
            idle = self._idle.pop(target, ())
            self._count -= len(idle)
        _close(idle)
        return True

    def _answers_soon(self, kept: PooledConnection, ends: float) -> Steps[bool]:
        """Return whether there is something to read before the connection counts as stalled."""
        return bool((yield Wait(min(self._clock() + STALLED, ends), (kept.connection.sock,))))


def _close(several: Collection[PooledConnection]) -> None:
    for kept in several:
        kept.connection.close()
