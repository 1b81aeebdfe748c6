"""Turn of an agent as the one that reads, among several: it ends where this one cannot read, and another one may."""

from collections.abc import Callable

from sew_agent.base.backoff import doubled

PATIENCE = 30.0
"""Seconds for which reading fails before another agent is to try."""
ASKED_EVERY = 5.0
"""Seconds between two looks for another agent."""
FIRST_PAUSE = 60.0
LONGEST_PAUSE = 300.0
"""Seconds until an agent that could not read has its turn again: doubled with each turn in which it could not. So where
nobody can, each agent tries in its turn, and reading seldom moves."""


class ReadingTurn:
    """Decides when reading is passed on. Times are monotonic seconds."""

    def __init__(self, pass_on: Callable[[float], bool] | None) -> None:
        """`pass_on`: lets another agent read for so many seconds at least, or returns False; None: there is no other.

        It may raise StoreError.
        """
        self._pass_on = pass_on
        self._failing_since = self._next = float("inf")
        self._failed_turns = 0

    def works(self) -> None:
        """Take notice that reading goes on."""
        self._failing_since = float("inf")
        self._failed_turns = 0

    def fails(self, now: float) -> bool:
        """Take notice that nothing can be read; return whether another agent is to read from now on.

        Raises StoreError; then this one still reads.
        """
        if self._failing_since > now:
            self._failing_since, self._next = now, now + PATIENCE
        if self._pass_on is None or now < self._next:
            return False
        self._next = now + ASKED_EVERY
        if not self._pass_on(doubled(FIRST_PAUSE, self._failed_turns, LONGEST_PAUSE)):
            return False
        self._failing_since = float("inf")
        self._failed_turns += 1
        return True
