"""The judge notices each kind of wrong, and excuses what may be."""

from dataclasses import replace

import pytest

from tests.proof.history import (
    NEVER,
    Change,
    Definition,
    Disruption,
    State,
)
from tests.proof.judge import Due, due_for, judge
from tests.proof.small_history import LIMITS, ON, arrival, books, event, history
from tests.proof.verdict import KINDS

BY_TIME = replace(LIMITS, ordered=False, dated=2.0)
ALL = (arrival(0), arrival(1), arrival(2))
RIGHT = history(*ALL, books=books(delivered=3))
LIMITED = arrival(0, 11.0, 429, retry_after=3.0)
BAD = event(2, bad=frozenset({"w"}))
REFUSED = arrival(2, status=400)
WRONG = {
    "lost": history(*ALL[:2]),
    "lost, for it was only refused": history(*ALL[:2], arrival(2, status=503)),
    "lost, for it was refused for good and is no dead letter": history(
        *ALL[:2], REFUSED, events=[event(0), event(1), BAD], books=books(delivered=2)
    ),
    "altered": history(*ALL[:2], arrival(2, flaw="altered in severity")),
    "unwanted, for it is none of the events": history(*ALL, arrival(-1)),
    "unwanted, for it is not selected": history(*ALL, arrival(3), events=[*RIGHT.events, event(3, severity=49)]),
    "unwanted, although it was refused": history(
        *ALL, arrival(3, status=503), events=[*RIGHT.events, event(3, severity=49)]
    ),
    "doubled": history(*ALL, arrival(2, 12.0)),
    "doubled long after a kill": history(*ALL, arrival(2, 12.0), disruptions=[Disruption("kill", 10.0, 10.4)]),
    "doubled by a kill that came when its result was known": history(
        *ALL, arrival(2, 15.0), disruptions=[Disruption("kill", 13.0, 13.1)]
    ),
    "doubled, more than were in flight": history(
        *ALL, *(arrival(number, 12.0) for number in range(3)), disruptions=[Disruption("kill", 11.05, 11.06)]
    ),
    "early": history(*ALL[1:], LIMITED, arrival(0, 12.5)),
    "early, for another event": history(*ALL, LIMITED, arrival(3, 13.9), events=[*RIGHT.events, event(3)]),
    "early, after a kill that came when it was known": history(
        *ALL[1:], LIMITED, arrival(0, 13.5), disruptions=[Disruption("kill", 12.0, 12.1)]
    ),
    "early, for the longest of two counts": history(
        *ALL[1:], LIMITED, arrival(1, 11.2, 429, retry_after=1.0), arrival(0, 13.5)
    ),
    "stale": history(
        *ALL,
        arrival(2, 23.0, 503),
        changes=[Change(ON, 0.0, 1.0), Change(replace(ON, generation=1), 19.0, 20.0)],
    ),
    "books: pending": replace(RIGHT, books=books(delivered=3, seen=4, pending=1)),
    "books: sum": replace(RIGHT, books=books(delivered=3, seen=4)),
    "books: delivered": replace(RIGHT, books=books(delivered=2)),
    "books: dropped": replace(RIGHT, books=books(delivered=3, seen=4, dropped=1)),
    "books: dead": replace(RIGHT, books=books(delivered=3, seen=4, dead=1)),
    "books: a dead letter that nobody refused": replace(
        RIGHT, books=books(delivered=3, seen=4, dead=1, dead_letters=frozenset({1}))
    ),
    "unsettled": history(*ALL, changes=[Change(ON, 0.0, 1.0), Change(replace(ON, generation=1), 19.0)]),
    "problem": replace(RIGHT, problems=["an agent ended by itself"]),
}
EXCUSED = {
    "nothing is wrong": RIGHT,
    "refused, then accepted": history(arrival(0, 10.5, 503), *ALL),
    "refused for good, and a dead letter": history(
        *ALL[:2],
        REFUSED,
        events=[event(0), event(1), BAD],
        books=books(delivered=2, seen=3, dead=1, dead_letters=frozenset({2})),
    ),
    "doubled by a kill while in flight": history(*ALL, arrival(2, 12.0), disruptions=[Disruption("kill", 11.05, 11.1)]),
    "doubled by a kill before its result was written": history(
        *ALL, arrival(2, 12.0), disruptions=[Disruption("kill", 11.4, 11.5)]
    ),
    "doubled by a kill before its receiver read it": history(
        *ALL, arrival(2, 12.0), disruptions=[Disruption("kill", 10.6, 10.7)]
    ),
    "doubled after a late answer": history(*ALL[:2], arrival(2, ended=15.5), arrival(2, 16.0)),
    "doubled after a pause that outlasts the timeout": history(
        *ALL, arrival(2, 16.0), disruptions=[Disruption("stop", 10.9, 15.5)]
    ),
    "a kill while no result could be written": history(
        *ALL, arrival(2, 16.0), disruptions=[Disruption("store", 11.0, 15.0), Disruption("kill", 14.0, 14.1)]
    ),
    "two kills close together, each with what was in flight": history(
        *ALL,
        *(arrival(number, 12.0) for number in range(3)),
        disruptions=[Disruption("kill", 11.05, 11.06), Disruption("kill", 11.07, 11.08)],
    ),
    "a power failure takes results back": history(
        *ALL, *(arrival(number, 19.0) for number in range(3)), disruptions=[Disruption("power failure", 18.0, 18.1)]
    ),
    "in flight beside the Retry-After": history(*ALL[1:], LIMITED, arrival(0, 14.2), arrival(1, 11.4, 503)),
    "a Retry-After that was lost with a kill": history(
        *ALL[1:], LIMITED, arrival(0, 12.5), disruptions=[Disruption("kill", 11.2, 11.3)]
    ),
    "a Retry-After that a paused agent has not read": history(
        *ALL[1:], LIMITED, arrival(0, 13.3), disruptions=[Disruption("stop", 11.0, 13.2)]
    ),
    "a Retry-After of other settings": history(
        *ALL[1:],
        LIMITED,
        arrival(0, 12.5),
        changes=[Change(ON, 0.0, 1.0), Change(replace(ON, generation=1), 11.2, 12.0)],
    ),
    "source lost it": history(*ALL[:2], events=[event(0), event(1), event(2, gone=True)]),
    "what may arrive was just read when the agents ended": history(
        *ALL[:2], events=[event(0), event(1), event(2, gone=True)], books=books(delivered=2, seen=3, pending=1)
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_kind_of_wrong_is_noticed(name: str) -> None:
    verdict = judge(WRONG[name], LIMITS)
    kind = name.partition(":")[0].partition(",")[0].split()[0]
    assert {violation.kind for violation in verdict.violations} == {kind}


def test_every_kind_of_violation_has_a_case() -> None:
    known = {name.partition(":")[0].partition(",")[0].split()[0] for name in WRONG}
    assert known == set(KINDS) - {"crowded"}  # that is in test_judge_digests


@pytest.mark.parametrize("name", EXCUSED)
def test_what_may_happen_is_excused(name: str) -> None:
    assert judge(EXCUSED[name], LIMITS).violations == []


def change(generation: int, began: float, state: State = State.ENABLED, severity: int = 50) -> Change:
    return Change(Definition("w", generation, state, severity), began, began + 1.0)


NARROWED = [change(0, 0.0), change(1, 20.0, severity=70)]
DISABLED = [change(0, 0.0), change(1, 20.0, State.DISABLED), change(2, 30.0)]
AWAY = [change(0, 0.0), change(1, 20.0, State.ABSENT), change(2, 25.0)]
FORGOTTEN = [change(0, 0.0), change(1, 20.0, State.ABSENT), change(2, 40.0)]


@pytest.mark.parametrize(
    ("changes", "at", "severity", "read", "due"),
    [
        (NARROWED[:1], 10.0, 50, NEVER, Due.MUST),
        (NARROWED[:1], 10.0, 49, NEVER, Due.NEVER),
        (NARROWED, 10.0, 70, NEVER, Due.MUST),
        (NARROWED, 10.0, 60, 11.0, Due.MAY),
        (NARROWED, 20.5, 60, NEVER, Due.MAY),
        (NARROWED, 21.5, 60, NEVER, Due.NEVER),
        (DISABLED, 10.0, 60, 19.0, Due.MUST),
        (DISABLED, 10.0, 60, 20.5, Due.MAY),
        (DISABLED, 22.0, 60, 29.0, Due.NEVER),
        (DISABLED, 22.0, 60, 31.0, Due.MAY),
        (DISABLED, 31.5, 60, NEVER, Due.MUST),
        (AWAY, 10.0, 60, NEVER, Due.MUST),
        (AWAY, 22.0, 60, NEVER, Due.MUST),
        (FORGOTTEN, 10.0, 60, 11.0, Due.MAY),
        ([*DISABLED, change(3, 35.0, State.ABSENT), change(4, 60.0)], 10.0, 60, 19.0, Due.MAY),
        ([*DISABLED, change(3, 35.0, State.ABSENT), change(4, 60.0)], 22.0, 60, 29.0, Due.MAY),
        ([*DISABLED, change(3, 35.0, State.ABSENT), change(4, 60.0)], 22.0, 49, 29.0, Due.NEVER),
        (FORGOTTEN, 22.0, 60, NEVER, Due.MAY),
        (FORGOTTEN, 41.5, 60, NEVER, Due.MUST),
        (FORGOTTEN[:2], 22.0, 60, NEVER, Due.NEVER),
    ],
)
def test_what_an_event_means_for_a_webhook_follows_from_its_changes(
    changes: list[Change], at: float, severity: int, read: float, due: Due
) -> None:
    assert due_for(event(0, at, severity), changes, LIMITS, read) is due


@pytest.mark.parametrize(
    ("at", "due"), [(2.0, Due.MAY), (24.0, Due.NEVER), (29.5, Due.MAY), (31.5, Due.MAY), (33.5, Due.MUST)]
)
def test_where_a_webhook_starts_by_the_events_own_time_a_margin_is_left(at: float, due: Due) -> None:
    assert due_for(event(0, at), DISABLED, BY_TIME) is due
