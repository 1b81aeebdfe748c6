"""Wait for what real programs do in their own time, by asking again."""

import threading
import time
from collections.abc import Callable

from testbed.servers.running import slowness

DEADLINE = 20.0


def eventually(condition: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Wait until a condition holds. Fail with `what` where it does not in so many seconds of a quiet machine."""
    pause, began = threading.Event(), time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds * slowness(), f"not within {seconds} s: {what}"
        pause.wait(0.02)
