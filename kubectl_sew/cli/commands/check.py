"""`kubectl sew check`."""

import time
from collections.abc import Iterable, Sequence
from itertools import count

import click

from kubectl_sew.check.checks import judge
from kubectl_sew.check.gather import STEPS, gather
from kubectl_sew.check.verdict import CheckOutcome, CheckResult
from kubectl_sew.cli.cluster_options import api_group_option, kubectl, secrets_namespace_option
from kubectl_sew.cli.output import echo, print_json, shade
from kubectl_sew.cli.progress import on_stderr
from kubectl_sew.json_text import line
from kubectl_sew.terminal import json_option

_MARKS = {
    CheckResult.OK: ("\N{CHECK MARK}", "green"),
    CheckResult.FAILED: ("\N{BALLOT X}", "red"),
    CheckResult.UNKNOWN: ("?", "yellow"),
}
_MOST_DETAILS = 10
_LONGEST = 400


@click.command
@json_option
@api_group_option
@secrets_namespace_option
@click.pass_context
def check(ctx: click.Context, output: str | None, api_group: str | None, secrets_namespace: str) -> int:
    """Find out what is wrong with an installation, and what to do.

    A check marked ? could not be made. Exit codes: 0 nothing is wrong, 1 something is.
    """
    outcomes = _outcomes(ctx, secrets_namespace, api_group or "")
    wrong = sum(outcome.verdict.result is CheckResult.FAILED for outcome in outcomes)
    if output:
        report = {"ok": not wrong, "checks": [outcome.to_object() for outcome in outcomes]}
        print_json(report)
    else:
        echo("\n".join(for_people(outcomes)))
    return 1 if wrong else 0


def _outcomes(ctx: click.Context, secrets_namespace: str, group: str) -> Sequence[CheckOutcome]:
    bar, done = on_stderr(STEPS), count()

    def step(what: str) -> None:
        bar.show(next(done), f"asking for {what}")

    facts = gather(kubectl(ctx), secrets_namespace, group, time.time, step)
    bar.clear()
    return list(judge(facts))


def for_people(outcomes: Sequence[CheckOutcome]) -> Iterable[str]:
    """Yield a line for each check below its group's heading; below a failure what is wrong, what to do, and a link."""
    group = ""
    for outcome in outcomes:
        if outcome.group != group:
            yield from ([""] if group else [])
            yield from (outcome.group, "-" * len(outcome.group))
            group = outcome.group
        yield from _lines(outcome)
    wrong = sum(outcome.verdict.result is CheckResult.FAILED for outcome in outcomes)
    yield ""
    yield f"{wrong} of {len(outcomes)} checks failed" if wrong else "Nothing is wrong"


def _lines(outcome: CheckOutcome) -> Iterable[str]:
    verdict = outcome.verdict
    mark, colour = _MARKS[verdict.result]
    yield f"{shade(mark, colour)} {outcome.check.title}"
    shown = verdict.details[:_MOST_DETAILS]
    yield from (f"    {line(detail, _LONGEST)}" for detail in shown)
    if len(verdict.details) > len(shown):
        yield f"    … and {len(verdict.details) - len(shown)} more"
    if verdict.result is CheckResult.FAILED:
        yield f"    what to do: {verdict.hint}"
        yield f"    see {outcome.link}"
