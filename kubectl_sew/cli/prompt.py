"""Lines that a person types at a terminal, with line editing or hidden. Questions go to stderr."""

import os
import sys
from contextlib import suppress

from kubectl_sew.cli.output import echo

_NO_TEXT = "\0"
"""Stands for a line that is no text in the terminal's encoding."""


def read_line(question: str) -> str:
    """A line that can be edited as in a shell. Raises EOFError at the end of the input (Ctrl-D)."""
    with suppress(ImportError):  # a Python without it, as on Windows
        import readline  # noqa: F401, PLC0415  # `input` edits lines where it is loaded
    sys.stdout.flush()
    out = sys.stdout.fileno()
    kept = os.dup(out)
    os.dup2(sys.stderr.fileno(), out)  # `input` asks on stdout, which may be a file that awaits the result
    try:
        return input(question)
    except UnicodeDecodeError:
        return _NO_TEXT
    finally:
        os.dup2(kept, out)
        os.close(kept)


def read_unseen(question: str) -> str:
    """A line that the terminal does not show. Raises EOFError at the end of the input."""
    try:
        import termios  # noqa: PLC0415  # only where there is a terminal as Unix has it
    except ImportError:
        from getpass import getpass  # noqa: PLC0415  # likewise

        return getpass(question, sys.stderr)
    before = termios.tcgetattr(sys.stdin)
    hidden = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, hidden)
    try:
        echo(question, err=True, nl=False)
        line = sys.stdin.readline()
    except UnicodeDecodeError:
        return _NO_TEXT
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        echo(err=True)
    if not line:
        raise EOFError
    return line
