"""Whether the agent makes progress and can reach what it needs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic

MAIN = "main"
"""The loop that reads, and sees to all else that waits for nobody."""
STALLED_AFTER = 60.0
"""Seconds without progress after which a loop is told to stand still; a worker's requests come on top."""


class Heartbeat:
    """A loop's sign of life: it beats at least once in `limit` seconds, also when it has nothing to do."""

    def __init__(self, limit: float, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """The loop made progress."""
        self._last = self._clock()

    @property
    def late(self) -> str:
        """For how long there was no progress, where that is too long; "" where all is well."""
        silent = self._clock() - self._last
        return f"no progress for {silent:.0f} s" if silent > self._limit else ""


class Health:
    """All loops and probes by name. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._heartbeats: dict[str, Heartbeat] = {}
        self._probes: dict[str, Callable[[], str]] = {}

    def heartbeat(self, name: str, limit: float) -> Heartbeat:
        """A new loop's."""
        return self._heartbeats.setdefault(name, Heartbeat(limit, self._clock))

    @contextmanager
    def during(self, name: str, limit: float) -> Iterator[Heartbeat]:
        """That of work with an end. Where an error ends it, it is one that makes no progress."""
        yield self.heartbeat(name, limit)
        del self._heartbeats[name]

    def watch(self, name: str, heartbeat: Heartbeat) -> None:
        """A loop's that was there before."""
        self._heartbeats[name] = heartbeat

    def probe(self, name: str, reason: Callable[[], str]) -> None:
        """Something that must be reachable; `reason` says at once why it is not, "" where it is, and no secret."""
        self._probes[name] = reason

    def stalled(self) -> Mapping[str, str]:
        """Loop -> what is wrong with it."""
        found = {name: heartbeat.late for name, heartbeat in dict(self._heartbeats).items()}
        return {name: late for name, late in found.items() if late}

    def unready(self) -> Mapping[str, str]:
        """Probe -> why it fails."""
        found = {name: reason() for name, reason in self._probes.items()}
        return {name: reason for name, reason in found.items() if reason}
