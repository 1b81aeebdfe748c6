"""A progress bar for work of over a second, on stderr when that is a terminal."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

_QUIET, _EVERY, _WIDTH = 1.0, 0.1, 24
_CLEAR = "\r\x1b[K"


class ProgressLine:
    """Shows nothing in the first second, and is gone when the work ends. `total` is 0 where nobody knows it."""

    def __init__(self, total: int, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._stream = stream
        self._clock = clock
        self._next = clock() + _QUIET
        self._terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = False

    def show(self, done: int, text: str) -> None:
        """`done` of the total, and what there is to say."""
        now = self._clock()
        if not self._terminal or now < self._next:
            return
        self._next = now + _EVERY
        self._drawn = True
        line = f"{self._bar(done)}{text}"
        self._stream.write(_CLEAR + line[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()

    def clear(self) -> None:
        """Takes the bar away, before something else is written and at the end."""
        if self._drawn:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._drawn = False

    def _bar(self, done: int) -> str:
        if not self._total:
            return ""
        part = min(1.0, done / self._total)
        filled = int(part * _WIDTH)
        return f"[{'#' * filled}{' ' * (_WIDTH - filled)}] {int(part * 100):3}%  "


def on_stderr(total: int) -> ProgressLine:
    """Return a progress bar for a command's work."""
    return ProgressLine(total, sys.stderr)
