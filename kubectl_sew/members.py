"""Lists on one line: what a person writes with commas between, and what a person reads."""

from collections.abc import Sequence


def members(text: str) -> tuple[str, ...]:
    """The members without the blanks around them; nothing between two commas is no member."""
    return tuple(member for part in text.split(",") if (member := part.strip()))


def alternatives(words: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
