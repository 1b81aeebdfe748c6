"""Where `kubectl sew` and its completion begin: loads what they are made of, which is most of a start."""

import gc
import sys
from collections.abc import Callable
from io import TextIOWrapper

COMPLETE = "__complete"
"""The first argument where the script that `completion install` writes asks for completions of the others."""


def main() -> None:
    """Exit codes: 0 fine, 1 an error or findings, 2 usage, 3 only warnings (--strict), 124 a wait timed out."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # What arguments and files hold need not be text that can be written.
            stream.reconfigure(errors="backslashreplace")
    args = sys.argv[1:]
    sys.exit(_loaded(_completer)(args[1:]) if args[:1] == [COMPLETE] else _loaded(_runner)(args))


def complete() -> None:
    """`kubectl_complete-sew`: what kubectl runs with the words so far."""
    sys.exit(_loaded(_completer)(sys.argv[1:]))


Program = Callable[[list[str]], int]


def _loaded(load: Callable[[], Program]) -> Program:
    """What is loaded stays until the end: looking through it for garbage would take a tenth of a short run."""
    gc.disable()
    program = load()
    gc.freeze()
    gc.enable()
    return program


def _runner() -> Program:
    from kubectl_sew.cli.program import run  # noqa: PLC0415  # see the module

    return run


def _completer() -> Program:
    from kubectl_sew.cli.complete import print_completions  # noqa: PLC0415  # see the module

    return print_completions


if __name__ == "__main__":
    main()
