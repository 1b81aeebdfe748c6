"""Clocks of the system."""

import time
from collections.abc import Callable

_ASKED_EVERY = 0.002


def steady_seconds() -> float:
    """Return seconds of a clock that nobody sets; where the system has one, it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class ProcessorTime:
    """Seconds for which the processor has worked for the one thread that calls this, or some ms more.

    The system is asked every 2 ms at most, since asking costs more than what is measured: between two answers all time
    counts as work.
    """

    def __init__(
        self, worked: Callable[[], float] = time.thread_time, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = worked
        self._clock = clock
        self._asked_at = float("-inf")
        self._worked = 0.0

    def __call__(self) -> float:
        now = self._clock()
        since = now - self._asked_at
        if since < _ASKED_EVERY:
            return self._worked + since
        self._asked_at, self._worked = now, self._ask()
        return self._worked
