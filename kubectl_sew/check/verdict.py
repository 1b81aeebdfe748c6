"""A check and its verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kubectl_sew.check.facts import Facts
from kubectl_sew.pages import page


class CheckResult(Enum):
    """The result of a check."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The check could not be made; what prevents it fails in a check of its own."""


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """`details`: what is wrong, unknown or worth knowing, one line each; `hint`: what to do."""

    result: CheckResult
    details: tuple[str, ...] = ()
    hint: str = ""


OK = CheckVerdict(CheckResult.OK)


def failed(details: str | tuple[str, ...] | list[str], hint: str) -> CheckVerdict:
    return CheckVerdict(CheckResult.FAILED, (details,) if isinstance(details, str) else tuple(details), hint)


def unknown(why: str) -> CheckVerdict:
    return CheckVerdict(CheckResult.UNKNOWN, (why,))


def fails_with(details: list[str], hint: str) -> CheckVerdict:
    """OK where there is nothing to say."""
    return failed(details, hint) if details else OK


@dataclass(frozen=True, slots=True)
class Check:
    """`code` is for programs, and the anchor in the documentation; `title` says what holds if it is OK."""

    code: str
    title: str
    judge: Callable[[Facts], CheckVerdict]


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """A check, its group's name, and its verdict."""

    group: str
    check: Check
    verdict: CheckVerdict

    @property
    def link(self) -> str:
        """The address of its explanation."""
        return page("troubleshooting", self.check.code)

    def to_object(self) -> dict[str, Any]:
        failed = self.verdict.result is CheckResult.FAILED
        head = {"group": self.group, "check": self.check.code, "title": self.check.title}
        ended = {"result": self.verdict.result.value, "details": list(self.verdict.details)}
        return head | ended | {"hint": self.verdict.hint or None, "link": self.link if failed else None}
