"""Judges a history: what was lost, altered, sent twice or too early, to whom nothing was due, and wrong books. Pure.

Each check knows why a thing may happen all the same, and excuses nothing else: a request twice needs a fault that cut
off the first one or kept its result from the store, and each such fault excuses as many as one agent has in flight.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from tests.proof.disruptions import CLOCK, POWER, STOP, STORE, later_by_stops
from tests.proof.doubles import check_doubles
from tests.proof.groups import crowded, is_rest
from tests.proof.history import (
    NEVER,
    OTHER_ID,
    Arrival,
    Books,
    Change,
    Disruption,
    History,
    Limits,
    State,
    Written,
)
from tests.proof.verdict import Verdict, Violation

_CLOCKS = 0.05
"""Seconds by which two clocks of one machine may differ."""


class Due(Enum):
    """What an event means for a webhook."""

    MUST = "must arrive"
    MAY = "may arrive: it was written or read while the webhook changed"
    NEVER = "must not arrive"


def judge(history: History, limits: Limits) -> Verdict:
    """Return the verdict on a history."""
    verdict = Verdict()
    changes = by_webhook(history.changes)
    arrivals: dict[str, list[Arrival]] = {webhook: [] for webhook in changes}
    for arrival in sorted(history.arrivals, key=lambda arrival: arrival.began):
        arrivals.setdefault(arrival.webhook, []).append(arrival)
    read = _read_by(history.events, history.arrivals, ordered=limits.ordered)
    events = {event.number: event for event in history.events}
    cut = sorted(history.disruptions, key=lambda disruption: disruption.began)
    for webhook, arrived in arrivals.items():
        due = {
            event.number: due_for(event, changes.get(webhook, ()), limits, read.get(event.number, NEVER))
            for event in history.events
        }
        found = _Found(webhook, arrived, due, events, verdict)
        found.check_losses(history.books.get(webhook))
        found.check_requests(changes.get(webhook, ()), limits)
        verdict.violations += _early(webhook, arrived, changes.get(webhook, ()), cut, limits)
        verdict.violations += _stale(webhook, arrived, changes.get(webhook, ()), cut, limits)
        verdict.violations += crowded(
            webhook, arrived, changes.get(webhook, ()), events, limits, begins=history.begins, cut=cut
        )
        if webhook in history.books:
            forgotten = any(_forgotten(changes.get(webhook, ()), limits))
            verdict.violations += _wrong_books(webhook, history.books[webhook], found, exact=not forgotten)
    check_doubles(arrivals, changes, events, cut, limits, verdict)
    _count(history, verdict)
    verdict.violations += [Violation("problem", problem) for problem in history.problems]
    return verdict


def due_for(event: Written, changes: Sequence[Change], limits: Limits, read_by: float = NEVER) -> Due:
    """Return what an event means for a webhook with these changes, in their order.

    `read_by`: moment at which the event had been read for whoever reads where the source stands.
    """
    outcomes: set[bool] = set()
    if not limits.ordered and changes and event.at <= changes[0].settled + limits.dated:
        outcomes.add(False)  # it may be from before the webhook's start
    outcomes |= _once_forgotten(event, changes, limits)
    for change, following in _with_following(changes):
        until = following.settled + limits.dated if following else NEVER
        if event.at > until:
            continue
        definition = change.definition
        if definition.state is State.ENABLED:
            outcomes.add(event.severity >= definition.severity)
        elif definition.state is State.DISABLED:
            outcomes.add(False)
        elif _is_forgotten(change, following, limits):
            read_by = NEVER
        if following and _was_read_before(event, read_by, definition.state, following, limits):
            break
    if outcomes == {True} and not event.gone:
        return Due.MUST
    return Due.NEVER if outcomes == {False} else Due.MAY


def _once_forgotten(event: Written, changes: Sequence[Change], limits: Limits) -> set[bool]:
    """Return what may become of an event of a webhook that was forgotten since, and came back.

    It may have waited still. In the order of a file, it may be read again: a new webhook begins with the file.
    """
    outcomes: set[bool] = set()
    for back in _forgotten(changes, limits):
        if event.at <= back.settled + limits.dated:
            outcomes.add(False)
            if limits.ordered and back.definition.state is State.ENABLED:
                outcomes.add(event.severity >= back.definition.severity)
    return outcomes


def _was_read_before(event: Written, read_by: float, state: State, following: Change, limits: Limits) -> bool:
    """Return whether an event was surely read in one state, and no other one counts for it.

    What a webhook had matched, or was behind with, when it is disabled stays its own. Of what was read meanwhile it
    gets nothing. All else may be read again, or late: under another query, or after a deletion.
    """
    if state is State.ENABLED:
        return following.definition.state is State.DISABLED and read_by < following.began
    return state is State.DISABLED and (read_by if limits.ordered else event.at + limits.dated) < following.began


def _with_following(changes: Sequence[Change]) -> Iterator[tuple[Change, Change | None]]:
    yield from zip(changes, [*changes[1:], None], strict=True)


def _is_forgotten(change: Change, following: Change | None, limits: Limits) -> bool:
    """Return whether an absent webhook may have been away for so long that its deliveries were dropped."""
    return following is None or following.settled - change.began >= limits.forget_after


def _forgotten(changes: Sequence[Change], limits: Limits) -> Iterator[Change]:
    """Yield the changes by which the webhook came back, or did not, after it may have been forgotten."""
    for change, following in _with_following(changes):
        if change.definition.state is State.ABSENT and _is_forgotten(change, following, limits):
            yield following or Change(change.definition, change.began)


def by_webhook(changes: Iterable[Change]) -> dict[str, list[Change]]:
    """Return each webhook's changes, in their order."""
    found: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        found[change.definition.webhook].append(change)
    return dict(found)


def _read_by(events: Sequence[Written], arrivals: Sequence[Arrival], *, ordered: bool) -> dict[int, float]:
    """Return when each event had been read: once it, or where `ordered` a later one, arrived anywhere."""
    first: dict[int, float] = {}
    for arrival in arrivals:
        for number in arrival.events:
            first[number] = min(first.get(number, NEVER), arrival.began)
    if not ordered:
        return first
    latest, read = NEVER, {}
    for event in sorted(events, key=lambda event: event.number, reverse=True):
        latest = read[event.number] = min(latest, first.get(event.number, NEVER))
    return read


@dataclass(slots=True)
class _Found:
    """What arrived for one webhook, beside what was due."""

    webhook: str
    arrived: Sequence[Arrival]
    due: Mapping[int, Due]
    events: Mapping[int, Written]
    verdict: Verdict
    accepted: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.accepted = {number for arrival in self.arrived if arrival.accepted for number in arrival.events}

    def is_bad(self, number: int) -> bool:
        return self.webhook in self.events[number].bad

    def check_losses(self, books: Books | None) -> None:
        dead = books.dead_letters if books else frozenset()
        for number, due in self.due.items():
            self.verdict.figures[due.name.lower()] += 1
            if due is not Due.MUST or number in self.accepted:
                continue
            if not self.is_bad(number):
                self._add("lost", f"event {number}, written at {self.events[number].at:.2f} s, never arrived")
            elif books and number not in dead:
                self._add("lost", f"event {number}, which is refused for good, is no dead letter")

    def check_requests(self, changes: Sequence[Change], limits: Limits) -> None:
        for arrival in self.arrived:
            excused = arrival.flaw == OTHER_ID and is_rest(arrival, self.arrived, changes, limits)
            if arrival.flaw and not excused:
                self._add("altered", f"{arrival.shown}: {arrival.flaw}")
            for number in arrival.events:
                if self.due.get(number) in (None, Due.NEVER):
                    self._add("unwanted", f"event {number} was sent at {arrival.began:.2f} s, and not selected")

    def _add(self, kind: str, text: str) -> None:
        self.verdict.violations.append(Violation(kind, f"{self.webhook}: {text}"))


def _early(
    webhook: str, arrived: Sequence[Arrival], changes: Sequence[Change], cut: Sequence[Disruption], limits: Limits
) -> Iterator[Violation]:
    """Yield requests before the end of a Retry-After that their agent knew."""
    holds: list[tuple[float, float]] = []
    for arrival in arrived:
        holds = [hold for hold in holds if hold[1] > arrival.began]
        for known, until in holds:
            if known < arrival.began < until - _CLOCKS:
                sent = f"{arrival.shown} was sent {arrival.began - known:.2f} s after it was known"
                text = f"{webhook}: {until - arrival.began:.2f} s before a Retry-After's end {sent}"
                yield Violation("early", text)
                break
        if arrival.retry_after and arrival.ended < NEVER:
            holds += _hold(arrival, changes, cut, limits)


def _hold(
    refused: Arrival, changes: Sequence[Change], cut: Sequence[Disruption], limits: Limits
) -> list[tuple[float, float]]:
    """Return from when on, and until when, nothing may be sent after such an answer; [] where it may be unknown."""
    known, until = later_by_stops(refused.ended, cut, limits), refused.ended + refused.retry_after
    during = [fault for fault in cut if fault.ended >= refused.ended and fault.began <= until]
    forgets = any(fault.kind in (STORE, CLOCK, POWER) for fault in during)
    if any(fault.kind not in (STORE, CLOCK, STOP) and (forgets or fault.began <= known) for fault in during):
        return []
    moved = [change.began for change in changes if refused.began < change.settled and change.began < until]
    return [(known, min([until, *moved]))]


def _stale(
    webhook: str, arrived: Sequence[Arrival], changes: Sequence[Change], cut: Sequence[Disruption], limits: Limits
) -> Iterator[Violation]:
    """Yield requests that were made by settings which had been replaced."""
    for change in changes:
        if change.settled == NEVER:
            yield Violation(
                "unsettled", f"{webhook}: the change at {change.began:.2f} s ({_shown(change)}) had no effect"
            )
    replaced = {
        change.definition.generation: following.settled for change, following in _with_following(changes) if following
    }
    for arrival in arrived:
        since = replaced.get(arrival.generation, NEVER)
        if arrival.began > since + limits.effect and arrival.began > later_by_stops(since, cut, limits) + limits.effect:
            text = f"{arrival.shown} was sent {arrival.began - since:.2f} s after its settings were replaced"
            yield Violation("stale", f"{webhook}: {text}")


def _shown(change: Change) -> str:
    definition = change.definition
    return f"generation {definition.generation}, {definition.state.value}, {definition.query}"


def _wrong_books(webhook: str, books: Books, found: _Found, *, exact: bool) -> Iterator[Violation]:
    def wrong(what: str) -> Violation:
        return Violation("books", f"{webhook}: {what}")

    if books.seen != books.delivered + books.pending + books.dead + books.dropped:
        yield wrong(f"seen {books.seen} is not the sum of the others: {books}")
    late = sum(due is Due.MAY and number not in found.accepted for number, due in found.due.items())
    if books.pending > late:
        yield wrong(f"{books.pending} are pending at the end, and {late} of those that may arrive did not")
    unjust = [number for number in books.dead_letters if not found.is_bad(number)]
    if unjust:
        yield wrong(f"{len(unjust)} dead letters were never refused for good, e.g. event {unjust[0]}")
    if not exact:
        return
    if books.delivered != len(found.accepted):
        yield wrong(f"delivered {books.delivered}, but {len(found.accepted)} were accepted")
    if books.dead != len(books.dead_letters):
        yield wrong(f"dead {books.dead}, but there are {len(books.dead_letters)} dead letters")
    if books.dropped:
        yield wrong(f"{books.dropped} were dropped, and nobody asked for it")


def _count(history: History, verdict: Verdict) -> None:
    figures = verdict.figures
    figures["events"] = len(history.events)
    figures["requests"] = len(history.arrivals)
    figures["digests"] = sum(len(arrival.events) > 1 for arrival in history.arrivals)
    figures["events in digests"] = sum(len(arrival.events) for arrival in history.arrivals if len(arrival.events) > 1)
    figures["accepted"] = sum(arrival.accepted for arrival in history.arrivals)
    figures["refused"] = sum(arrival.status >= 300 for arrival in history.arrivals)
    figures["without an answer"] = sum(not arrival.status for arrival in history.arrivals)
    figures["with Retry-After"] = sum(bool(arrival.retry_after) for arrival in history.arrivals)
    figures["changes of webhooks"] = len(history.changes)
    for fault in history.disruptions:
        figures[f"faults: {fault.kind}"] += 1
