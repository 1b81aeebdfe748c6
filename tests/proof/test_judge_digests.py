"""The judge notices each wrong of digests, and excuses what docs/digests.md says may be."""

from dataclasses import replace

import pytest

from tests.proof.history import OTHER_ID, Arrival, Change, Disruption, History, State
from tests.proof.judge import judge
from tests.proof.small_history import LIMITS, ON, arrival, event, history, message

GATHERS = replace(ON, digest=10, group_by="type")
SINGLE = replace(ON, generation=1)
WITHOUT_MEANWHILE = [
    Change(GATHERS, 0.0, 1.0),
    Change(SINGLE, 13.0, 14.0),
    Change(replace(GATHERS, generation=2), 15.0, 16.0),
]
OF_WAF = [event(number, kind="waf") for number in range(8)]
OF_TWO = [*OF_WAF, event(8, kind="alert")]
FIRST, REST = message((0,), 11.0), message((1, 2, 3, 4, 5, 6, 7), 21.3)
UNKNOWN = message((0, 1, 2, 3), 11.0, 503)
LATER = message((4, 5, 6, 7), 33.0)
LATE = replace(UNKNOWN, status=204, ended=15.0)
ALL_LATER = message((0, 4, 5, 6, 7), 33.0)
MANY = [event(number, kind="waf") for number in range(1002)]
STORM = [event(number, kind="waf") for number in range(20_001)]
SOON = [FIRST, message((1, 2), 11.5)]


def in_full_digests(first: int, last: int) -> list[Arrival]:
    """Return messages with the events of these numbers, before `last`, a thousand in each."""
    return [
        message(tuple(range(number, min(number + 1000, last))), 12.0 + number) for number in range(first, last, 1000)
    ]


FAILED = [message((0, 1, 2, 3), 11.0 + number, 503) for number in range(5)]
HALVES = [message((0, 1), 17.0), message((2, 3), 18.0), LATER]
KILL = Disruption("kill", 11.05, 11.1)


def gathered(*arrivals: Arrival, **more: object) -> History:
    """Return a history of one webhook with a digest of 10 s by type, which selects eight events of one type."""
    known = {"events": OF_WAF, "changes": [Change(GATHERS, 0.0, 1.0)]} | more
    return history(*arrivals, **known)


WRONG_DIGESTS = {
    "an event that no digest holds": ("lost", 1, gathered(FIRST, message((1, 2, 3, 4, 5, 6), 21.3))),
    "an event whose digest was only refused": ("lost", 7, gathered(FIRST, replace(REST, status=429))),
    "a digest that holds what was not selected": (
        "unwanted",
        1,
        gathered(FIRST, REST, message((8, 9), 32.0), events=[*OF_TWO, event(9, severity=49, kind="alert")]),
    ),
    "a digest with a flaw": ("altered", 1, gathered(FIRST, replace(REST, flaw="altered in count"))),
    "an event in two digests": (
        "doubled",
        1,
        gathered(message((0, 1, 2, 3), 11.0), message((3, 4, 5, 6, 7), 21.3)),
    ),
    "an event in two digests after a kill": (
        "doubled",
        1,
        gathered(message((0, 1, 2, 3), 11.0), message((3, 4, 5, 6, 7), 21.3), disruptions=[KILL], begins=[11.2]),
    ),
    "an event alone, and after a kill in a digest": (
        "doubled",
        1,
        gathered(FIRST, message((0, 1, 2, 3, 4, 5, 6, 7), 11.5), disruptions=[KILL], begins=[11.2]),
    ),
    "a digest twice without a cause": ("doubled", 1, gathered(FIRST, REST, replace(REST, began=23.0, ended=23.1))),
    "two digests of a group after one kill": (
        "doubled",
        1,
        gathered(
            *(message(numbers, 11.0) for numbers in ((0, 1, 2, 3), (0, 1, 2, 3))),
            *(message(numbers, at) for at in (11.04, 12.0) for numbers in ((4, 5, 6, 7),)),
            disruptions=[KILL],
            begins=[11.0, 11.2],
        ),
    ),
    "a message too soon after the one before": ("crowded", 1, gathered(FIRST, replace(REST, began=20.5, ended=20.6))),
    "a message too soon, although it was refused": (
        "crowded",
        1,
        gathered(FIRST, replace(REST, began=13.0, ended=13.1, status=429), REST),
    ),
    "a message too soon after a digest that was sent again": (
        "crowded",
        1,
        gathered(UNKNOWN, message((0, 1, 2, 3), 12.0), message((4, 5, 6, 7), 21.5)),
    ),
    "a message too soon where fewer wait than are known ahead": (
        "crowded",
        1,
        gathered(*SOON, *in_full_digests(3, 20_000), events=STORM[:20_000]),
    ),
    "a message too soon by an agent that had begun before": (
        "crowded",
        1,
        gathered(FIRST, message((1, 2, 3, 4, 5, 6, 7), 13.0), begins=[10.0]),
    ),
    "two messages too soon after one begin": (
        "crowded",
        1,
        gathered(FIRST, message((1, 2, 3), 13.0), message((4, 5, 6, 7), 14.0), begins=[12.0]),
    ),
    "another message before one that may have arrived": (
        "crowded",
        1,
        gathered(UNKNOWN, LATER, message((0, 1, 2, 3), 44.0)),
    ),
    "a digest under the id of another one, though nothing changed": (
        "altered",
        1,
        gathered(UNKNOWN, replace(message((1, 2, 3), 12.0), identity=UNKNOWN.identity, flaw=OTHER_ID), ALL_LATER),
    ),
    "another message before one that was answered late": (
        "crowded",
        1,
        gathered(LATE, message((4, 5, 6, 7), 22.0), replace(LATE, began=25.0, ended=25.1)),
    ),
    "a digest that may have arrived, dissolved": (
        "crowded",
        1,
        gathered(UNKNOWN, message((0, 1, 2, 3, 4, 5, 6, 7), 12.0)),
    ),
    "a digest that may have arrived, dissolved after a kill": (
        "crowded",
        1,
        gathered(UNKNOWN, message((0, 1, 2, 3, 4, 5, 6, 7), 12.0), disruptions=[KILL], begins=[11.2]),
    ),
}
RIGHT_DIGESTS = {
    "one at once, and the rest when the time is over": gathered(FIRST, REST),
    "one that was answered late, and heard after all: it is never sent again": gathered(
        LATE, message((4, 5, 6, 7), 22.0)
    ),
    "another group has a time of its own": gathered(FIRST, message((8,), 11.5), REST, events=OF_TWO),
    "a full one does not wait": gathered(
        FIRST, message(tuple(range(1, 1001)), 11.5), message((1001,), 21.7), events=MANY
    ),
    "where more wait than are known ahead none waits": gathered(*SOON, *in_full_digests(3, 20_001), events=STORM),
    "one that may have arrived is sent again at once": gathered(UNKNOWN, message((0, 1, 2, 3), 12.0), LATER),
    "those that went alone before there were digests are sent again as they were": gathered(
        *(message((number,), 11.0, 0, generation=0, ended=float("inf")) for number in range(3)),
        *(message((number,), 25.0 + number / 10, generation=1) for number in range(3)),
        message((3, 4, 5, 6, 7), 36.0, generation=1),
        changes=[Change(ON, 0.0, 1.0), Change(replace(GATHERS, generation=1), 13.0, 14.0)],
    ),
    "one that was in flight at a kill is sent again": gathered(
        message((0, 1, 2, 3), 11.0), message((0, 1, 2, 3), 11.5), LATER, disruptions=[KILL], begins=[11.2]
    ),
    "one of each group was in flight at a kill": gathered(
        *(message(numbers, at) for at in (11.0, 11.5) for numbers in ((0, 1, 2, 3), (8, 9))),
        LATER,
        events=[*OF_TWO, event(9, kind="alert")],
        disruptions=[KILL],
        begins=[11.2],
    ),
    "one that was surely not taken takes in what came": gathered(
        message((0, 1, 2), 11.0, 429), message((0, 1, 2, 3, 4, 5, 6, 7), 12.0)
    ),
    "one that a busy receiver reads long after it was sent": gathered(
        message((0, 1), 11.0),
        message((2, 3), 21.3),
        message((0, 1), 22.0, 503),
        message((4, 5, 6, 7), 31.6),
        disruptions=[KILL],
        begins=[11.2],
    ),
    "one that a busy receiver takes long after it was sent": gathered(
        message((0, 1), 11.0),
        message((2, 3), 21.3),
        message((0, 1), 22.0),
        message((4, 5, 6, 7), 31.6),
        disruptions=[KILL],
        begins=[11.2],
    ),
    "one whose answer may have been heard, though it came late": gathered(
        replace(UNKNOWN, status=204, ended=13.2), LATER
    ),
    "one whose answer a paused agent heard late": gathered(
        replace(UNKNOWN, status=204, ended=15.0), LATER, disruptions=[Disruption("stop", 12.0, 15.5)]
    ),
    "the rest of one that may have arrived, of which some went alone": gathered(
        UNKNOWN,
        arrival(0, 14.5, generation=1),
        replace(message((1, 2, 3), 17.0, generation=2), identity=UNKNOWN.identity, flaw=OTHER_ID),
        replace(LATER, generation=2),
        changes=WITHOUT_MEANWHILE,
    ),
    "the rest of one that never arrived, of which some went alone": gathered(
        arrival(0, 14.5, generation=1),
        replace(message((1, 2, 3), 17.0, generation=2), flaw=OTHER_ID),
        replace(LATER, generation=2),
        changes=WITHOUT_MEANWHILE,
    ),
    "halves of one that was refused for good": gathered(message((0, 1, 2, 3), 11.0, 400), *HALVES),
    "halves of one that was refused like a wrong configuration": gathered(message((0, 1, 2, 3), 11.0, 401), *HALVES),
    "halves of one that has failed five times": gathered(*FAILED, *HALVES),
    "a half that failed once, in halves again": gathered(
        *FAILED, message((0, 1), 17.0, 503), message((0,), 17.5), message((1,), 18.0), message((2, 3), 18.5), LATER
    ),
    "halves of one that was taken too late five times": gathered(
        *(replace(failed, status=204, ended=failed.began + 2.0) for failed in FAILED), *HALVES
    ),
    "an agent that has just begun does not know of the message before": gathered(
        FIRST, message((1, 2, 3, 4, 5, 6, 7), 13.0), begins=[12.0]
    ),
    "other digests gather anew": gathered(
        FIRST,
        message((1, 2, 3, 4, 5, 6, 7), 13.0, generation=1),
        changes=[Change(GATHERS, 0.0, 1.0), Change(replace(GATHERS, generation=1, digest=5), 12.0, 13.0)],
    ),
    "a webhook that was disabled does not know of the message before": gathered(
        FIRST,
        message((1, 2, 3, 4, 5, 6, 7), 14.0, generation=2),
        changes=[
            Change(GATHERS, 0.0, 1.0),
            Change(replace(GATHERS, generation=1, state=State.DISABLED), 12.0, 12.5),
            Change(replace(GATHERS, generation=2), 13.0, 14.0),
        ],
    ),
    "without digests, what may have arrived goes one by one": gathered(
        replace(UNKNOWN, status=204, ended=15.0),
        *(arrival(number, 16.0, generation=1) for number in range(8)),
        changes=[Change(GATHERS, 0.0, 1.0), Change(SINGLE, 14.0, 16.0)],
    ),
}


@pytest.mark.parametrize("name", WRONG_DIGESTS)
def test_each_wrong_of_digests_is_noticed(name: str) -> None:
    kind, count, wrong = WRONG_DIGESTS[name]
    assert [violation.kind for violation in judge(wrong, LIMITS).violations] == [kind] * count


@pytest.mark.parametrize("name", RIGHT_DIGESTS)
def test_what_digests_may_do_is_excused(name: str) -> None:
    assert judge(RIGHT_DIGESTS[name], LIMITS).violations == []
