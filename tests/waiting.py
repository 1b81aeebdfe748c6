"""Wait for what real programs do in their own time, by asking again."""

import threading
import time
from collections.abc import Callable

DEADLINE = 20.0


def eventually(condition: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Wait until a condition holds. Fail with `what` where it does not in time."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        pause.wait(0.02)
