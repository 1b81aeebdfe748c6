"""What an outcome changes, as a table."""

from dataclasses import replace

import pytest

from agent.delivery.rate_limit import Bucket
from agent.delivery.retry import PROBE_EVERY, Policy, backoff, changed, decide, joint
from agent.store.base import Delivery, Lane, State
from kubectl_sew.consumers.base import FailureReason, Outcome, Verdict
from kubectl_sew.event import Event

NOW = 1_800_000_000.0
POLICY = Policy(initial=2.0, longest=900.0, horizon=72 * 3600.0, chance=lambda: 1.0)
LANE = Lane("hook", settings_digest="s", endpoint_digest="e")
RETRY = Outcome(Verdict.RETRY, FailureReason.SERVER_ERROR, "503")


def delivery(**more: object) -> Delivery:
    return replace(Delivery(1, "hook", "id", Event("", "a", {}), NOW - 5), **more)  # type: ignore[arg-type]


def decided(outcome: Outcome, lane: Lane = LANE, **more: object):  # type: ignore[no-untyped-def]
    return decide(outcome, delivery(**more), lane, POLICY, now=NOW)


@pytest.mark.parametrize(
    ("outcome", "state", "held"),
    [
        (Outcome(Verdict.DELIVERED), State.DELIVERED, 0.0),
        (Outcome(Verdict.REJECTED), State.DEAD, 0.0),
        (RETRY, State.PENDING, NOW + 2),
        (Outcome(Verdict.WAIT, retry_after=77.0), State.PENDING, NOW + 77),
        (Outcome(Verdict.WAIT, retry_after=0.0), State.PENDING, NOW + 2),
        (Outcome(Verdict.PARKED), State.PENDING, NOW + PROBE_EVERY),
    ],
)
def test_each_verdict_decides_the_delivery_and_how_long_its_lane_is_held(
    outcome: Outcome, state: State, held: float
) -> None:
    made = decided(outcome)
    assert (made.settlement.state, made.lane.held_until) == (state, held)
    assert made.settlement.attempts == 1


def test_the_pause_doubles_up_to_the_longest_and_is_drawn_from_its_whole_range() -> None:
    assert [backoff(failures, POLICY) for failures in (1, 2, 3, 4, 9, 10, 10_000)] == [2, 4, 8, 16, 512, 900, 900]
    assert backoff(3, replace(POLICY, chance=lambda: 0.25)) == 2


def test_the_lane_backs_off_not_each_event() -> None:
    lane = LANE
    for failures, held in ((1, 2), (2, 4), (3, 8)):
        lane = decided(RETRY, lane).lane
        assert (lane.failures, lane.held_until) == (failures, NOW + held)


def test_what_fails_beside_others_fails_once_and_the_longest_pause_holds_for_all() -> None:
    day = Outcome(Verdict.WAIT, retry_after=86_400.0)
    outcomes = (Outcome(Verdict.DELIVERED), RETRY, day, Outcome(Verdict.PARKED), Outcome(Verdict.DELIVERED))
    made = joint([decided(each) for each in outcomes])
    assert [each.settlement.state is State.DELIVERED for each in made] == [True, False, False, False, True]
    assert {(each.lane.failures, each.lane.parked, each.lane.held_until) for each in made} == {(1, True, NOW + 86_400)}
    assert {each.lane for each in joint([decided(outcomes[0])] * 2)} == {replace(LANE, proven=True)}


@pytest.mark.parametrize(("attempts", "aside"), [(0, False), (1, False), (2, True), (7, True)])
def test_after_three_failures_an_event_steps_aside(attempts: int, aside: bool) -> None:
    assert (decided(RETRY, attempts=attempts).settlement.due > NOW) is aside


@pytest.mark.parametrize(
    ("age", "outcome", "state"),
    [
        (72 * 3600.0 - 1, RETRY, State.PENDING),
        (72 * 3600.0, RETRY, State.DEAD),
        (72 * 3600.0, Outcome(Verdict.WAIT, retry_after=1.0), State.DEAD),
        (72 * 3600.0, Outcome(Verdict.PARKED), State.PENDING),
    ],
)
def test_after_the_horizon_a_delivery_is_a_dead_letter_unless_it_is_parked(
    age: float, outcome: Outcome, state: State
) -> None:
    assert decided(outcome, first_attempt=NOW - age).settlement.state is state


def test_time_parked_does_not_count_against_the_horizon() -> None:
    parked = replace(PARKED, since=NOW - 71 * 3600.0)
    first_attempt = NOW - 80 * 3600.0
    assert decided(RETRY, parked, first_attempt=first_attempt).settlement.state is State.PENDING
    assert (
        decided(RETRY, replace(parked, since=NOW - 3600.0), first_attempt=first_attempt).settlement.state is State.DEAD
    )


def test_an_unknown_outcome_is_in_doubt_and_a_plain_refusal_is_not() -> None:
    assert decided(RETRY).settlement.in_doubt
    assert not decided(Outcome(Verdict.WAIT, retry_after=1.0)).settlement.in_doubt


@pytest.mark.parametrize(
    "later", [Outcome(Verdict.WAIT, retry_after=1.0), Outcome(Verdict.PARKED), Outcome(Verdict.REJECTED), RETRY]
)
def test_what_is_in_doubt_stays_so_until_it_is_delivered(later: Outcome) -> None:
    assert decided(later, in_doubt=True).settlement.in_doubt


def test_a_dead_letter_of_unknown_fate_is_looked_for_when_it_is_replayed() -> None:
    assert decided(RETRY, first_attempt=NOW - 72 * 3600.0).settlement.in_doubt


def test_success_clears_the_lane_and_keeps_its_digests() -> None:
    troubled = replace(LANE, failures=4, parked=True, held_until=NOW + 9)
    assert decided(Outcome(Verdict.DELIVERED), troubled).lane == replace(LANE, proven=True)


def test_since_is_when_the_trouble_of_this_kind_began() -> None:
    first = decided(RETRY).lane
    later = decide(RETRY, delivery(), first, POLICY, now=NOW + 50).lane
    parked = decide(Outcome(Verdict.PARKED), delivery(), later, POLICY, now=NOW + 60).lane
    assert (first.since, later.since, parked.since) == (NOW, NOW, NOW + 60)


PARKED = replace(LANE, failures=1, parked=True, held_until=NOW + 3600)
WAITING = replace(LANE, failures=1, waiting=True, held_until=NOW + 3600)


@pytest.mark.parametrize(
    ("lane", "settings", "endpoint", "held"),
    [
        (PARKED, "s", "e", NOW + 3600),
        (PARKED, "new", "e", 0.0),
        (PARKED, "new", "new", 0.0),
        (WAITING, "s", "e", NOW + 3600),
        (WAITING, "new", "e", NOW + 3600),
        (WAITING, "new", "new", 0.0),
    ],
)
def test_a_change_ends_parking_and_backoff_and_a_new_endpoint_ends_a_wait(
    lane: Lane, settings: str, endpoint: str, held: float
) -> None:
    after = changed(lane, settings, endpoint)
    assert after.held_until == held
    assert (after.settings_digest, after.endpoint_digest) == (settings, endpoint)


def test_a_second_failure_does_not_cut_short_what_the_receiver_asked_for() -> None:
    lane = decided(Outcome(Verdict.WAIT, retry_after=600.0)).lane
    assert decided(RETRY, lane).lane.held_until == NOW + 600


def test_a_bucket_holds_one_second_and_says_how_long_to_wait() -> None:
    bucket = Bucket(rate=2.0)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    assert bucket.take(100.5) == 0.0
    assert bucket.take(1000.0) == 0.0
    assert bucket.take(1000.0) == 0.0
    assert bucket.take(1000.0) == 0.5


def test_a_slow_bucket_holds_at_least_one() -> None:
    bucket = Bucket(rate=10 / 60)
    assert bucket.take(100.0) == 0.0
    assert bucket.take(100.0) == pytest.approx(6.0)
    assert bucket.take(106.0) == 0.0
