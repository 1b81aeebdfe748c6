"""Runs a program to its end, or until its time is over, and passes on what it writes to stderr while it runs."""

import subprocess
import time
from collections.abc import Callable, Sequence

Report = Callable[[str], None]

_STEP = 0.5
"""Seconds. What has been said for so long by a program that still runs may be a question."""


def finish(
    command: Sequence[str], stdin: str, deadline: float | None, report: Report | None
) -> subprocess.CompletedProcess[str]:
    """The program's end. Raises TimeoutExpired, with what it said on stderr, after `deadline` seconds; OSError."""
    began = time.monotonic()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]  # noqa: S603  # no shell
        given: bytes | None = stdin.encode()
        seen = reported = 0
        try:
            while True:
                left = _STEP if deadline is None else deadline - (time.monotonic() - began)
                try:
                    out, err = process.communicate(given, timeout=max(0.0, min(_STEP, left)))
                    return subprocess.CompletedProcess(command, process.returncode, _text(out), _text(err))
                except subprocess.TimeoutExpired as running:
                    stderr, given = running.stderr or b"", None
                    if report and seen > reported:
                        report(_text(stderr[reported:seen]))
                        reported = seen
                    seen = len(stderr)
                    if left <= _STEP and deadline is not None:
                        raise
        finally:
            process.kill()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
