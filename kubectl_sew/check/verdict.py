"""One check and what it found."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kubectl_sew.check.facts import Facts
from kubectl_sew.pages import page


class Result(Enum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It could not be made; what keeps it from being made fails in a check of its own."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`details`: what is wrong, unknown or worth knowing, one line each; `hint`: what to do."""

    result: Result
    details: tuple[str, ...] = ()
    hint: str = ""


OK = Verdict(Result.OK)


def failed(details: str | tuple[str, ...] | list[str], hint: str) -> Verdict:
    return Verdict(Result.FAILED, (details,) if isinstance(details, str) else tuple(details), hint)


def unknown(why: str) -> Verdict:
    return Verdict(Result.UNKNOWN, (why,))


def fails_with(details: list[str], hint: str) -> Verdict:
    """OK where there is nothing to say."""
    return failed(details, hint) if details else OK


@dataclass(frozen=True, slots=True)
class Check:
    """`code` is for programs, and the anchor in the documentation; `title` says what holds if it is OK."""

    code: str
    title: str
    judge: Callable[[Facts], Verdict]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A check, its group's name, and its verdict."""

    group: str
    check: Check
    verdict: Verdict

    @property
    def link(self) -> str:
        """Where it is explained."""
        return page("troubleshooting", self.check.code)

    def to_object(self) -> dict[str, Any]:
        failed = self.verdict.result is Result.FAILED
        head = {"group": self.group, "check": self.check.code, "title": self.check.title}
        found = {"result": self.verdict.result.value, "details": list(self.verdict.details)}
        return head | found | {"hint": self.verdict.hint or None, "link": self.link if failed else None}
