"""kubectl's forms of flags, written as click takes them.

`-o yaml`, `-oyaml` and `-o=yaml` are one; every switch takes `=true` and `=false`; of two the last one counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import click

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True, slots=True)
class _Flag:
    """A flag as given: its long name, and its value; a switch has true or false."""

    option: click.Option
    value: str | bool

    @property
    def words(self) -> list[str]:
        name = max(self.option.opts, key=len)
        if isinstance(self.value, bool):
            return [name] if self.value else []
        return [f"{name}={self.value}"]


def in_clicks_form(args: Sequence[str], params: Sequence[click.Parameter], *, interspersed: bool = True) -> list[str]:
    """The arguments of a command with these parameters. What is no flag of it stays for click to judge.

    Where they are not `interspersed`, all from the first one that is no flag on is left as it is.
    """
    options = {name: param for param in params if isinstance(param, click.Option) for name in param.opts}
    left = list(args)
    read: list[_Flag | str] = []
    while left:
        word = left.pop(0)
        if word == "--" or (not interspersed and not word.startswith("-")):
            read += [word, *left]
            break
        read += _read(word, left, options)
    return [word for at, given in enumerate(read) for word in _words(given, read[at + 1 :])]


def _words(given: _Flag | str, later: Sequence[_Flag | str]) -> list[str]:
    if isinstance(given, str):
        return [given]
    again = any(isinstance(word, _Flag) and word.option is given.option for word in later)
    return [] if isinstance(given.value, bool) and again else given.words


def _read(word: str, left: list[str], options: Mapping[str, click.Option]) -> Iterator[_Flag | str]:
    """The flags in one word; a value that is the next word is taken from those `left`."""
    name, equals, value = word.partition("=")
    if name in options and (word.startswith("--") or len(name) == 2):
        yield _flag(name, options[name], value if equals else None, left)
    elif word.startswith("-") and not word.startswith("--") and word[:2] in options:
        yield from _read_together(word, left, options)
    else:
        yield word


def _read_together(word: str, left: list[str], options: Mapping[str, click.Option]) -> Iterator[_Flag | str]:
    """`-Rf=x`: switches, and at the end one that may have a value."""
    for at in range(1, len(word)):
        name, rest = f"-{word[at]}", word[at + 1 :]
        if name not in options:
            yield f"-{word[at:]}"
            return
        if not options[name].is_flag or rest.startswith("="):
            yield _flag(name, options[name], rest.removeprefix("=") if rest else None, left)
            return
        yield _Flag(options[name], True)


def _flag(name: str, option: click.Option, value: str | None, left: list[str]) -> _Flag | str:
    if not option.is_flag:
        if value is None:
            return _Flag(option, left.pop(0)) if left else name
        return _Flag(option, value)
    if value is None or value in _TRUE:
        return _Flag(option, True)
    if value in _FALSE:
        return _Flag(option, False)
    raise click.UsageError(f"{name} must be true or false, but is `{value}`")
