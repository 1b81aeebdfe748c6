"""Pieces of random inputs, over which programs of this kind have stumbled."""

from collections.abc import Sequence
from random import Random

NUMBERS = (
    *("0", "1", "08", "9", "-1", "+2", "1e5", "1E400", "0x", "0X1F", "0o17", "0b", "_", ".", "-", "+", "e", "E"),
    *("9007199254740993", "18446744073709551616", "Inf", ".inf", "-.INF", ".NaN", "NaN", "Infinity"),
)
WORDS = (
    "y",
    "N",
    "on",
    "Off",
    "null",
    "~",
    "true",
    "False",
    "1:20",
    "2026-01-02",
    "2026-01-01 00:00:00Z",
    "10.0.0.0/8",
)
SIGNS = (
    " ",
    "\n",
    "\t",
    "#",
    ": ",
    "- ",
    "'",
    '"',
    "`",
    "\\",
    "<<",
    "=",
    "!",
    "&a",
    "*",
    "%",
    "@",
    ",",
    "{",
    "}",
    "[",
    "]",
)
HOSTILE = (
    *("\x00", "\x07", "\x1b[2J", "\x7f", "\x85", "\x9b31m", "\u200b", "\u202e", "\u2066", "\u2028", "\ufeff"),
    *("\U0001f600", "\ud83d", "\\ud83d\\ude00", "\u0130", "\u03a3"),
    " " * 3_000,
)
PIECES = (*NUMBERS, *WORDS, *SIGNS, *HOSTILE)


def text(random: Random, pieces: Sequence[str] = PIECES, most: int = 5) -> str:
    """Return up to `most` pieces in a row."""
    return "".join(random.choices(pieces, k=random.randint(0, most)))
