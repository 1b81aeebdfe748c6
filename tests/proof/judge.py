"""Judges a history: what was lost, altered, sent twice or too early, to whom nothing was due, and wrong books. Pure.

Each check knows why a thing may happen all the same, and excuses nothing else: a request twice needs a fault that cut
off the first one or kept its result from the store, and each such fault excuses as many as one agent has in flight.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

from tests.proof.history import NEVER, Arrival, Books, Change, Disruption, History, Limits, State, Written

KINDS = ("lost", "altered", "unwanted", "doubled", "early", "stale", "books", "unsettled", "problem")
"""Kinds of violations, in the order in which they are shown."""
_CLOCKS = 0.05
"""Seconds by which two clocks of one machine may differ."""
_STORE, _STOP, _CLOCK, POWER = "store", "stop", "clock", "power failure"
"""Kinds of faults that mean something of their own; all others cut off what is in flight."""


class Due(Enum):
    """What an event means for a webhook."""

    MUST = "must arrive"
    MAY = "may arrive: it was written or read while the webhook changed"
    NEVER = "must not arrive"


@dataclass(frozen=True, slots=True)
class Violation:
    kind: str
    text: str


@dataclass(slots=True)
class Verdict:
    """`figures`: counts by name, for people. It holds where there are no violations."""

    violations: list[Violation] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)

    def count(self, kind: str) -> int:
        return sum(violation.kind == kind for violation in self.violations)


def judge(history: History, limits: Limits) -> Verdict:
    """Return the verdict on a history."""
    verdict = Verdict()
    changes = by_webhook(history.changes)
    arrivals: dict[str, list[Arrival]] = {webhook: [] for webhook in changes}
    for arrival in sorted(history.arrivals, key=lambda arrival: arrival.began):
        arrivals.setdefault(arrival.webhook, []).append(arrival)
    read = _read_by(history.events, history.arrivals, ordered=limits.ordered)
    cut = sorted(history.disruptions, key=lambda disruption: disruption.began)
    for webhook, arrived in arrivals.items():
        due = {
            event.number: due_for(event, changes.get(webhook, ()), limits, read.get(event.number, NEVER))
            for event in history.events
        }
        found = _Found(webhook, arrived, due, {event.number: event for event in history.events}, verdict)
        found.check_losses(history.books.get(webhook))
        found.check_requests()
        verdict.violations += _early(webhook, arrived, changes.get(webhook, ()), cut, limits)
        verdict.violations += _stale(webhook, arrived, changes.get(webhook, ()), cut, limits)
        if webhook in history.books:
            forgotten = any(_forgotten(changes.get(webhook, ()), limits))
            verdict.violations += _wrong_books(webhook, history.books[webhook], found, exact=not forgotten)
    _check_doubles(arrivals, cut, limits, verdict)
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
        first[arrival.event] = min(first.get(arrival.event, NEVER), arrival.began)
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
        self.accepted = {arrival.event for arrival in self.arrived if arrival.accepted}

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

    def check_requests(self) -> None:
        for arrival in self.arrived:
            if arrival.flaw:
                self._add("altered", f"event {arrival.event}: {arrival.flaw}")
            if self.due.get(arrival.event) in (None, Due.NEVER):
                self._add("unwanted", f"event {arrival.event} was sent at {arrival.began:.2f} s, and not selected")

    def _add(self, kind: str, text: str) -> None:
        self.verdict.violations.append(Violation(kind, f"{self.webhook}: {text}"))


def _check_doubles(
    arrivals: Mapping[str, Sequence[Arrival]], cut: Sequence[Disruption], limits: Limits, verdict: Verdict
) -> None:
    by_cause: Counter[int] = Counter()
    for first, again in _doubles(arrivals):
        verdict.figures["doubled"] += 1
        if first.ended - first.began >= limits.timeout / 2:
            verdict.figures["doubled after a late answer"] += 1
            continue
        known = _later_by_faults(first.ended, cut, limits)
        causes = (number for number, fault in enumerate(cut) if _is_cut(first, again, fault, known, limits))
        cause = next(causes, None)
        if cause is None:
            text = f"event {first.event} was accepted at {first.ended:.2f} s, and sent at {again.began:.2f} s"
            verdict.violations.append(Violation("doubled", f"{first.webhook}: {text}"))
        else:
            by_cause[cause] += 1
            verdict.figures[f"doubled after a {cut[cause].kind}"] += 1
    verdict.figures["most doubled after one fault"] = max(by_cause.values(), default=0)
    for cause, count in by_cause.items():
        if count > limits.workers and cut[cause].kind != POWER:
            fault = f"the {cut[cause].kind} at {cut[cause].began:.2f} s"
            text = f"{count} after {fault}: {limits.workers} were in flight at most"
            verdict.violations.append(Violation("doubled", text))


def _doubles(arrivals: Mapping[str, Sequence[Arrival]]) -> Iterator[tuple[Arrival, Arrival]]:
    """Yield each request that was accepted, with the next one of the same event that was accepted, too."""
    for arrived in arrivals.values():
        accepted: dict[int, list[Arrival]] = defaultdict(list)
        for arrival in arrived:
            if arrival.accepted:
                accepted[arrival.event].append(arrival)
        for same in accepted.values():
            yield from pairwise(same)


def _is_cut(first: Arrival, again: Arrival, fault: Disruption, known: float, limits: Limits) -> bool:
    """Return whether a fault came before the result of the first request was in the store: at `known` it should be.

    Who sent it may have been killed before its receiver read it. A power failure may take a result back at any time.
    """
    if fault.kind == POWER:
        return first.began <= fault.ended and fault.began <= again.began
    sent = first.began - limits.in_flight
    return fault.kind != _CLOCK and fault.ended >= sent and fault.began <= min(again.began, known)


def _early(
    webhook: str, arrived: Sequence[Arrival], changes: Sequence[Change], cut: Sequence[Disruption], limits: Limits
) -> Iterator[Violation]:
    """Yield requests before the end of a Retry-After that their agent knew."""
    holds: list[tuple[float, float]] = []
    for arrival in arrived:
        holds = [hold for hold in holds if hold[1] > arrival.began]
        for known, until in holds:
            if known < arrival.began < until - _CLOCKS:
                sent = f"event {arrival.event} was sent {arrival.began - known:.2f} s after it was known"
                text = f"{webhook}: {until - arrival.began:.2f} s before a Retry-After's end {sent}"
                yield Violation("early", text)
                break
        if arrival.retry_after and arrival.ended < NEVER:
            holds += _hold(arrival, changes, cut, limits)


def _hold(
    refused: Arrival, changes: Sequence[Change], cut: Sequence[Disruption], limits: Limits
) -> list[tuple[float, float]]:
    """Return from when on, and until when, nothing may be sent after such an answer; [] where it may be unknown."""
    known, until = _later_by_stops(refused.ended, cut, limits), refused.ended + refused.retry_after
    during = [fault for fault in cut if fault.ended >= refused.ended and fault.began <= until]
    forgets = any(fault.kind in (_STORE, _CLOCK, POWER) for fault in during)
    if any(fault.kind not in (_STORE, _CLOCK, _STOP) and (forgets or fault.began <= known) for fault in during):
        return []
    moved = [change.began for change in changes if refused.began < change.settled and change.began < until]
    return [(known, min([until, *moved]))]


def _later_by_stops(moment: float, cut: Sequence[Disruption], limits: Limits) -> float:
    """Return when an answer of that moment has surely been read, by an agent that is paused meanwhile."""
    known = moment + limits.in_flight
    for fault in cut:
        if fault.kind == _STOP and fault.began <= known and fault.ended >= moment:
            known = max(known, fault.ended + limits.in_flight)
    return known


def _later_by_faults(moment: float, cut: Sequence[Disruption], limits: Limits) -> float:
    """Return when the result of an answer of that moment is surely in the store, if its agent lives on."""
    known = _later_by_stops(moment, cut, limits) + limits.in_flight
    for fault in cut:
        if fault.kind == _STORE and fault.began <= known and fault.ended >= moment:
            known = max(known, fault.ended + limits.effect)
    return known


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
        if (
            arrival.began > since + limits.effect
            and arrival.began > _later_by_stops(since, cut, limits) + limits.effect
        ):
            text = f"event {arrival.event} was sent {arrival.began - since:.2f} s after its settings were replaced"
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
    figures["accepted"] = sum(arrival.accepted for arrival in history.arrivals)
    figures["refused"] = sum(arrival.status >= 300 for arrival in history.arrivals)
    figures["without an answer"] = sum(not arrival.status for arrival in history.arrivals)
    figures["with Retry-After"] = sum(bool(arrival.retry_after) for arrival in history.arrivals)
    figures["changes of webhooks"] = len(history.changes)
    for fault in history.disruptions:
        figures[f"faults: {fault.kind}"] += 1
