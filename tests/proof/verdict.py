"""What a judge finds. Only values."""

from collections import Counter
from dataclasses import dataclass, field

KINDS = ("lost", "altered", "unwanted", "doubled", "crowded", "early", "stale", "books", "unsettled", "problem")
"""Kinds of violations, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Violation:
    kind: str
    text: str


@dataclass(slots=True)
class Verdict:
    """`figures`: counts by name, for people. It holds where there are no violations."""

    violations: list[Violation] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)

    def count(self, kind: str) -> int:
        return sum(violation.kind == kind for violation in self.violations)
