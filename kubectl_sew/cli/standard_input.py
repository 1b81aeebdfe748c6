"""Standard input, which may be closed."""

import sys
from io import BufferedReader
from typing import cast

from kubectl_sew.errors import SewError


def can_answer() -> bool:
    """Return whether a person is at standard input."""
    return sys.stdin is not None and sys.stdin.isatty()


def standard_input() -> BufferedReader:
    """The bytes of standard input. Raises SewError where it is closed (`<&-`)."""
    if sys.stdin is None:
        raise SewError("standard input is closed: redirect a file or a pipe to it")
    return cast("BufferedReader", sys.stdin.buffer)
