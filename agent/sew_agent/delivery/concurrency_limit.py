"""Limit of one webhook's requests in flight, found by what its receiver does. Pure.

Additive increase, multiplicative decrease: it grows while answers stay as quick as they are without a crowd, and
shrinks when they do not, or when requests fail. The beginning doubles it. Times are seconds since the epoch.

Answers are compared with those of an uncrowded receiver, and what that means is learnt only where it is certain: with
few requests in flight. So it neither drifts upwards with answers that are slow because of us, nor stays low for ever
where a receiver has become slower by itself: then the limit falls until few are in flight, and is found again.
"""

from dataclasses import dataclass

FIRST = 4.0
"""Requests in flight at the beginning, and those that never crowd a receiver."""
GROWTH = 4.0
"""Requests that are added for each time that all of them were answered, once the beginning is over."""
TOLERANCE = 2.0
"""Times the seconds of an uncrowded answer from which on a receiver counts as crowded."""
SLACK = 0.05
"""Seconds beyond that, since the agent itself takes some."""
_SAMPLES = 16
"""Answers at least whose mean counts."""
_LEARNS = 0.2
"""Weight of a new mean among those before."""


@dataclass(slots=True)
class ConcurrencyLimit:
    """The limit, and what it was found by."""

    limit: float = FIRST
    beginning: bool = True
    """True until something was too much: the limit doubles each time that all were answered."""
    crowded: bool = False
    """True where the last mean was that of a crowd: nothing is added until another one is not."""
    uncrowded: float = 0.0
    """Seconds of an answer while few are in flight; 0.0 where that is not known."""
    cut_at: float = 0.0
    """Time of the last decrease by a failure: what began before says nothing more."""
    left: int = int(FIRST)
    """Answers until the next check of their mean."""
    answers: int = 0
    """Answers since the last one."""
    seconds: float = 0.0
    """Seconds that those took together."""
    most: int = 0
    """Most requests in flight meanwhile."""

    @property
    def allowed(self) -> int:
        """Return how many requests may be in flight."""
        return int(self.limit)

    def answered(self, started: float, now: float, in_flight: int) -> None:
        """Count an answer. `in_flight`: requests at its end, with this one."""
        if now < started:  # the clock was set back
            return
        self.answers += 1
        self.seconds += now - started
        self.most = max(self.most, in_flight)
        if in_flight >= self.limit / 2 and not self.crowded:  # else nothing shows that more would do
            self.limit += 1.0 if self.beginning else GROWTH / self.limit
        if self.answers >= self.left:
            self._check(self.seconds / self.answers)
            self._begin_count()

    def failed(self, started: float, now: float) -> None:
        """Halve the limit, once for all that were in flight together."""
        if started < self.cut_at:
            return
        self.cut_at, self.beginning = now, False
        self.limit = max(self.limit / 2, 1.0)
        self._begin_count()

    def shift(self, seconds: float) -> None:
        """Move its moments with a clock that was set."""
        self.cut_at += seconds

    def _check(self, mean: float) -> None:
        """Compare the mean of the last answers with that of an uncrowded receiver."""
        few, slowest = self.most <= FIRST, TOLERANCE * self.uncrowded + SLACK
        self.crowded = mean > slowest and not few and self.uncrowded > 0
        if not self.uncrowded or (few and mean > slowest):  # slow without a crowd: that is how it is now
            self.uncrowded, self.beginning = mean, True
        elif self.crowded:
            self.limit, self.beginning = max(self.limit * max(slowest / mean, 0.5), FIRST), False
        elif few or mean < self.uncrowded:
            self.uncrowded += _LEARNS * (mean - self.uncrowded)

    def _begin_count(self) -> None:
        self.left = max(int(self.limit), _SAMPLES)
        self.answers, self.seconds, self.most = 0, 0.0, 0
