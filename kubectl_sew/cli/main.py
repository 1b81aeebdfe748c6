"""The entry points of `kubectl sew` and its completion: they load the program, which is most of a start."""

import gc
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper

from kubectl_sew.library_warnings import captured

COMPLETE = "__complete"
"""The first argument where the script that `completion install` writes asks for completions of the others."""


def main() -> None:
    """Exit codes: 0 fine, 1 an error or findings, 2 usage, 3 only warnings (--strict), 124 a wait timed out."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  # it was closed: nobody wants to know
    if sys.stdout is None:
        sys.stderr.write("error: standard output is closed\n")
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # What arguments and files hold need not be text that can be written.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    args = sys.argv[1:]
    if args[:1] == [COMPLETE]:
        sys.exit(_loaded(_completer)(args[1:]))
    with captured(_print_warning):
        code = _loaded(_runner)(args)
    sys.exit(code)


def complete() -> None:
    """`kubectl_complete-sew`: what kubectl runs with the words so far."""
    sys.exit(_loaded(_completer)(sys.argv[1:]))


def _print_warning(source: str, message: str) -> None:
    from kubectl_sew.cli.output import print_warning  # noqa: PLC0415  # see the module

    print_warning(f"{source}: {message}")


Program = Callable[[list[str]], int]


def _loaded(load: Callable[[], Program]) -> Program:
    """Keep loaded modules out of garbage collection: looking through them would take a tenth of a short run."""
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
