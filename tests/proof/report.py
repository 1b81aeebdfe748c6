"""The verdict as a table. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from kubectl_sew.text import plural
from tests.proof.history import History
from tests.proof.judge import by_webhook
from tests.proof.verdict import KINDS, Verdict

SHOWN = 5
"""Violations of one kind that are shown in full."""


def report(verdict: Verdict, history: History, skipped: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the table; where something is wrong, examples and what happened to their webhooks."""
    figures = verdict.figures
    for name in sorted(figures, key=lambda name: (name.startswith("faults"), name.startswith("doubled"))):
        yield f"  {name:<40} {figures[name]:>10,}"
    yield ""
    for kind in KINDS:
        yield f"  {kind:<40} {verdict.count(kind):>10,}"
    yield from (f"  not tried: {reason}" for reason in skipped)
    for kind in KINDS:
        of_kind = [violation.text for violation in verdict.violations if violation.kind == kind]
        yield from (f"{kind}: {text}" for text in of_kind[:SHOWN])
    for webhook, changes in by_webhook(history.changes).items():
        if any(violation.text.startswith(f"{webhook}:") for violation in verdict.violations):
            for change in changes:
                made = change.definition
                times = f"{change.began:.2f} s, used from {change.settled:.2f} s on"
                what = f"{made.state.value}, {made.query}, token {made.token}, secret {made.secret}"
                what += f", digest {made.digest} s {made.group_by}".rstrip() if made.digest else ""
                yield f"  {webhook}: {times}: {what}"


def summary(figures: Mapping[str, object], wrong: Sequence[str], command: str) -> tuple[list[str], bool]:
    """Return the figures and the last line, and whether every promise was kept."""
    lines = [f"  {name:<60} {value:>10}" for name, value in sorted(figures.items())]
    if not wrong:
        return [*lines, "", f"Every promise was kept: {command}"], True
    lines += wrong[:SHOWN] if figures else []
    return [*lines, "", f"{plural(len(wrong), 'violation')}. Repeat it: {command}"], False
