"""`--once`: whether everything has ended, and how it went. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from kubectl_sew.text import plural
from sew_agent.delivery import retry
from sew_agent.store.records import Counters, ReceiverState

TIMED_OUT = 124


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """The exit code and what is not well: a webhook's name (none for a manifest that cannot be read) and why."""

    code: int
    problems: Sequence[tuple[str, str]] = ()


def to_probe(receivers: Mapping[str, ReceiverState]) -> list[ReceiverState]:
    """Parked webhooks, to be tried with different events at the start of this run instead of at their hour."""
    return [retry.to_probe(receiver) for receiver in receivers.values() if receiver.parked]


def unfinished(
    counters: Sequence[Counters], receivers: Mapping[str, ReceiverState], sending: Collection[str]
) -> list[str]:
    """Webhooks that have deliveries which can still end in this run; a parked one is finished when it was probed."""
    return [
        each.webhook
        for each in counters
        if each.pending and each.webhook in sending and not _probed(receivers.get(each.webhook))
    ]


def verdict(
    counters: Sequence[Counters],
    before: Mapping[str, int],
    sending: Collection[str],
    refused: Mapping[str, str],
    whole: Sequence[str],
) -> RunVerdict:
    """How a run ended. `before`: webhook -> dead letters at its start; `refused`: invalid webhooks and why; `whole`:
    what is wrong with the run as a whole, e.g. manifests that cannot be read, whose webhooks nobody knows.
    """
    problems = [(each.webhook, _died(each.dead - before.get(each.webhook, 0))) for each in counters]
    problems += [
        (each.webhook, f"parked, {each.pending} waiting: {each.last_error}")
        for each in counters
        if each.pending and each.webhook in sending
    ]
    problems += [(name, f"refused: {why}") for name, why in refused.items()]
    problems += [("", problem) for problem in whole]
    found = [(name, trouble) for name, trouble in problems if trouble]
    return RunVerdict(1 if found else 0, found)


def nothing_done(without: str, source: str, *, bad_lines: int, events: int) -> list[str]:
    """Why a run says nothing. `without`: where there should be webhooks, and are none; "" where there are."""
    found = [f"there is no webhook in {without}: nothing could be sent"] if without else []
    if bad_lines and not events:
        lines = "1 line" if bad_lines == 1 else f"{bad_lines:,} lines"
        found.append(f"no event was read from {source}: {lines} without a JSON object, see `bad_line` in this log")
    return found


def filled_by_the_dead(counters: Sequence[Counters], room: Mapping[str, float]) -> dict[str, str]:
    """Webhooks for which nothing can be read, since dead letters alone fill their share; and what to do."""
    why = "dead letters fill its share of the store, so nothing more is read for it: replay or purge them"
    return {each.webhook: why for each in counters if not each.pending and room.get(each.webhook, 0.0) >= 1.0}


def _died(count: int) -> str:
    return f"{count} {plural(count, 'dead letter')} in this run" if count > 0 else ""


def _probed(receiver: ReceiverState | None) -> bool:
    return receiver is not None and retry.probed(receiver)
