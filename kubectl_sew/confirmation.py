"""Confirmation of what cannot be undone: a person is asked first, and named afterwards. For both programs."""

import getpass
import os
import socket
import sys
from collections.abc import Callable

import click

MAY_COME_TWICE = "A receiver that has taken one already, without saying so, gets it twice, with the same id"
"""What is asked for before something is sent again."""


def confirm(question: str, ask: Callable[[str], None], *, yes: bool) -> None:
    """Ask a person on a terminal; elsewhere `--yes` must have been given.

    Raises click.UsageError, and what `ask` raises.
    """
    if yes:
        return
    if not on_terminal():
        raise click.UsageError("this cannot be undone: add --yes")
    ask(question)


def on_terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def who() -> str:
    """The person at this machine, for the trace of what was done by hand."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a user need not have a name
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
