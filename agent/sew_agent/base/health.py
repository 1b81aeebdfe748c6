"""Health of the agent: progress of its loops, and reachability of what it needs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic

from sew_agent.base.log import locate

MAIN = "main"
"""Name of the main loop."""
STALLED_AFTER = 60.0
"""Seconds without progress after which a loop counts as stalled."""


class Heartbeat:
    """Heartbeat of a loop, which beats at least once in `limit` seconds, also while idle."""

    def __init__(self, limit: float, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._last = clock()
        self._mistake = ""

    def beat(self) -> None:
        """Record progress."""
        self._last = self._clock()

    def fail(self, error: Exception) -> None:
        """Record that a mistake of this program has ended the loop."""
        self._mistake = f"ended by a mistake of this program, please report it: {locate(error)}"

    @property
    def late(self) -> str:
        """Describe the loop's end, or a time without progress that is too long; "" where all is well."""
        if self._mistake:
            return self._mistake
        silent = self._clock() - self._last
        return f"no progress for {silent:.0f} s" if silent > self._limit else ""


class Health:
    """Heartbeats and probes by name. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._heartbeats: dict[str, Heartbeat] = {}
        self._probes: dict[str, Callable[[], str]] = {}

    def heartbeat(self, name: str, limit: float) -> Heartbeat:
        """Return the heartbeat of a loop; make it where there is none."""
        return self._heartbeats.setdefault(name, Heartbeat(limit, self._clock))

    @contextmanager
    def during(self, name: str, limit: float) -> Iterator[Heartbeat]:
        """Give a heartbeat for work with an end. After an error it stays, and counts as stalled."""
        yield self.heartbeat(name, limit)
        del self._heartbeats[name]

    def watch(self, name: str, heartbeat: Heartbeat) -> None:
        """Watch the heartbeat of a loop that exists already."""
        self._heartbeats[name] = heartbeat

    def probe(self, name: str, reason: Callable[[], str]) -> None:
        """Add a probe. `reason` returns at once why something cannot be reached, without a secret; "" where it can."""
        self._probes[name] = reason

    def stalled(self) -> Mapping[str, str]:
        """Return loop -> problem."""
        late = {name: heartbeat.late for name, heartbeat in dict(self._heartbeats).items()}
        return {name: problem for name, problem in late.items() if problem}

    def unready(self) -> Mapping[str, str]:
        """Return probe -> reason of its failure."""
        reasons = {name: reason() for name, reason in self._probes.items()}
        return {name: reason for name, reason in reasons.items() if reason}
