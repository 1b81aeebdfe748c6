"""Words for an event's severity, as routes know them: `WORD:NUMBER` pairs, of which each holds from its number on."""

import math
import re
from typing import Any

from kubectl_sew.json_text import line
from kubectl_sew.members import members

SEVERITY_WORDS = "critical:90,warning:60,info:0"
"""The words where nobody gives others."""
LIMIT = 1_024
"""Characters of a severity that is no number."""


def severity_word(severity: Any, words: str = SEVERITY_WORDS) -> str:
    """Return the word for a number; what is no number, such as Falco's `Critical`, stays as it is.

    Raises ValueError where `words` are none.
    """
    table = read_severity_words(words)
    try:
        number = float(severity)
    except (TypeError, ValueError, OverflowError):
        return line(severity, LIMIT)
    fitting = [] if math.isnan(number) else [(least, word) for word, least in table if least <= number]
    return max(fitting)[1] if fitting else ""


def read_severity_words(text: str) -> list[tuple[str, float]]:
    """Read `WORD:NUMBER` pairs. Raises ValueError with what is wrong, as the end of a sentence."""
    words = [_read_word(pair) for pair in members(text)]
    if len({least for _, least in words}) < len(words):
        raise ValueError("gives one number to two words")
    return words


def _read_word(pair: str) -> tuple[str, float]:
    word, _, least = pair.partition(":")
    if not word.strip() or not re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]{1,6})?\s*", least):
        raise ValueError("holds something other than `WORD:NUMBER` pairs")
    return word.strip(), float(least)
