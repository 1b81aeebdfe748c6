"""Tables for a terminal. For both programs."""

from collections.abc import Mapping, Sequence
from typing import Any

from kubectl_sew.text import width


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as kubectl lays them out: three spaces apart, the last one as long as it is."""
    widths = [max(width(row[at]) for row in (headings, *rows)) for at in range(len(headings) - 1)]
    lines = (
        "".join(cell + " " * (wide + 3 - width(cell)) for cell, wide in zip(row, [*widths, 0], strict=True))
        for row in (headings, *rows)
    )
    return "\n".join(line.rstrip() for line in lines)


def table_of(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Rows of values under headings. `columns`: heading -> key."""
    return table(list(columns), [[_cell(row[key]) for key in columns.values()] for row in rows])


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None or value == "" else str(value)
