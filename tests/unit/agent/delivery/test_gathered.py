"""What a queue with digests reads ahead and begins, and what an outcome tells it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from kubectl_sew.consumers.base import FailureReason, Outcome, Verdict
from kubectl_sew.consumers.digest import digest_id
from kubectl_sew.consumers.digest_settings import DigestSettings
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EVENT_MAPS
from sew_agent.base.token_bucket import TokenBucket
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.gathered import judge, look_ahead, take_next
from sew_agent.delivery.gathering import MOST, PAGE, Gathering, Message
from sew_agent.delivery.queue import Assignment, Queue
from sew_agent.delivery.retry import Policy, Staleness, decide
from sew_agent.store.records import Delivery, DeliveryState, ReceiverState

NOW = 1_800_000_000.0
WITHIN, LONGEST = 60.0, 900.0
SOON = 0.001
ROUTE = Route("a", CONSUMERS["Generic"], {}, {}, "s", "e")
POLICY = Policy(initial=2.0, longest=LONGEST, horizon=72 * 3600.0, chance=lambda: 1.0)
DELIVERED = Outcome(Verdict.DELIVERED)
RETRY = Outcome(Verdict.RETRY, FailureReason.SERVER_ERROR, "503")
REFUSED = Outcome(Verdict.REJECTED, FailureReason.EVENT_REFUSED, "400")


def some(numbers: Iterable[int], **kept: Any) -> list[Delivery]:
    return [Delivery(seq, "a", f"id-{seq}", Event("", f"e{seq}", {}), NOW - 5, **kept) for seq in numbers]


class Held:
    """A store with deliveries of one webhook, of which it gives at most so many at once."""

    def __init__(self, *deliveries: Delivery, at_once: int = MOST) -> None:
        self.held = {delivery.seq: delivery for delivery in deliveries}
        self.at_once = at_once
        self.asked: list[int | Sequence[int] | str] = []

    def waiting(
        self, webhook: str, *, limit: int, after: int = 0, numbers: Sequence[int] | None = None, digest: str = ""
    ) -> Sequence[Delivery]:
        assert (webhook, limit) == ("a", PAGE if numbers is None else MOST)
        self.asked.append(digest or (after if numbers is None else numbers))
        if digest:
            found = [each for each in self.held.values() if each.digest == digest]
        else:
            found = [each for seq, each in self.held.items() if (seq > after if numbers is None else seq in numbers)]
        return sorted(found, key=lambda each: each.seq)[: min(limit, self.at_once)]


@dataclass
class Gathered:
    """A queue with digests over such a store."""

    store: Held

    def __post_init__(self) -> None:
        self.queue = Queue(ROUTE, ReceiverState("a", settings_digest="s", endpoint_digest="e"), TokenBucket(1.0))
        self.gathering = Gathering(DigestSettings(WITHIN), EVENT_MAPS, self.queue.in_flight)
        self.queue.gathering = self.gathering
        self.now = NOW

    def look(self, *, retries: bool = True) -> float | None:
        return look_ahead(self.store, self.queue, self.gathering, self.now, LONGEST, retries=retries)  # type: ignore[arg-type]

    def take(self, *, retries: bool = True) -> Any:
        return take_next(self.store, self.queue, self.gathering, self.now, LONGEST, retries=retries)  # type: ignore[arg-type]

    def begin(self) -> Assignment:
        delivery, message, bundle = self.take()
        gathering = self.gathering
        return Assignment(self.queue, ROUTE, delivery, self.now, 0, 0, False, gathering, message, bundle)

    def judge(self, assignment: Assignment, outcome: Outcome, staleness: Staleness = Staleness.NOTHING) -> Any:
        judged = judge(assignment, self.queue.receiver, outcome, POLICY, self.now, staleness)
        numbers = [delivery.seq for delivery in assignment.deliveries]
        self.gathering.read_again(result.delivery.seq for result in judged[1] if result.state is DeliveryState.PENDING)
        assert assignment.message
        self.gathering.end(assignment.message, numbers, self.now)
        return judged


def test_all_that_is_there_is_read_page_by_page_before_a_digest_begins() -> None:
    gathered = Gathered(Held(*some(range(1, 2 * PAGE + 2))))
    assert [gathered.look() for _ in range(3)] == [SOON, SOON, 0.0]
    assert gathered.store.asked == [0, PAGE, 2 * PAGE]
    assert len(gathered.begin().deliveries) == 2 * PAGE + 1


def test_the_store_is_not_asked_for_more_where_it_had_no_more_until_there_is_news() -> None:
    gathered = Gathered(Held())
    assert (gathered.look(), gathered.queue.empty) == (SOON, True)
    assert (gathered.look(), gathered.store.asked) == (None, [0])
    gathered.store.held[7] = some([7])[0]
    gathered.queue.empty = False
    assert (gathered.look(), gathered.queue.empty) == (0.0, False)


def test_where_enough_is_known_ahead_no_more_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sew_agent.delivery.gathering.AHEAD", 2)
    gathered = Gathered(Held(*some([1, 2]), at_once=2))
    assert [gathered.look(), gathered.look()] == [0.0, 0.0]
    assert gathered.store.asked == [0]


def test_what_waits_for_its_time_is_looked_at_again_then_and_what_is_in_flight_keeps_it_from_being_empty() -> None:
    gathered = Gathered(Held(*some([1, 2])))
    gathered.look()
    assignment = gathered.begin()
    assert [gathered.look(), gathered.look()] == [SOON, float("inf")]
    gathered.judge(assignment, DELIVERED)
    gathered.store.held = {3: some([3])[0]}
    gathered.queue.empty = False
    gathered.now += 1
    assert [gathered.look(), gathered.look(), gathered.look()] == [SOON, SOON, WITHIN - 1]
    gathered.now += WITHIN - 1 - SOON / 2
    assert (gathered.look(), gathered.take()) == (SOON, None)


def test_what_was_tried_is_left_out_where_no_retries_may_go() -> None:
    gathered = Gathered(Held(*some([1, 2], attempts=1, in_doubt=True, digest="d")))
    assert (gathered.look(retries=False), gathered.take(retries=False)) == (SOON, None)
    assert gathered.look() == 0.0


def test_what_is_in_flight_already_is_not_read_as_waiting() -> None:
    gathered = Gathered(Held(*some([1, 2, 3])))
    gathered.queue.in_flight.update([1, 3])
    gathered.look()
    assert gathered.store.asked == [0]
    assert [each.seq for each in gathered.begin().deliveries] == [2]


def test_what_failed_is_read_again_by_its_number_and_what_is_not_there_any_more_has_ended() -> None:
    gathered = Gathered(Held(*some([2, 3]), at_once=1))
    gathered.queue.empty = True
    gathered.gathering.read_again([1, 2, 3, 4])
    assert gathered.look() == 0.0
    assert gathered.gathering.returned == [3, 4]
    gathered.look()
    assert gathered.gathering.returned == [4]
    gathered.look()
    assert gathered.gathering.returned == []
    assert gathered.store.asked == [[1, 2, 3, 4], [3, 4], [4]]
    assert [each.seq for each in gathered.begin().deliveries] == [2]


def test_of_much_that_failed_as_much_is_read_again_as_one_digest_holds() -> None:
    gathered = Gathered(Held())
    gathered.queue.empty = True
    gathered.gathering.read_again(range(MOST + 2))
    assert (gathered.look(), gathered.gathering.returned) == (SOON, [MOST, MOST + 1])
    assert (gathered.look(), gathered.look()) == (None, None)


def test_several_are_a_digest_after_which_the_webhook_rests_as_long_as_that_took_to_make() -> None:
    gathered = Gathered(Held(*some([1, 2, 3])))
    gathered.look()
    lead, message, bundle = gathered.take()
    assert (lead.delivery_id, message) == (digest_id("a", ["id-1", "id-2", "id-3"]), Message("", (1, 2, 3)))
    assert [member.seq for member in bundle.members] == [1, 2, 3]
    assert gathered.queue.rests_until == pytest.approx(NOW + 3 * SOON, abs=SOON / 10)


def test_one_is_sent_as_any_other_webhook_sends_it() -> None:
    gathered = Gathered(Held(*some([1])))
    gathered.look()
    assert gathered.take() == (*some([1]), Message("", (1,)), None)
    assert gathered.queue.rests_until == 0.0


def test_what_is_left_of_a_digest_that_may_have_arrived_goes_under_its_id_though_it_is_one() -> None:
    gathered = Gathered(Held(*some([1, 2], attempts=1, in_doubt=True, digest="d")))
    gathered.look()
    del gathered.store.held[1]
    lead, _, bundle = gathered.take()
    assert (lead.delivery_id, [member.seq for member in bundle.members]) == ("d", [2])
    assert gathered.store.asked == [0, "d"]


def test_where_all_of_it_has_ended_meanwhile_nothing_begins() -> None:
    gathered = Gathered(Held(*some([1, 2])))
    gathered.look()
    gathered.store.held.clear()
    assert gathered.take() is None
    assert (gathered.queue.rests_until, gathered.gathering.is_empty) == (0.0, True)


@pytest.mark.parametrize(("outcome", "pause"), [(DELIVERED, WITHIN), (RETRY, 0.0)])
def test_only_what_was_accepted_makes_its_group_wait(outcome: Outcome, pause: float) -> None:
    gathered = Gathered(Held(*some([1])))
    gathered.look()
    made, results = gathered.judge(gathered.begin(), outcome)
    assert (made, results) == (
        decide(outcome, *some([1]), gathered.queue.receiver, POLICY, now=NOW),
        [made.result],
    )
    gathered.gathering.learn(some([2]), LONGEST, NOW)
    assert gathered.gathering.next(NOW, LONGEST, retries=True) == (pause or Message("", (2,)))


def test_an_outcome_counts_only_against_what_was_known_when_it_began() -> None:
    for numbers in ([1], [1, 2]):
        gathered = Gathered(Held(*some(numbers)))
        gathered.look()
        made, results = gathered.judge(gathered.begin(), REFUSED, Staleness.ENDPOINT)
        assert made.receiver == gathered.queue.receiver
        assert {(result.state, result.attempts, result.due) for result in results} == {(DeliveryState.PENDING, 0, 0.0)}


def test_what_is_in_a_refused_digest_goes_in_halves() -> None:
    gathered = Gathered(Held(*some([1, 2, 3, 4])))
    gathered.look()
    _, results = gathered.judge(gathered.begin(), REFUSED)
    assert [(result.delivery.seq, result.state, result.at) for result in results] == [
        (seq, DeliveryState.PENDING, NOW) for seq in (1, 2, 3, 4)
    ]
    gathered.look()
    assert [each.seq for each in gathered.begin().deliveries] == [1, 2]


def test_the_outcome_of_what_is_not_gathered_is_that_of_its_delivery() -> None:
    queue = Gathered(Held()).queue
    (delivery,) = some([1])
    assignment = Assignment(queue, ROUTE, delivery, NOW, 0, 0, False)
    for outcome in (DELIVERED, REFUSED):
        made = decide(outcome, delivery, queue.receiver, POLICY, now=NOW)
        assert judge(assignment, queue.receiver, outcome, POLICY, NOW, Staleness.NOTHING) == (made, [made.result])
    stale = assignment._replace(settings_version=1)
    assert judge(stale, queue.receiver, REFUSED, POLICY, NOW, Staleness.ENDPOINT)[0].receiver == queue.receiver
