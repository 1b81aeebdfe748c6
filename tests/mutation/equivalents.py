"""Mutants that change nothing, as `equivalents.txt` lists them. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_WORDS = "SELECT|INSERT|REPLACE|UPDATE|DELETE|PRAGMA|VACUUM|BEGIN|FROM|WHERE|AND|ORDER BY|ON CONFLICT"
_SQL = re.compile(rf'["( ]({_WORDS})[" ]|\w = \?')
_TEXT_IN_SQL = re.compile(r"'[^']*'")


@dataclass(frozen=True, slots=True)
class Change:
    """What a mutant changes: the lines of a function that go and those that come, without any white space.

    It is known by its content, since a mutant's number moves with each decision that is written before it.
    """

    function: str
    removed: str
    added: str

    @classmethod
    def of_diff(cls, function: str, diff: Iterable[str]) -> "Change":
        """Return the change of a diff without its head. Lines that stay are passed over."""
        removed, added = [], []
        for line in diff:
            {"-": removed, "+": added}.get(line[:1], []).extend(line[1:].split())
        return cls(function, "".join(removed), "".join(added))


def equivalents(text: str) -> dict[Change, str]:
    """Return the reason of each change that a list names. Raises ValueError where there is no reason or no change."""
    entries: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith(("-", "+")) and entries:
            entries[-1][1].append(line)
        elif line.strip() and not line.startswith((" ", "#")):
            entries.append((line, []))
    reasons = {}
    for head, diff in entries:
        function, _, reason = head.partition(": ")
        if not reason.strip() or not diff:
            raise ValueError(f"{head!r}: expected FUNCTION: REASON, and below it lines that begin with - or +")
        reasons[Change.of_diff(function, diff)] = reason
    return reasons


def is_same_sql(function: str, diff: Iterable[str]) -> bool:
    """Return whether a mutant changes nothing but the case of SQLite's SQL, which takes both, but for texts in it."""
    lines = list(diff)
    before, after = (" ".join(line[1:] for line in lines if line.startswith(sign)) for sign in "-+")
    return (
        ".sqlite." in function
        and before.casefold() == after.casefold()
        and bool(_SQL.search(before))
        and _TEXT_IN_SQL.findall(before) == _TEXT_IN_SQL.findall(after)
    )
