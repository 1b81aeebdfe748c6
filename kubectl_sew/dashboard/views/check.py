"""The page of the whole diagnosis, group by group as `kubectl sew check` prints it."""

from dataclasses import dataclass
from itertools import groupby

from kubectl_sew.check.verdict import CheckOutcome, CheckResult
from kubectl_sew.dashboard.reach import Diagnosis
from kubectl_sew.resource import Finding

WORDS = {CheckResult.OK: "ok", CheckResult.FAILED: "failed", CheckResult.UNKNOWN: "unknown"}


@dataclass(frozen=True, slots=True)
class CheckLine:
    """A check: its result in a word, and what to do where it failed."""

    word: str
    title: str
    details: tuple[str, ...]
    hint: str
    link: str


@dataclass(frozen=True, slots=True)
class CheckView:
    """The page. `verdict` sums it up; `text` stands instead of groups for an agent on files."""

    verdict: str
    groups: tuple[tuple[str, tuple[CheckLine, ...]], ...]
    text: str
    findings: tuple[Finding, ...]


def check_view(diagnosis: Diagnosis) -> CheckView:
    """Return the page."""
    outcomes = diagnosis.outcomes
    wrong = sum(outcome.verdict.result is CheckResult.FAILED for outcome in outcomes)
    verdict = f"{wrong} of {len(outcomes)} checks failed" if wrong else "Nothing is wrong"
    groups = [(group, tuple(map(_line, some))) for group, some in groupby(outcomes, lambda outcome: outcome.group)]
    return CheckView(verdict if outcomes else "", tuple(groups), diagnosis.text, diagnosis.findings)


def _line(outcome: CheckOutcome) -> CheckLine:
    verdict = outcome.verdict
    failed = verdict.result is CheckResult.FAILED
    hint, link = (verdict.hint, outcome.link) if failed else ("", "")
    return CheckLine(WORDS[verdict.result], outcome.check.title, verdict.details, hint, link)
