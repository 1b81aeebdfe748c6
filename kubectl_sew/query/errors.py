"""Problems of a query with their places, drawn with the line and a caret."""

from collections.abc import Iterable
from dataclasses import dataclass

from kubectl_sew.errors import SewError
from kubectl_sew.text import cut, fitting, plural, printable, width

RENDER_LIMIT = 2_000
_BEFORE, _WIDTH = 40, 100
"""Cells of a terminal: before what is marked in a line that is cut, and of the line."""
_TEXT = 300


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a query: offsets in characters, `end` exclusive. Empty at the end of the text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class QueryProblem:
    """An error or a warning at `span`; `hint` says what to do about it."""

    message: str
    span: Span
    hint: str = ""
    warning: bool = False


class QueryError(SewError):
    """A query that cannot be read or answered: every independent problem, with its place in `text`, and warnings."""

    def __init__(self, text: str, problems: Iterable[QueryProblem]) -> None:
        self.text = text
        self.problems = tuple(problems)
        super().__init__(_one_line(text, self.errors))

    @property
    def errors(self) -> tuple[QueryProblem, ...]:
        """The problems without the warnings."""
        return tuple(problem for problem in self.problems if not problem.warning)

    def render(self) -> str:
        """Draw each error: its line:column, its line of the query, a caret and the hint; 2,000 characters at most."""
        return render(self.text, self.errors)


def locate(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, both from 1, of a character's offset."""
    before = text[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


def render(text: str, problems: Iterable[QueryProblem]) -> str:
    """Draw problems for a terminal: at most 2,000 characters; what does not fit is counted in the last line."""
    blocks = [_block(text, problem) for problem in problems]
    shown, room = [], RENDER_LIMIT - 40
    for block in blocks:
        room -= len(block) + 1
        if room < 0:
            break
        shown.append(block)
    left = len(blocks) - len(shown)
    return "\n".join(shown + ([f"… and {left} more"] if left else []))


_BLANKS = str.maketrans("\t\n\r", "   ")


def quoted(text: str) -> str:
    """Quote a piece of a query in a message: on one line, at most 40 characters."""
    return f"`{cut(_printable(text), 40)}`"


def _one_line(text: str, problems: tuple[QueryProblem, ...]) -> str:
    first, more = problems[0], len(problems) - 1
    line, column = locate(text, first.span.start)
    rest = f", and {more} more {plural(more, 'problem')}" if more else ""
    return cut(f"query: {_printable(first.message)} (line {line}, column {column}){rest}", _TEXT)


def _block(text: str, problem: QueryProblem) -> str:
    line, column = locate(text, problem.span.start)
    kind = "warning: " if problem.warning else ""
    lines = [f"{line}:{column}: {kind}{cut(_printable(problem.message), _TEXT)}"]
    lines += _drawing(text, problem.span) if text else []
    return "\n".join(lines + ([f"  hint: {cut(_printable(problem.hint), _TEXT)}"] if problem.hint else []))


def _drawing(text: str, span: Span) -> list[str]:
    start = text.rfind("\n", 0, span.start) + 1
    newline = text.find("\n", span.start)
    line = _printable(text[start : newline if newline >= 0 else len(text)])
    left, right = _window(line, span.start - start)
    head, tail = "…" if left else "", "…" if right < len(line) else ""
    before, marked = line[left : span.start - start], line[span.start - start : min(span.end - start, right)]
    return [
        f"  {head}{line[left:right]}{tail}",
        "  " + " " * (len(head) + width(before)) + "^" * max(1, width(marked)),
    ]


def _window(line: str, offset: int) -> tuple[int, int]:
    """Return the beginning and end of what is shown of a line: all of it, or what fits around an offset."""
    if width(line) <= _WIDTH:
        return 0, len(line)
    left = offset - fitting(line[offset - 1 :: -1] if offset else "", _BEFORE)
    left = min(left, len(line) - fitting(line[::-1], _WIDTH))
    return left, left + fitting(line[left:], _WIDTH)


def _printable(text: str) -> str:
    return printable(text.translate(_BLANKS))
