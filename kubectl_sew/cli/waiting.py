"""Waiting for a cluster: durations as flags, and reading again and again until something is so."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from kubectl_sew.cli.durations import read_duration
from kubectl_sew.kubectl import KubectlError, KubectlProblem

TIMED_OUT = 124
"""The exit code of `timeout`, and of every wait of ours."""

PAUSE = 1.0
"""Seconds between two reads."""

Result = TypeVar("Result")
Command = TypeVar("Command", bound=Callable[..., Any])


def timeout_option(text: str) -> Callable[[Command], Command]:
    """Add the option `--timeout`, in seconds, written as `60s`, `2m`, `90`."""
    return click.option(
        "--timeout", callback=read_duration, default="60s", show_default=True, metavar="TIME", help=text
    )


def until(read: Callable[[], Result | None], timeout: float | None) -> Result | None:
    """Return the first result of `read`; None where there was none within `timeout` seconds (None: for ever).

    An API server that goes away meanwhile is waited for; one that is not there at the first read is an error.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    first = True
    while True:
        try:
            if (result := read()) is not None:
                return result
        except KubectlError as error:
            if first or error.problem not in (KubectlProblem.UNREACHABLE, KubectlProblem.TIMEOUT):
                raise
        first = False
        if deadline is not None and time.monotonic() + PAUSE > deadline:
            return None
        time.sleep(PAUSE)
