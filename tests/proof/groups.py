"""Judges what a webhook with `digest` is sent: a group of its events has one message within that time. Pure.

What is promised is in docs/digests.md, and no more is excused than it says there.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.proof.disruptions import is_late, later_by_stops
from tests.proof.history import NEVER, Arrival, Change, Definition, Disruption, Limits, State, Written
from tests.proof.verdict import Violation

FULL = 1_000
"""Events of a digest that does not wait: more do not go into one."""
GIVEN_UP = 5
"""Requests with an event, in whichever digests, after which one that failed is sent in halves."""
AHEAD = 20_000
"""Events of a webhook that are known ahead: where so many wait, nothing waits for its time."""
_CLOCKS = 0.05
"""Seconds by which two moments of one machine may be read wrong."""


def definitions_of(changes: Sequence[Change]) -> dict[int, Definition]:
    """Return a webhook's definitions by their generations."""
    return {change.definition.generation: change.definition for change in changes}


def group_of(arrival: Arrival, made_by: Mapping[int, Definition], events: Mapping[int, Written]) -> str | None:
    """Return the group of a request's events; None where the webhook had no digests as it was made."""
    definition = made_by.get(arrival.generation)
    if definition is None or not definition.digest:
        return None
    first = events.get(arrival.events[0])
    return first.kind if first and definition.group_by else ""


def is_regrouped(changes: Sequence[Change], since: float, until: float, limits: Limits) -> bool:
    """Return whether what goes together may have changed meanwhile."""
    changed = [
        after for before, after in pairwise(changes) if _gathers(before.definition) != _gathers(after.definition)
    ]
    return any(after.began <= until and after.settled + limits.effect >= since for after in changed)


def is_rest(arrival: Arrival, arrived: Sequence[Arrival], changes: Sequence[Change], limits: Limits) -> bool:
    """Return whether a digest keeps the id under which it went with more events: they went alone meanwhile.

    The whole of it may never have arrived.
    """
    if len(arrival.events) < 2:
        return False
    before = [one for one in arrived if one.identity == arrival.identity and one.began < arrival.began]
    whole = [one for one in before if not one.flaw and set(arrival.events) < set(one.events)]
    if before and not whole:
        return False
    return is_regrouped(changes, min((one.began for one in whole), default=0.0), arrival.began, limits)


def was_given_up(first: Arrival, again: Arrival, arrived: Sequence[Arrival]) -> bool:
    """Return whether a digest had failed so often that its events go in halves, although it may have arrived."""
    members = set(first.events)
    tried = Counter(number for one in arrived if one.began < again.began for number in members.intersection(one.events))
    return len(members) > 1 and max(tried.values(), default=0) >= GIVEN_UP


def crowded(
    webhook: str,
    arrived: Sequence[Arrival],
    changes: Sequence[Change],
    events: Mapping[int, Written],
    limits: Limits,
    *,
    begins: Sequence[float],
    cut: Sequence[Disruption],
) -> Iterator[Violation]:
    """Yield requests that came too soon after another one of their group, or before one that may have arrived.

    `arrived`: in their order. `begins`: moments at which an agent began to send, and did not know what was before.
    """
    made_by = definitions_of(changes)
    lowest = min((definition.severity for definition in made_by.values()), default=0)
    selected = sorted(event.at for event in events.values() if event.severity >= lowest)
    last_sent = {number: arrival.began for arrival in arrived for number in arrival.events}
    seen, groups = _Seen(changes, begins, cut, limits, selected, last_sent), defaultdict[str, _Group](_Group)
    for arrival in arrived:
        key = group_of(arrival, made_by, events)
        if key is None:
            seen.note_without_digests(arrival)
            continue
        group, within = groups[key], made_by[arrival.generation].digest
        for wrong in (seen.beside(arrival, group), seen.too_soon(arrival, group, within)):
            if wrong:
                what = f"{arrival.shown} of {key or 'all'}, sent at {arrival.began:.2f} s"
                yield Violation("crowded", f"{webhook}: {what}, {wrong}")
        seen.note(arrival, group)


@dataclass(slots=True)
class _Group:
    accepted: Arrival | None = None
    """Its last message."""
    doubtful: dict[str, Arrival] = field(default_factory=dict)
    """Its digests that may have arrived, by their ids: each is to be sent again, before anything else."""


@dataclass(slots=True)
class _Seen:
    """What is known of a webhook's messages so far."""

    changes: Sequence[Change]
    begins: Sequence[float]
    cut: Sequence[Disruption]
    limits: Limits
    selected: Sequence[float]
    """When each event was written that it may be sent."""
    last_sent: Mapping[int, float]
    """When each event was sent for the last time."""
    tried: Counter[int] = field(default_factory=Counter)
    """How often each event was sent, in whichever messages."""
    numbers: dict[str, int] = field(default_factory=dict)
    """The messages, by their ids, in the order in which they were seen first."""
    ended: set[str] = field(default_factory=set)
    """Messages that were taken, refused for good, or given up, by their ids."""
    possible: set[str] = field(default_factory=set)
    """Messages that may have arrived, by their ids."""
    halved: set[int] = field(default_factory=set)
    """Events of digests that were refused for good, or failed again and again: they go in halves, at once."""
    done: set[int] = field(default_factory=set)
    """Events that were taken, or refused for good."""

    def beside(self, arrival: Arrival, group: _Group) -> str:
        for identity, digest in group.doubtful.items():
            if identity != arrival.identity and not self._is_freed(digest, arrival):
                return f"before {digest.shown} of {digest.began:.2f} s, which may have arrived, was sent again"
        return ""

    def too_soon(self, arrival: Arrival, group: _Group, within: float) -> str:
        last = group.accepted
        if last is None or arrival.identity == last.identity or arrival.identity in self.possible:
            return ""
        waited = arrival.began - last.began
        if waited >= within - _CLOCKS or self._may_go(arrival, last):
            return ""
        return f"{waited:.2f} s after {last.shown}: its digest is {within:g} s"

    def note(self, arrival: Arrival, group: _Group) -> None:
        """Learn of a request. A busy receiver may have read it long after others that were sent after it."""
        identity, is_digest = arrival.identity, len(arrival.events) > 1
        self.tried.update(arrival.events)
        if arrival.accepted or (arrival.status == 400 and not is_digest):
            self.done.update(arrival.events)
        number = self.numbers.setdefault(identity, len(self.numbers))
        refused = 400 <= arrival.status < 500
        if not refused:
            self.possible.add(identity)
        if arrival.accepted and (group.accepted is None or number >= self.numbers[group.accepted.identity]):
            group.accepted = arrival
        if is_digest and arrival.status == 401:
            self.halved.update(arrival.events)
        if (is_digest and arrival.status == 400) or self._is_given_up(arrival):
            self.halved.update(arrival.events)
            self.ended.add(identity)
        elif arrival.accepted and not self._was_not_heard(arrival):
            self.ended.add(identity)
        elif is_digest and not refused:
            group.doubtful.setdefault(identity, arrival)
        if identity in self.ended:
            group.doubtful.pop(identity, None)

    def note_without_digests(self, arrival: Arrival) -> None:
        """Learn of a request that was made while the webhook had none: it may be sent again as it was."""
        self.tried.update(arrival.events)
        if arrival.accepted or arrival.status == 400:
            self.done.update(arrival.events)
        if not 400 <= arrival.status < 500:
            self.possible.add(arrival.identity)

    def _may_go(self, arrival: Arrival, last: Arrival) -> bool:
        since, until = last.began, arrival.began
        return (
            len(arrival.events) >= FULL
            or bisect_right(self.selected, until) - len(self.done) >= AHEAD
            or not self.halved.isdisjoint(arrival.events)
            or self._is_given_up(last)
            or any(since <= begin <= until + self.limits.in_flight for begin in self.begins)
            or is_regrouped(self.changes, since, until, self.limits)
            or self._was(State.DISABLED, since, until)
            or self._was(State.ABSENT, since, until)
        )

    def _was_not_heard(self, arrival: Arrival) -> bool:
        """Return whether the answer came when its sender had surely given up: one that is paused hears it later.

        So does one that has no processor for so long: then nothing of the message is ever sent again.
        """
        sent_again = any(self.last_sent[number] > arrival.began for number in arrival.events)
        if not (is_late(arrival, self.limits) and sent_again):
            return False
        return arrival.ended >= later_by_stops(arrival.began + self.limits.timeout, self.cut, self.limits)

    def _is_given_up(self, arrival: Arrival) -> bool:
        return max(self.tried[number] for number in arrival.events) >= GIVEN_UP

    def _is_freed(self, digest: Arrival, arrival: Arrival) -> bool:
        since, until = digest.began, arrival.began
        return is_regrouped(self.changes, since, until, self.limits) or self._was(State.ABSENT, since, until)

    def _was(self, state: State, since: float, until: float) -> bool:
        for change, following in zip(self.changes, [*self.changes[1:], None], strict=True):
            ended = following.settled + self.limits.effect if following else NEVER
            if change.definition.state is state and change.began <= until and ended >= since:
                return True
        return False


def _gathers(definition: Definition) -> tuple[int, str]:
    return definition.digest, definition.group_by
