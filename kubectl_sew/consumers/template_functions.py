"""Functions that both languages of templates have: times, words for a severity, cutting and replacing."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from kubectl_sew.consumers import severity_words
from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.template_budget import JSON_A_STEP, Budget
from kubectl_sew.event import read_time
from kubectl_sew.text import clean as cleaned
from kubectl_sew.text import cut

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
DIRECTIVES = "Y m d H M S L j a A b B s z Z %"
"""Letters that can stand behind a `%` in a date's format: those of strftime, and `L` for milliseconds."""


def format_date(form: str, value: Any, budget: Budget) -> str:
    """Return a time in UTC: `rfc3339`, `epoch` (seconds), or a format with directives; "" for none.

    What is no time is returned as it is, or as JSON where it is no text. Raises RenderError for a directive that there
    is not.
    """
    if value is None or value == "":
        return ""
    seconds = read_time(value)
    moment = None if seconds is None else _moment(seconds)
    if moment is None:
        return value if isinstance(value, str) else to_json(value, budget)
    if form == "epoch":
        return str(int(seconds or 0))
    budget.spend_on_text(len(form))
    pieces = ("%Y-%m-%dT%H:%M:%SZ" if form == "rfc3339" else form).split("%")
    parts, escaped = [pieces[0]], False
    for piece in pieces[1:]:
        if escaped:
            parts.append(piece)
            escaped = False
        elif piece:
            parts.append(_directive(piece[0], moment) + piece[1:])
        else:
            parts.append("%")
            escaped = True
    return "".join(parts)


def clean(text: str, budget: Budget) -> str:
    """Return the text with what cannot be shown, or hides or reorders other text, replaced by U+FFFD."""
    budget.spend_on_new_text(len(text))
    return cleaned(text)


def one_line(text: str, budget: Budget) -> str:
    """Return the text cleaned, with one blank for each run of blanks and line breaks."""
    return " ".join(clean(text, budget).split())


def severity_word(words: str, value: Any) -> str:
    """Return the word for a severity, "" for none. Raises RenderError where `words` are no `WORD:NUMBER` pairs."""
    try:
        return severity_words.severity_word(value, words)
    except ValueError as error:
        raise RenderError(f"a `severity_word` in the template {error}") from None


def truncate(length: Any, text: str) -> str:
    """Return `length` characters at most, the last one an ellipsis where something was left out."""
    if not isinstance(length, int) or length < 1:
        raise RenderError("a `truncate` in the template needs a length of at least 1")
    return cut(text, length)


def replace(old: str, new: str, text: str, budget: Budget) -> str:
    """Return the text with each `old` replaced, as it is: there are no patterns."""
    if not old:
        raise RenderError("a `replace` in the template needs something to be replaced")
    budget.spend_on_text(len(text) + len(old))
    budget.spend_on_new_text(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


def to_json(value: Any, budget: Budget) -> str:
    """Return a value as JSON in ASCII. Half of its length is charged afterwards: one value too much at most.

    Raises RenderError for a number that JSON cannot hold.
    """
    try:
        text = json.dumps(_whole(value), allow_nan=False)
    except ValueError:
        raise RenderError("the event holds NaN, Infinity or an integer of thousands of digits") from None
    budget.spend(1 + len(text) // JSON_A_STEP)
    return text


def _whole(value: Any) -> Any:
    """Return a float without a fraction as an integer: JSON knows but one kind of numbers."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _moment(seconds: float) -> datetime | None:
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _directive(letter: str, moment: datetime) -> str:
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    texts = {
        "Y": f"{moment.year:04}",
        "m": f"{moment.month:02}",
        "d": f"{moment.day:02}",
        "H": f"{moment.hour:02}",
        "M": f"{moment.minute:02}",
        "S": f"{moment.second:02}",
        "L": f"{moment.microsecond // 1000:03}",
        "j": f"{moment.timetuple().tm_yday:03}",
        "a": day[:3],
        "A": day,
        "b": month[:3],
        "B": month,
        "s": str(int((moment - _EPOCH).total_seconds())),
        "z": "+0000",
        "Z": "UTC",
    }
    if letter not in texts:
        raise RenderError(f"a `date` in the template cannot use `%{letter}`: there is {DIRECTIVES}")
    return texts[letter]
