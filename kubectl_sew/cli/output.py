"""How the commands print: results on stdout, all else on stderr; colour only on a terminal."""

import sys
from collections.abc import Sequence

import click

LONGEST_ERROR = 2_000
"""Characters of an error's text, whatever an input holds."""


def print_error(text: str) -> None:
    """An error on stderr, as kubectl writes one."""
    cut = text if len(text) <= LONGEST_ERROR else text[: LONGEST_ERROR - 1] + "…"
    click.echo(f"{click.style('error:', fg='red', bold=True)} {cut}", err=True, color=colour(sys.stderr.isatty()))


def colour(terminal: bool) -> bool:
    """Whether to colour what goes to a terminal, or to something else: https://no-color.org."""
    import os  # noqa: PLC0415  # never at import: the environment is the process's, not the module's

    return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as kubectl lays them out: three blanks apart, the last one as long as it is."""
    widths = [max(len(row[at]) for row in (headings, *rows)) for at in range(len(headings) - 1)]
    lines = (
        "".join(f"{cell:<{width + 3}}" for cell, width in zip(row, [*widths, 0], strict=True))
        for row in (headings, *rows)
    )
    return "\n".join(line.rstrip() for line in lines)
