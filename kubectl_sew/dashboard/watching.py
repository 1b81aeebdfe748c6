"""Reads all webhooks again and again while somebody looks, so that a page never waits for it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from kubectl_sew.dashboard.history import History
from kubectl_sew.dashboard.reach import Fleet, Reach
from kubectl_sew.errors import SewError

PAUSE = 5.0
"""Seconds between two readings."""
LOOKED_AT = 60.0
"""Seconds after the last request for which it goes on reading."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The newest reading that succeeded (None before the first), when (epoch seconds), and why none has since."""

    fleet: Fleet | None = None
    at: float = 0.0
    problem: str = ""


class Watcher:
    """A thread of its own. `clock` gives epoch seconds."""

    def __init__(self, reach: Reach, history: History, clock: Callable[[], float]) -> None:
        self._reach = reach
        self._history = history
        self._clock = clock
        self._sight = Sight()
        self._read_once = threading.Event()
        self._wanted = threading.Event()
        self._looked_at = 0.0

    def start(self) -> None:
        """Read for the first time, and go on while pages are asked for."""
        self._looked_at = self._clock()
        threading.Thread(target=self._run, name="watcher", daemon=True).start()

    def look(self, wait: float) -> Sight:
        """Return the newest reading; wait so many seconds for the first one."""
        self._looked_at = self._clock()
        self._read_once.wait(wait)
        return self._sight

    def again(self) -> None:
        """Read at once: something was changed."""
        self._wanted.set()

    def read(self) -> None:
        """Read once, in the thread that asks."""
        try:
            fleet = self._reach.fleet()
        except SewError as error:
            self._sight = Sight(self._sight.fleet, self._sight.at, str(error))
        else:
            self._sight = Sight(fleet, self._clock())
            self._history.add(self._sight.at, fleet.agent.rows)
        self._read_once.set()

    def _run(self) -> None:
        while True:
            if self._clock() - self._looked_at < LOOKED_AT:
                self.read()
            self._wanted.wait(PAUSE)
            self._wanted.clear()
