"""How the commands print: results on stdout, all else on stderr; colour only on a terminal."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

LONGEST_ERROR = 2_000
"""Characters of an error's text, whatever an input holds."""

SHADES = {"error": "red", "warning": "yellow"}


def print_error(text: str) -> None:
    """An error on stderr, as kubectl writes one."""
    _print_marked("error", text)


def print_warning(text: str) -> None:
    """What works but may be wrong, on stderr."""
    _print_marked("warning", text)


def print_text(text: str) -> None:
    """A result as text that holds what an event or a file says."""
    click.echo(_harmless(text))


def print_json(value: Any) -> None:
    """A result as JSON, indented, as text that can be read."""
    import json  # noqa: PLC0415  # not every command prints JSON

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_yaml(value: Any) -> None:
    """A result as YAML."""
    from kubectl_sew.resource.writing import to_yaml  # noqa: PLC0415  # not every command prints YAML

    click.echo(to_yaml(value), nl=False)


def _print_marked(mark: str, text: str) -> None:
    cut = text if len(text) <= LONGEST_ERROR else text[: LONGEST_ERROR - 1] + "…"
    head = click.style(f"{mark}:", fg=SHADES[mark], bold=True)
    click.echo(f"{head} {_harmless(cut)}", err=True, color=colour_of(err=True))


def _harmless(text: str) -> str:
    """Nothing in it can steer a terminal."""
    return "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in text)


def colour_of(*, err: bool) -> bool:
    """Whether to colour what goes to stderr, or else to stdout: https://no-color.org."""
    return (
        (sys.stderr if err else sys.stdout).isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as kubectl lays them out: three blanks apart, the last one as long as it is."""
    widths = [max(len(row[at]) for row in (headings, *rows)) for at in range(len(headings) - 1)]
    lines = (
        "".join(f"{cell:<{width + 3}}" for cell, width in zip(row, [*widths, 0], strict=True))
        for row in (headings, *rows)
    )
    return "\n".join(line.rstrip() for line in lines)
