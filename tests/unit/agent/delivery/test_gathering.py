"""Gathering: which deliveries of one webhook go together, in which order, and what they wait for."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kubectl_sew.consumers.digest_settings import DigestSettings
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EVENT_MAPS
from sew_agent.delivery.gathering import MOST, PAGE, STUCK, Gathering, Message
from sew_agent.store.records import Delivery

AT = 1_800_000_000.0
WITHIN = 60.0
LONGEST = 900.0
NEVER = float("inf")


def delivery(seq: int, host: str = "h", **kept: object) -> Delivery:
    return Delivery(seq, "a", f"id-{seq}", Event("", f"e{seq}", {"host": host}), AT, **kept)  # type: ignore[arg-type]


def some(numbers: Sequence[int], host: str = "h", **kept: object) -> list[Delivery]:
    return [delivery(seq, host, **kept) for seq in numbers]


class GatheringHarness:
    """Gathering by host, and a clock that the test moves."""

    def __init__(self, *group_by: str) -> None:
        self.in_flight: set[int] = set()
        self.gathering = Gathering(DigestSettings(WITHIN, group_by), EVENT_MAPS, self.in_flight)
        self.now = AT

    def learn(self, *deliveries: Delivery) -> None:
        self.gathering.learn(deliveries, LONGEST, self.now)

    def next(self, *, retries: bool = True) -> Message | float:
        return self.gathering.next(self.now, LONGEST, retries=retries)

    def begin(self, *members: int) -> Message:
        """Let the next message begin, of which the store has these; all of it where none is given."""
        message = self.next()
        assert isinstance(message, Message)
        self.gathering.take(message, some(members or message.numbers))
        return message

    def end(self, message: Message, numbers: Sequence[int] = ()) -> None:
        self.gathering.end(message, numbers or message.numbers, self.now)

    def accept(self, *members: int) -> tuple[int, ...]:
        """Let the next message be accepted, and return what was in it."""
        message = self.begin(*members)
        self.gathering.accepted(message, self.now)
        self.end(message, members or message.numbers)
        return members or message.numbers

    def refuse(self) -> tuple[int, ...]:
        """Let the next message be refused for good: all of it waits as if it had not been tried."""
        message = self.begin()
        self.gathering.halve(message, message.numbers)
        self.gathering.read_again(message.numbers)
        self.end(message)
        self.learn(*some(self.gathering.returned))
        return message.numbers


@pytest.fixture
def group() -> GatheringHarness:
    """Return a gathering in which all is one group."""
    return GatheringHarness()


@pytest.fixture
def hosts() -> GatheringHarness:
    """Return a gathering in which each host is a group."""
    return GatheringHarness("host")


def test_where_nothing_waits_nothing_goes(group: GatheringHarness) -> None:
    assert group.next() == group.next(retries=False) == NEVER
    assert (group.gathering.is_empty, group.gathering.after) == (True, 0)


def test_what_waits_in_a_quiet_group_is_one_message_and_what_follows_waits_for_the_duration_after_it(
    group: GatheringHarness,
) -> None:
    group.learn(*some([3, 1, 2]))
    assert group.next() == Message("", (1, 2, 3))
    assert group.accept() == (1, 2, 3)
    group.now += 1
    group.learn(delivery(4))
    assert group.next() == WITHIN - 1
    group.now += WITHIN - 1.5
    group.learn(delivery(5))
    assert group.next() == 0.5
    group.now += 0.5
    assert group.accept() == (4, 5)


def test_a_group_has_one_message_in_flight_and_its_end_lets_the_next_begin(group: GatheringHarness) -> None:
    group.learn(delivery(1))
    message = group.begin()
    group.learn(delivery(2))
    assert group.next() == NEVER
    group.end(message)
    assert group.next() == Message("", (2,))


def test_groups_do_not_wait_for_each_other_and_the_one_that_may_send_for_longest_is_first(
    hosts: GatheringHarness,
) -> None:
    hosts.learn(delivery(1, "x"))
    hosts.accept()
    hosts.now += 1
    hosts.learn(delivery(2, "y"))
    hosts.accept()
    hosts.learn(delivery(3, "y"), delivery(4, "x"))
    hosts.now += WITHIN - 2
    assert hosts.next() == 1.0
    hosts.now += 2
    assert [hosts.accept(), hosts.accept()] == [(4,), (3,)]


def test_of_quiet_groups_the_one_whose_event_came_first_is_first(hosts: GatheringHarness) -> None:
    hosts.learn(delivery(5, "z"), delivery(6, "y"), delivery(7, "x"), delivery(8, "z"))
    assert [hosts.begin().numbers for _ in range(3)] == [(5, 8), (6,), (7,)]


def test_a_full_digest_does_not_wait_and_holds_the_oldest(group: GatheringHarness) -> None:
    group.learn(delivery(1))
    group.accept()
    group.learn(*some(range(2, MOST + 1)))
    assert group.next() == WITHIN
    group.learn(delivery(MOST + 1))
    assert len(group.next().numbers) == MOST  # type: ignore[union-attr]
    group.learn(delivery(MOST + 2))
    assert group.accept() == tuple(range(2, MOST + 2))
    assert group.next() == WITHIN


def test_only_what_the_store_gave_for_a_message_has_begun_and_what_it_has_no_more_is_gone(
    group: GatheringHarness,
) -> None:
    """One page may hold less than a message: what is behind its end waits on."""
    group.learn(*some([1, 2, 3, 4, 5]))
    message = group.begin(1, 3)
    assert group.in_flight == {1, 3}
    group.end(message, [1, 3])
    assert group.in_flight == set()
    assert group.next() == Message("", (4, 5))


def test_a_message_of_which_nothing_is_there_any_more_keeps_its_group_from_nothing(group: GatheringHarness) -> None:
    group.learn(*some([1, 2]))
    message = group.next()
    assert isinstance(message, Message)
    group.gathering.take(message, [])
    assert (group.next(), group.gathering.is_empty) == (NEVER, True)
    group.learn(delivery(3))
    assert group.next() == Message("", (3,))


def test_what_is_gone_from_a_group_leaves_what_may_go_then(group: GatheringHarness) -> None:
    group.learn(delivery(1, in_doubt=True), *some([2, 3]))
    resent = group.next()
    assert resent == Message("", (1,))
    assert isinstance(resent, Message)
    group.gathering.take(resent, [])
    assert group.next() == Message("", (2, 3))


def test_what_may_have_arrived_goes_again_as_it_was_before_its_group_sends_anything_new(
    group: GatheringHarness,
) -> None:
    group.learn(delivery(9), *some([4, 3], digest="d", attempts=1), delivery(1, in_doubt=True, attempts=2, due=1.0))
    assert [group.begin(), group.next()] == [Message("", (3, 4), "d", 1, 0.0), NEVER]


def test_of_what_may_have_arrived_that_which_is_due_first_is_first(group: GatheringHarness) -> None:
    group.learn(delivery(1, in_doubt=True, due=AT + 9), *some([2, 3], digest="d", due=AT + 5, attempts=3))
    assert group.next() == 5.0
    assert group.next(retries=False) == NEVER
    group.now += 5
    assert group.next() == Message("", (2, 3), "d", 3, AT + 5)
    message = group.begin()
    assert group.next() == NEVER
    group.end(message)
    assert group.next() == 4.0
    group.now += 10
    assert group.begin() == Message("", (1,), "", 0, AT + 9)


def test_one_digest_of_two_pages_is_one_message(group: GatheringHarness) -> None:
    group.learn(*some([1, 2], digest="d", attempts=1, due=AT + 5), *some([3], digest="other", attempts=1, due=AT + 7))
    group.learn(*some([4, 5], digest="d", attempts=2, due=AT + 3))
    assert group.next() == 3.0
    group.now += 5
    assert group.next() == Message("", (1, 2, 4, 5), "d", 2, AT + 3)
    message = group.begin(1, 2, 4, 5, 6)
    assert group.in_flight == {1, 2, 4, 5, 6}
    group.gathering.accepted(message, group.now)
    group.end(message, [1, 2, 4, 5, 6])
    assert group.next() == 2.0
    group.now += 2
    assert group.next() == Message("", (3,), "other", 1, AT + 7)


def test_two_that_may_have_arrived_alone_are_two_messages(group: GatheringHarness) -> None:
    group.learn(delivery(1, in_doubt=True, due=AT), delivery(2, in_doubt=True, due=AT - 1))
    assert group.accept() == (2,)
    assert group.accept() == (1,)


def test_a_group_does_not_wait_for_what_fails_again_and_again(hosts: GatheringHarness) -> None:
    hosts.learn(*some([1, 2], digest="d", attempts=STUCK - 1, due=AT + 50), delivery(3))
    assert hosts.next() == 50.0
    other = GatheringHarness("host")
    other.learn(*some([1, 2], digest="d", attempts=STUCK, due=AT + 50), delivery(3))
    assert other.accept() == (3,)
    other.learn(delivery(4))
    assert other.next() == 50.0


def test_what_is_replayed_again_goes_alone_and_not_before_what_is_due_already(hosts: GatheringHarness) -> None:
    hosts.learn(delivery(1, again=True), delivery(2, in_doubt=True, due=AT - 1), delivery(3, again=True))
    first = hosts.begin()
    assert (first.numbers, first.alone) == ((2,), False)
    rest = [hosts.begin(), hosts.begin()]
    assert sorted(message.numbers for message in rest) == [(1,), (3,)]
    assert all(message.alone for message in rest)
    assert hosts.next() == NEVER


def test_what_was_replayed_again_and_failed_goes_when_it_is_due(hosts: GatheringHarness) -> None:
    hosts.learn(delivery(1, again=True, attempts=1, due=AT + 8))
    assert hosts.next() == 8.0
    hosts.now += 8
    message = hosts.begin()
    hosts.end(message)
    hosts.learn(delivery(1, again=True, attempts=2, due=AT + 16))
    assert hosts.next() == 8.0


def test_what_was_surely_not_taken_goes_with_what_came_meanwhile_when_it_is_due(group: GatheringHarness) -> None:
    group.learn(*some([1, 2], attempts=1, due=AT + 10))
    assert group.next() == 10.0
    group.learn(delivery(3))
    assert group.next() == Message("", (3,))
    group.now += 10
    assert group.next(retries=False) == Message("", (3,))
    assert group.next() == Message("", (3, 1, 2))


def test_what_was_tried_waits_for_the_last_of_it_to_be_due(group: GatheringHarness) -> None:
    group.learn(delivery(1, attempts=1, due=AT + 10), delivery(2, attempts=1, due=AT + 20))
    group.learn(delivery(3, attempts=1, due=AT + 15))
    group.now += 19
    assert group.next() == 1.0
    group.now += 1
    assert not isinstance(group.next(retries=False), Message)
    assert group.next() == Message("", (1, 2, 3))


@pytest.mark.parametrize(("ahead", "pause"), [(LONGEST, LONGEST), (LONGEST + 1, 0.0)])
def test_what_is_due_further_ahead_than_anything_waits_was_written_by_a_clock_that_was_ahead(
    ahead: float, pause: float
) -> None:
    for kept in ({}, {"in_doubt": True}):
        group = GatheringHarness()
        group.learn(delivery(1, attempts=1, due=AT + ahead, **kept))
        found = group.next()
        assert found == pause if pause else isinstance(found, Message)


def test_what_is_new_goes_before_what_goes_again_until_that_is_late_and_then_in_turn(hosts: GatheringHarness) -> None:
    hosts.learn(*some([1, 2], "x", in_doubt=True, due=AT), *some([3], "y"), *some([4], "z"), *some([5], "w"))
    hosts.now += LONGEST - 1
    assert hosts.accept() == (3,)
    hosts.now += 1
    assert hosts.accept() == (1,)
    assert hosts.accept() == (4,)
    assert hosts.accept() == (2,)
    assert hosts.accept() == (5,)


def test_what_is_late_when_an_agent_starts_goes_before_what_is_new(hosts: GatheringHarness) -> None:
    hosts.learn(delivery(1, "x", in_doubt=True, due=AT - LONGEST), delivery(2, "y"))
    assert [hosts.accept(), hosts.accept()] == [(1,), (2,)]


def test_a_group_that_must_wait_longer_than_it_seemed_keeps_no_other_waiting(hosts: GatheringHarness) -> None:
    hosts.learn(delivery(1, "x", attempts=1, due=AT + 10), delivery(2, "y", attempts=1, due=AT + 15))
    hosts.learn(delivery(3, "x", attempts=1, due=AT + 20))
    hosts.now += 16
    assert hosts.accept() == (2,)
    assert hosts.next() == 4.0


def test_where_nothing_new_may_go_what_goes_again_follows_at_once(hosts: GatheringHarness) -> None:
    hosts.learn(*some([1, 2], "x", in_doubt=True, due=AT), delivery(3, "y"))
    hosts.accept()
    hosts.learn(delivery(4, "y"))
    hosts.now += 1
    assert [hosts.accept(), hosts.accept()] == [(1,), (2,)]
    assert hosts.next() == WITHIN - 1


def test_what_is_in_a_refused_digest_goes_in_halves_that_do_not_wait_and_grow_again(group: GatheringHarness) -> None:
    group.learn(*some(range(1, 9)))
    assert group.refuse() == tuple(range(1, 9))
    assert group.refuse() == (1, 2, 3, 4)
    assert group.accept() == (1, 2)
    assert group.accept() == (3, 4, 5, 6)
    group.learn(*some(range(9, 14)))
    assert group.next() == WITHIN
    group.learn(delivery(14))
    assert group.accept() == tuple(range(7, 15))


def test_a_half_that_is_not_full_waits_with_what_follows(group: GatheringHarness) -> None:
    group.learn(*some(range(1, 6)))
    group.refuse()
    assert [group.accept(), group.next()] == [(1, 2), WITHIN]
    group.learn(delivery(6))
    assert group.accept() == (3, 4, 5, 6)


@pytest.mark.parametrize("retries", [True, False])
def test_what_is_new_does_not_go_sooner_because_of_halves_that_may_not_go_yet(
    group: GatheringHarness, *, retries: bool
) -> None:
    """A digest that failed again and again goes in halves after a pause; or its receiver pauses."""
    group.learn(*some([1, 2, 3, 4]))
    message = group.begin()
    group.gathering.halve(message, message.numbers)
    group.gathering.read_again(message.numbers)
    group.end(message)
    group.learn(delivery(5))
    assert group.accept() == (5,)
    group.learn(*some([1, 2, 3, 4], attempts=STUCK, due=group.now + 30.0), delivery(6))
    assert group.next() == 30.0
    group.now += 30.0
    if retries:
        assert group.accept() == (6, 1, 2, 3)
    else:
        assert isinstance(group.next(retries=False), float)
        group.now += WITHIN - 30.0
        found = group.next(retries=False)
        assert isinstance(found, Message)
        assert found.numbers == (6,)


def test_two_that_are_refused_go_one_by_one(group: GatheringHarness) -> None:
    group.learn(*some([1, 2]))
    assert group.refuse() == (1, 2)
    assert group.refuse() == (1,)
    assert group.begin().numbers == (1,)


def test_once_nothing_of_a_refused_digest_waits_the_next_one_waits_for_its_time_and_holds_all(
    group: GatheringHarness,
) -> None:
    group.learn(*some([1, 2, 3, 4]))
    group.refuse()
    group.learn(*some([5, 6, 7]))
    assert group.accept() == (1, 2)
    assert group.accept() == (3, 4, 5, 6)
    group.learn(*some(range(8, 20)))
    assert group.next() == WITHIN
    group.now += WITHIN
    assert group.accept() == tuple(range(7, 20))


def test_what_was_dropped_of_a_refused_digest_makes_no_digest_small_for_ever(group: GatheringHarness) -> None:
    group.learn(*some(range(1, 4 * MOST)))
    message = group.begin()
    group.gathering.halve(message, message.numbers)
    group.end(message)  # and a person drops all of it
    assert group.accept() == tuple(range(MOST + 1, MOST + MOST // 2 + 1))
    rest = group.next()
    assert isinstance(rest, Message)
    assert len(rest.numbers) == MOST


def test_what_failed_is_read_again_once_it_is_no_longer_in_flight(group: GatheringHarness) -> None:
    group.learn(*some([1, 2, 3]))
    message = group.begin(1, 2, 3)
    group.gathering.read_again([3, 1])
    assert group.gathering.returned == []
    group.end(message, [1, 2, 3])
    assert group.gathering.returned == [1, 3]
    assert (group.gathering.is_empty, group.next()) == (False, NEVER)
    group.learn(delivery(1))
    assert group.gathering.returned == [3]
    group.gathering.forget_returned([3])
    assert group.gathering.returned == []
    assert group.accept() == (1,)
    assert group.gathering.is_empty


def test_what_is_known_or_in_flight_is_not_learnt_again(group: GatheringHarness) -> None:
    group.learn(*some([1, 2]))
    message = group.begin()
    group.learn(*some([1, 2, 3]))
    group.end(message)
    assert group.accept() == (3,)


def test_deliveries_are_read_behind_those_that_are_known_and_from_the_beginning_where_none_is(
    group: GatheringHarness,
) -> None:
    page = some([1, 2, 3])
    group.gathering.scan(page, {2}, LONGEST, AT)
    assert group.gathering.after == 3
    group.gathering.scan([], (), LONGEST, AT)
    assert group.gathering.after == 3
    message = group.begin()
    assert (message.numbers, group.gathering.after) == ((1, 3), 3)
    group.end(message)
    assert group.gathering.after == 0
    group.gathering.scan(some([5]), (), LONGEST, AT)
    group.gathering.scan(some([4]), (), LONGEST, AT)
    assert group.gathering.after == 5


def test_as_many_pages_are_read_before_anything_begins_as_fill_two_digests(group: GatheringHarness) -> None:
    assert [group.gathering.looks_on() for _ in range(2 * MOST // PAGE)] == [True] * (2 * MOST // PAGE - 1) + [False]
    assert group.gathering.looks_on()


def test_where_no_more_can_be_known_ahead_no_page_is_read_and_no_group_waits_for_its_time(
    hosts: GatheringHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sew_agent.delivery.gathering.AHEAD", 4)
    hosts.learn(delivery(1, "x"))
    hosts.accept()
    hosts.learn(delivery(2, "x"), *some([3, 4], "other", attempts=1, due=AT + 90))
    assert (hosts.gathering.has_room, hosts.gathering.looks_on(), hosts.next()) == (True, True, WITHIN)
    hosts.learn(delivery(5, "x"))
    assert (hosts.gathering.has_room, hosts.gathering.looks_on()) == (False, False)
    assert hosts.begin().numbers == (2, 5)


def test_where_no_event_follows_what_waits_goes_at_once(hosts: GatheringHarness) -> None:
    hosts.learn(delivery(1, "x"))
    hosts.accept()
    hosts.learn(delivery(2, "x"))
    hosts.gathering.wait_no_longer()
    assert hosts.accept() == (2,)
    hosts.learn(delivery(3, "x"))
    assert hosts.next() == Message(hosts.begin().group, (3,))


def test_after_a_reset_all_is_read_anew_and_only_the_last_message_of_a_group_is_known(group: GatheringHarness) -> None:
    group.learn(delivery(1))
    group.accept()
    group.gathering.scan(some([2, 3]), (), LONGEST, AT)
    group.learn(delivery(4, in_doubt=True, due=AT + 5), delivery(5, attempts=1, due=AT + 800))
    group.gathering.read_again([6])
    group.gathering.reset()
    assert (group.next(), group.gathering.returned, group.gathering.is_empty) == (NEVER, [], True)
    group.in_flight.add(9)
    assert group.gathering.after == 0
    group.learn(delivery(4, in_doubt=True, due=AT + 5), *some([2, 3, 5]))
    assert group.next() == 5.0
    group.now += 5
    assert group.accept() == (4,)
    group.now += WITHIN - 5
    assert group.next() == Message("", (2, 3, 5)) or group.next() == 5.0


@pytest.mark.parametrize("seconds", [-7200.0, 7200.0])
def test_with_a_clock_that_is_set_no_pause_becomes_longer_or_shorter(seconds: float) -> None:
    hosts = GatheringHarness("host")
    hosts.learn(delivery(1, "quiet"))
    hosts.accept()
    kinds = {"in doubt": {"in_doubt": True, "due": AT + 20}, "tried": {"attempts": 1, "due": AT + 30}, "quiet": {}}
    for number, (host, kept) in enumerate(kinds.items()):
        hosts.learn(delivery(2 + number, host, **kept))
    hosts.now += seconds
    hosts.gathering.shift(seconds)
    for pause, number in ((20.0, 2), (10.0, 3), (30.0, 4)):
        assert hosts.next() == pause
        hosts.now += pause
        assert hosts.accept() == (number,)


def test_a_group_whose_last_message_is_not_over_is_not_forgotten(hosts: GatheringHarness) -> None:
    hosts.learn(delivery(1, "x"))
    hosts.accept()
    hosts.now += WITHIN / 2
    hosts.learn(delivery(2, "y"))
    hosts.accept()
    hosts.learn(delivery(3, "x"))
    hosts.now += WITHIN / 2
    assert hosts.accept() == (3,)
    hosts.learn(delivery(4, "y"))
    assert hosts.next() == WITHIN / 2
    hosts.now += WITHIN / 2
    assert hosts.accept() == (4,)


def test_an_event_whose_group_cannot_be_made_out_is_in_that_of_all() -> None:
    class Mistaken:
        def read(self, _: Event) -> None:
            raise KeyError("x")

    gathering = Gathering(DigestSettings(WITHIN, ("host",)), Mistaken(), set())  # type: ignore[arg-type]
    gathering.learn(some([1, 2]), LONGEST, AT)
    assert gathering.next(AT, LONGEST, retries=True) == Message("", (1, 2))


def test_a_message_of_a_group_that_is_forgotten_may_still_end(group: GatheringHarness) -> None:
    message = Message("gone", (1,))
    group.gathering.accepted(replace(message, group="other"), AT)
    group.end(message)
    assert group.gathering.is_empty
