"""`--once`: the end of a run, and its exit code. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from kubectl_sew.text import plural
from sew_agent.delivery import retry
from sew_agent.store.records import Counters, ReceiverState

TIMED_OUT = 124


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """Exit code and problems: a webhook's name ("" for a manifest that cannot be read) and a reason."""

    code: int
    problems: Sequence[tuple[str, str]] = ()


def to_probe(receivers: Mapping[str, ReceiverState]) -> list[ReceiverState]:
    """Return the states of parked webhooks, to be probed at the start of this run instead of at their hour."""
    return [retry.to_probe(receiver) for receiver in receivers.values() if receiver.parked]


def unfinished(
    counters: Sequence[Counters], receivers: Mapping[str, ReceiverState], sending: Collection[str]
) -> list[str]:
    """Return the webhooks whose deliveries can still end in this run; a parked one is finished when it was probed."""
    return [
        row.webhook
        for row in counters
        if row.pending and row.webhook in sending and not _done_probing(receivers.get(row.webhook))
    ]


def verdict(
    counters: Sequence[Counters],
    before: Mapping[str, int],
    sending: Collection[str],
    refused: Mapping[str, str],
    whole: Sequence[str],
) -> RunVerdict:
    """Return the verdict on a run.

    `before`: webhook -> dead letters at its start; `refused`: invalid webhooks and why; `whole`: problems of the run as
    a whole, e.g. manifests that cannot be read.
    """
    problems = [(row.webhook, _died(row.dead - before.get(row.webhook, 0))) for row in counters]
    problems += [
        (row.webhook, f"parked, {row.pending} waiting: {row.last_error}")
        for row in counters
        if row.pending and row.webhook in sending
    ]
    problems += [(name, f"refused: {why}") for name, why in refused.items()]
    problems += [("", problem) for problem in whole]
    failures = [(name, problem) for name, problem in problems if problem]
    return RunVerdict(1 if failures else 0, failures)


def nothing_done(without: str, source: str, *, bad_lines: int, events: int) -> list[str]:
    """Return the problems of a run that did nothing. `without`: the folder without webhooks; "" where it has some."""
    problems = [f"there is no webhook in {without}: nothing could be sent"] if without else []
    if bad_lines and not events:
        lines = f"{bad_lines:,} {plural(bad_lines, 'line')}"
        problems.append(f"no event was read from {source}: {lines} without a JSON object, see `bad_line` in this log")
    return problems


def nothing_checked(webhooks: int, source: str, *, events: int) -> str:
    """Return why a run that ended well has checked no receiver; "" where it had both webhooks and events."""
    if not webhooks:
        return "there is no webhook: nothing was read or sent, so this run has checked nothing"
    if events:
        return ""
    return f"no new event was read from {source}: this run has checked no more than what waited from before"


def filled_by_the_dead(counters: Sequence[Counters], room: Mapping[str, float]) -> dict[str, str]:
    """Return the webhooks whose share of the store dead letters fill, so that nothing is read; and what to do."""
    why = "dead letters fill its share of the store, so nothing more is read for it: replay or purge them"
    return {row.webhook: why for row in counters if not row.pending and room.get(row.webhook, 0.0) >= 1.0}


def _died(count: int) -> str:
    return f"{count} {plural(count, 'dead letter')} in this run" if count > 0 else ""


def _done_probing(receiver: ReceiverState | None) -> bool:
    return receiver is not None and retry.is_probed(receiver)
