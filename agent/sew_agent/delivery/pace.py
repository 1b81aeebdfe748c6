"""Pace of one webhook whose receiver refuses what comes too fast (429): requests a second, learnt from its refusals.

Pure. To honour `Retry-After` alone would mean a burst, a pause and the next burst. So after two refusals there is a
pace: what the receiver accepted from the end of one pause to the end of the next, by the seconds of all that. From
there it grows until it is refused itself, then stays a little below, and tries more after a while. Times are seconds
since the epoch.
"""

from dataclasses import dataclass

BELOW = 0.94
"""Part of a pace that was refused which is kept."""
STAYS = 60.0
"""Seconds after a refusal until more is tried."""
_SEARCH = 0.03
"""Growth in a second while no pace was refused yet."""
_TRY = 0.01
"""Growth in a second after that."""
_RECENT = 10.0
"""Seconds without a request after which the next refusal is a first one, and within which a refusal is another one."""
_FASTEST = 1e6
"""Requests a second above which there is no pace any more."""


@dataclass(slots=True)
class Pace:
    """A pace: none until a receiver refuses."""

    rate: float = _FASTEST
    known: bool = False
    """True where a pace was refused: it is known to be too fast."""
    next_at: float = 0.0
    """Earliest time of the next request."""
    accepted: int = 0
    """Accepted requests since `since`."""
    since: float = 0.0
    """End of the pause after the last refusal; 0.0 where there was none lately."""
    again: int = 0
    """Refusals of a pace that came soon one after the other: each takes more of it."""
    started: float = 0.0
    """Time of the last request."""
    grown_at: float = 0.0

    def delay(self, now: float) -> float:
        """Return the seconds until the next request may start."""
        if self.rate >= _FASTEST:
            return 0.0
        self._grow(now)
        return min(max(self.next_at - now, 0.0), 1.0 / self.rate)  # no longer where the clock was set back

    def start(self, now: float) -> None:
        """Count a request that starts. One that is late by less than half an interval costs no time."""
        if self.rate < _FASTEST:
            interval = 1.0 / self.rate
            self.next_at = max(self.next_at, now - interval / 2) + interval
        elif now - max(self.started, self.since) > _RECENT:
            self.since = 0.0
        self.started = now

    def accept(self) -> None:
        """Count a request that the receiver accepted."""
        self.accepted += 1

    def refuse(self, started: float, now: float, pause: float) -> None:
        """Learn from a refusal, once for all that were in flight together. `pause`: seconds that are waited now."""
        if self.since and started >= self.since and self.accepted:
            self._learn(now, pause)
        if not self.since or started >= self.since:
            self.accepted = 0
        self.since = self.grown_at = self.next_at = max(self.since, now + pause)

    def shift(self, seconds: float) -> None:
        """Move its moments with a clock that was set."""
        self.next_at += seconds
        self.started += seconds
        self.grown_at += seconds
        if self.since:
            self.since += seconds

    def _learn(self, now: float, pause: float) -> None:
        if self.rate >= _FASTEST:
            self.rate = self.accepted / max(now - self.since + pause, 1e-3)
            return
        self.known = True
        self.again = self.again + 1 if now - self.since < _RECENT else 0
        self.rate *= BELOW**2 ** min(max(self.again - 1, 0), 3)

    def _grow(self, now: float) -> None:
        """Let the pace grow with the seconds, after a while or, where no pace was refused yet, at once."""
        since = max(self.grown_at, self.since + (STAYS if self.known else 0.0))
        if now > since:
            growth = 1.0 + (_TRY if self.known else _SEARCH)
            self.rate = min(self.rate * growth ** min(now - since, 1000.0), _FASTEST)
            self.grown_at = now
