"""Read the examples of the documentation: what a person types, and what the page shows to be printed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

_DIFFERS = {
    r"\d{4}-\d\d-\d\d[T ][\d:.]+Z": "TIME",
    r"[\w-]+/[\w-]+-[0-9a-f]{8,10}-[0-9a-z]{5}\b": "POD",
    r"\b(under a minute|\d+ (min|h|days?)|\d+[dhms](\d+m)?)\b": "AGE",
    r" +": " ",  # columns are as wide as what stands in them
}


@dataclass(frozen=True)
class Example:
    """One command as it is typed, and the lines that it prints, on both streams."""

    line: str
    shown: str


def examples(page: str, *, form: str = "console", section: str = "") -> list[Example]:
    """Return the examples in a page's code blocks of one form, in order: of one section by its heading, else of all."""
    text = Path(page).read_text("utf-8")
    if section:
        text = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    blocks = re.findall(rf"```{form}\n(.*?)```", text, re.DOTALL)
    typed = [example for block in blocks for example in re.split(r"^\n?(?=\$ )", block, flags=re.MULTILINE) if example]
    return [
        Example(line.removeprefix("$ "), shown) for line, _, shown in (example.partition("\n") for example in typed)
    ]


@dataclass(frozen=True)
class Typed:
    """A line that begins with `$ `: below which heading of the second level, and in a block of which form."""

    section: str
    form: str
    line: str


def typed(page: Path) -> Iterator[Typed]:
    """Yield all that a page has a person type, in blocks of every form, indented ones too."""
    section = form = ""
    inside = False
    for line in map(str.strip, page.read_text("utf-8").splitlines()):
        if line.startswith("```"):
            inside = not inside
            form = line.removeprefix("```") if inside else ""
        elif line.startswith("$ "):
            yield Typed(section, form, line.removeprefix("$ "))
        elif line.startswith("## ") and not inside:
            section = line.removeprefix("## ")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def masked(text: str) -> str:
    """Return the text without what differs from cluster to cluster: times, ages, pods' names."""
    for pattern, name in _DIFFERS.items():
        text = re.sub(pattern, name, text)
    return text


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield the command and all below it, with what a person types."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below
            yield from commands(below, f"{path} {name}")
