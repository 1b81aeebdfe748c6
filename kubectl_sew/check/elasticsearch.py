"""Checks of reading events, from the agent's own report: Elasticsearch answers, accepts it, and shows the indices."""

from collections.abc import Mapping
from typing import Any

from kubectl_sew.check.agent import NO_AGENT
from kubectl_sew.check.facts import Facts, Unknown
from kubectl_sew.check.verdict import OK, Check, CheckVerdict, failed, fails_with, unknown
from kubectl_sew.elasticsearch.access import IndexProblem
from kubectl_sew.resource import FetchedReason

_RULED_OUT: Mapping[IndexProblem, tuple[IndexProblem, ...]] = {
    IndexProblem.REFUSED: (IndexProblem.UNREACHABLE,),
    IndexProblem.EMPTY: (IndexProblem.UNREACHABLE, IndexProblem.REFUSED),
    IndexProblem.PRIVILEGE: (IndexProblem.UNREACHABLE, IndexProblem.REFUSED),
}
"""Problem -> the problems that cannot be there where it is met."""


def _check(code: str, title: str, problem: IndexProblem, hint: str) -> Check:
    def judge(facts: Facts) -> CheckVerdict:
        if _is_silent(facts):
            return unknown(NO_AGENT)
        problems = _problems(facts)
        if problem in problems:
            return failed(problems[problem], hint)
        well = not problems or any(problem in _RULED_OUT.get(other, ()) for other in problems)
        return OK if well else unknown(_UNREAD)

    return Check(code, title, judge)


def _is_silent(facts: Facts) -> bool:
    return bool(facts.agent.unknown) or not facts.agent.report.get("running")


def _problems(facts: Facts) -> Mapping[IndexProblem, list[str]]:
    """Return what the agent reports, by problem; one that this plugin does not know is like any other."""
    by_problem: dict[IndexProblem, list[str]] = {}
    for row in facts.agent.report.get("sourceTroubles") or ():
        by_problem.setdefault(_problem(row.get("problem")), []).append(str(row.get("message")))
    return by_problem


def _problem(value: Any) -> IndexProblem:
    return next((problem for problem in IndexProblem if problem.value == value), IndexProblem.OTHER)


def _readable(facts: Facts) -> CheckVerdict:
    """Check for any other problem; where the agent cannot be asked, by the conditions that it wrote."""
    if _is_silent(facts):
        written = _written(facts)
        return failed(written, _SETTINGS) if written else unknown(NO_AGENT)
    problems = _problems(facts)
    if IndexProblem.OTHER in problems:
        return failed(problems[IndexProblem.OTHER], _SETTINGS)
    return unknown("see what fails above") if problems else OK


def _whole(facts: Facts) -> CheckVerdict:
    """Check what the agent reads for parts that its login may not see."""
    if _is_silent(facts):
        return unknown(NO_AGENT)
    caveats = [str(caveat) for caveat in facts.agent.report.get("sourceCaveats") or ()]
    return unknown(_UNREAD) if _problems(facts) and not caveats else fails_with(caveats, _COVERAGE)


def _written(facts: Facts) -> str:
    webhooks = () if isinstance(facts.webhooks, Unknown) else facts.webhooks
    conditions = (webhook.condition("EventsFetched") for webhook in webhooks)
    unreadable = (
        condition
        for condition in conditions
        if condition and condition.reason == FetchedReason.SOURCE_UNAVAILABLE.value
    )
    return next((condition.message for condition in unreadable), "")


_UNREAD = "this is not known while events cannot be read"
_COVERAGE = "grant that to its role, or name only what the role covers: SEW_INDEX (`kubectl sew install --index`)"
_SETTINGS = "see the agent's settings SEW_ELASTICSEARCH… and SEW_INDEX"

ELASTICSEARCH = (
    _check(
        "elasticsearch-reachable",
        "Elasticsearch answers",
        IndexProblem.UNREACHABLE,
        "check SEW_ELASTICSEARCH, NetworkPolicies and the server, which keeps the events meanwhile",
    ),
    _check(
        "elasticsearch-credentials",
        "it takes the agent's credentials",
        IndexProblem.REFUSED,
        "correct the Secret that `kubectl sew install --credentials-secret` named; it is read again by itself",
    ),
    _check(
        "elasticsearch-privileges",
        "the agent has its privileges on the indices",
        IndexProblem.PRIVILEGE,
        "grant `read`, `view_index_metadata` and `monitor` on the indices of SEW_INDEX",
    ),
    _check(
        "index-pattern",
        "the index pattern names an index",
        IndexProblem.EMPTY,
        "see the agent's setting SEW_INDEX (`kubectl sew install --index`); a later index is found by itself",
    ),
    Check("index-coverage", "it may see all indices of the pattern", _whole),
    Check("events-readable", "events can be read", _readable),
)
