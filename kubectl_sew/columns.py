"""What stands below each other on a terminal: the width of a text, and tables. For both programs."""

from collections.abc import Sequence


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as kubectl lays them out: three spaces apart, the last one as long as it is."""
    widths = [max(width(row[at]) for row in (headings, *rows)) for at in range(len(headings) - 1)]
    lines = (
        "".join(cell + " " * (wide + 3 - width(cell)) for cell, wide in zip(row, [*widths, 0], strict=True))
        for row in (headings, *rows)
    )
    return "\n".join(line.rstrip() for line in lines)


def width(text: str) -> int:
    """Cells of a terminal that a text takes: two for a wide character, none for an accent put upon another."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width  # noqa: PLC0415  # few texts need it

    marks = sum(category(each) in ("Mn", "Me") for each in text)
    return len(text) + sum(east_asian_width(each) in "WF" for each in text) - marks
