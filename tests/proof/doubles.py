"""Judges what was accepted twice: as the same message, or as a part of another one. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from tests.proof.disruptions import POWER, is_cut, is_late, later_by_faults
from tests.proof.groups import definitions_of, group_of, is_regrouped, was_given_up
from tests.proof.history import Arrival, Change, Disruption, Limits, Written
from tests.proof.verdict import Verdict, Violation

Key = tuple[str, str]
"""Webhook and group."""


def check_doubles(
    arrivals: Mapping[str, Sequence[Arrival]],
    changes: Mapping[str, Sequence[Change]],
    events: Mapping[int, Written],
    cut: Sequence[Disruption],
    limits: Limits,
    verdict: Verdict,
) -> None:
    """Add what is wrong: a request twice needs a fault, which excuses what one agent has in flight at once.

    That is one message of a group where a webhook has digests. `cut`: in their order.
    """
    made_by = {webhook: definitions_of(made) for webhook, made in changes.items()}
    by_cause: Counter[int] = Counter()
    used: set[tuple[int, Key]] = set()
    for first, again in _doubles(arrivals):
        verdict.figures["doubled"] += 1
        if is_late(first, limits):
            verdict.figures["doubled after a late answer"] += 1
            continue
        known = later_by_faults(first.ended, cut, limits)
        causes = [number for number, fault in enumerate(cut) if is_cut(first, again, fault, known, limits)]
        group = group_of(first, made_by.get(first.webhook, {}), events)
        key = None if group is None else (first.webhook, group)
        free = [number for number in causes if key is None or (number, key) not in used]
        if not free:
            what = "was accepted" if not causes else "is the second one of its group after one fault: it was accepted"
            text = f"{first.shown} {what} at {first.ended:.2f} s, and sent at {again.began:.2f} s"
            verdict.violations.append(Violation("doubled", f"{first.webhook}: {text}"))
            continue
        cause = min(free, key=lambda number: by_cause[number])  # of faults close together each has its own in flight
        by_cause[cause] += 1
        verdict.figures[f"doubled after a {cut[cause].kind}"] += 1
        if key:
            used.add((cause, key))
    verdict.figures["most doubled after one fault"] = max(by_cause.values(), default=0)
    for cause, count in by_cause.items():
        if count > limits.workers and cut[cause].kind != POWER:
            fault = f"the {cut[cause].kind} at {cut[cause].began:.2f} s"
            text = f"{count} after {fault}: {limits.workers} were in flight at most"
            verdict.violations.append(Violation("doubled", text))
    for webhook, arrived in arrivals.items():
        _check_parts(webhook, arrived, changes.get(webhook, ()), limits, verdict)


def _doubles(arrivals: Mapping[str, Sequence[Arrival]]) -> Iterator[tuple[Arrival, Arrival]]:
    """Yield each message that was accepted, with the next request of the same id that was accepted, too."""
    for arrived in arrivals.values():
        accepted: dict[str, list[Arrival]] = defaultdict(list)
        for arrival in arrived:
            if arrival.accepted:
                accepted[arrival.identity].append(arrival)
        for same in accepted.values():
            yield from pairwise(same)


def _check_parts(
    webhook: str, arrived: Sequence[Arrival], changes: Sequence[Change], limits: Limits, verdict: Verdict
) -> None:
    """Add events that were accepted in two messages of different ids."""
    last: dict[int, Arrival] = {}
    found: set[tuple[str, str]] = set()
    for arrival in arrived:
        for number in arrival.events if arrival.accepted else ():
            first = last.setdefault(number, arrival)
            last[number] = arrival
            pair = (first.identity, arrival.identity)
            if first.identity == arrival.identity or pair in found:
                continue
            found.add(pair)
            verdict.figures["doubled in another message"] += 1
            regrouped = is_regrouped(changes, first.began, arrival.began, limits)
            if not regrouped and not was_given_up(first, arrival, arrived):
                text = f"event {number} was accepted in {first.shown} at {first.ended:.2f} s, and in {arrival.shown}"
                verdict.violations.append(Violation("doubled", f"{webhook}: {text} at {arrival.ended:.2f} s"))
