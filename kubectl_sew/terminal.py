"""Output for a terminal, which no text from files, events, a cluster or receivers can control. For both programs."""

from typing import Any

import click

from kubectl_sew.text import printable

_HARMLESS = "\n\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""Python holds these for unprintable, and they are harmless."""


def harmless(text: str) -> str:
    """A text without what could steer a terminal, or turn round the order in which it is read."""
    return printable(text, keep=_HARMLESS)


def harmless_json(text: str) -> str:
    """JSON that says the same, with escapes for what could steer a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t\r" else _escape(char) for char in text)


json_option = click.option("-o", "--output", type=click.Choice(["json"]), help="Print JSON.")


def to_json(value: Any) -> str:
    """Return a result as indented JSON that people can read and that steers no terminal."""
    import json  # noqa: PLC0415  # not every command prints JSON

    return harmless_json(json.dumps(value, indent=2, ensure_ascii=False))


def usage(wrong: click.ClickException, program: str) -> str:
    """Return what is wrong with a command line, and where its usage is described, in kubectl's words."""
    message = wrong.format_message().rstrip(".")
    context = wrong.ctx if isinstance(wrong, click.UsageError) else None
    path = context.command_path if context else program
    first = message[:1] if message[1:2].isupper() else message[:1].lower()  # click begins sentences, kubectl does not
    return f"{first}{message[1:]}\nSee '{path} --help' for usage."


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
