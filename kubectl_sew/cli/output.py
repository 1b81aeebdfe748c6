"""The output of commands: results on stdout, all else on stderr; colour only on a terminal.

Everything goes through `echo`, and so through one gate: what files, events, a cluster, a pod or a receiver say cannot
steer the terminal.
"""

import os
import re
import sys
from collections.abc import Callable
from typing import Any

import click

from kubectl_sew.terminal import harmless, harmless_json, to_json
from kubectl_sew.text import cut

LONGEST_ERROR = 2_000
"""Characters of an error's text, whatever an input holds."""

SHADES = {"error": "red", "warning": "yellow"}

_MARK = os.urandom(8).hex()
"""Stands where a colour begins and ends. Nobody can write it beforehand."""
_MARKED = re.compile(f"{_MARK}([a-z]+)( bold)?:(.*?){_MARK}", re.DOTALL)


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """A text on stdout, or on stderr, that steers no terminal."""
    coloured = colour_of(err=err)

    def paint(hit: "re.Match[str]") -> str:
        return click.style(hit[3], fg=hit[1], bold=True if hit[2] else None) if coloured else hit[3]

    click.echo(_MARKED.sub(paint, harmless(text)), err=err, nl=nl, color=True)


def shade(text: str, colour: str, *, bold: bool = False) -> str:
    """A piece of a text for `echo`, in a colour where there are colours."""
    return f"{_MARK}{colour}{' bold' if bold else ''}:{text}{_MARK}"


def pass_through(text: str) -> None:
    """Print the output of another program: as it is for a program, and harmless for a terminal."""
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
    elif text.lstrip().startswith(("{", "[")):
        echo(harmless_json(text), nl=False)
    else:
        echo(text, nl=False)


def to_terminal() -> Callable[[str], None] | None:
    """Prints a piece of text on stderr as it comes; None where no terminal is there."""
    return (lambda text: echo(text, err=True, nl=False)) if sys.stderr.isatty() else None


def confirm(question: str) -> None:
    """Asks on stderr; anything but yes ends the command."""
    click.confirm(harmless(question), abort=True, err=True)


def print_error(text: str) -> None:
    """An error on stderr, as kubectl writes one."""
    _print_marked("error", text)


def print_warning(text: str) -> None:
    """Print on stderr what works but may be wrong."""
    _print_marked("warning", text)


def print_json(value: Any) -> None:
    """A result as JSON, indented, as text that can be read."""
    echo(to_json(value))


def print_yaml(value: Any) -> None:
    """A result as YAML."""
    from kubectl_sew.resource.writing import to_yaml  # noqa: PLC0415  # not every command prints YAML

    echo(to_yaml(value), nl=False)


def _print_marked(mark: str, text: str) -> None:
    echo(f"{shade(f'{mark}:', SHADES[mark], bold=True)} {cut(text, LONGEST_ERROR)}", err=True)


def colour_of(*, err: bool) -> bool:
    """Return whether to colour stderr, or else stdout: https://no-color.org, https://bixense.com/clicolors."""
    wish = os.environ.get
    if wish("NO_COLOR"):
        return False
    if any(wish(name, "0") not in ("", "0") for name in ("CLICOLOR_FORCE", "FORCE_COLOR")):
        return True
    terminal = (sys.stderr if err else sys.stdout).isatty()
    return terminal and wish("TERM") != "dumb" and wish("CLICOLOR") != "0"
