"""Clock of the database, as its agents read it: what one of them writes means the same to the others."""

from collections.abc import Callable


class DatabaseClock:
    """Clock that goes on by an agent's own steady one, between two answers of the server.

    It is never ahead of the server's, so nothing is begun before its time, and behind it by no more than its quickest
    answer took on its way.
    """

    def __init__(self, steady: Callable[[], float]) -> None:
        """`steady`: seconds of a clock that nobody sets."""
        self._steady = steady
        self._ahead: float | None = None
        """Seconds since the epoch at which the steady clock began."""

    def __call__(self) -> float:
        """Return seconds since the epoch; only after the server was heard."""
        return self._steady() + (self._ahead or 0.0)

    def heard(self, asked: float, answered: float, at: float) -> None:
        """Learn that the server said `at` at some time between both moments of the steady clock."""
        earliest, latest = at - answered, at - asked
        proven = self._ahead is not None and earliest <= self._ahead <= latest
        self._ahead = self._ahead if proven else earliest
