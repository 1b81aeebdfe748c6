"""Changes by an outcome, as a table."""

from dataclasses import replace

import pytest

from kubectl_sew.consumers.base import FailureReason, Outcome, Verdict
from kubectl_sew.event import Event
from sew_agent.base.token_bucket import TokenBucket
from sew_agent.delivery.retry import (
    DOWN_AFTER,
    MAX_TRIES,
    PROBE_EVERY,
    Policy,
    Staleness,
    backoff,
    decide,
    is_failing,
    is_probed,
    remaining,
    to_probe,
    with_settings,
    within_clock,
)
from sew_agent.store.records import Delivery, DeliveryResult, DeliveryState, ReceiverState

NOW = 1_800_000_000.0
POLICY = Policy(initial=2.0, longest=900.0, horizon=72 * 3600.0, chance=lambda: 1.0)
RECEIVER = ReceiverState("hook", settings_digest="s", endpoint_digest="e")
PROVEN = replace(RECEIVER, proven=True)
RETRY = Outcome(Verdict.RETRY, FailureReason.SERVER_ERROR, "503")
WAIT = Outcome(Verdict.WAIT, FailureReason.RATE_LIMITED, "429", retry_after=77.0)
WAIT_1 = replace(WAIT, retry_after=1.0)
PARK = Outcome(Verdict.PARKED, FailureReason.CREDENTIAL_REFUSED, "401")
REFUSED = Outcome(Verdict.REJECTED, FailureReason.EVENT_REFUSED, "400")
HELD = replace(RECEIVER, failures=1, held_until=NOW + 2, retry_until=NOW + 2, held_at=NOW, since=NOW, different=1)
ASKED = replace(HELD, waiting=True, held_until=NOW + 77, retry_until=NOW + 77, reason="rate_limited", detail="429")


def delivery(**more: object) -> Delivery:
    return Delivery(1, "hook", "id", Event("", "a", {}), NOW - 5)._replace(**more)  # type: ignore[arg-type]


TRIED = delivery(attempts=2, first_attempt=NOW - 60)


def written(outcome: Outcome, state: DeliveryState, **more: object) -> DeliveryResult:
    """The least that is written of an attempt."""
    before = delivery(**more)
    return DeliveryResult(before, state, NOW, before.attempts + 1, reason=outcome.reason.value, detail=outcome.detail)


def decided(outcome: Outcome, receiver: ReceiverState = RECEIVER, **more: object):  # type: ignore[no-untyped-def]
    return decide(outcome, delivery(**more), receiver, POLICY, now=NOW)


@pytest.mark.parametrize(
    ("outcome", "state", "held", "retried"),
    [
        (Outcome(Verdict.DELIVERED), DeliveryState.DELIVERED, 0.0, 0.0),
        (Outcome(Verdict.REJECTED), DeliveryState.DEAD, 0.0, 0.0),
        (RETRY, DeliveryState.PENDING, NOW + 2, NOW + 2),
        (Outcome(Verdict.WAIT, retry_after=77.0), DeliveryState.PENDING, NOW + 77, NOW + 77),
        (Outcome(Verdict.WAIT, retry_after=0.0), DeliveryState.PENDING, NOW + 2, NOW + 2),
        (Outcome(Verdict.PARKED), DeliveryState.PENDING, NOW + 2, NOW + 2),
    ],
)
def test_each_verdict_decides_the_delivery_and_how_long_its_receiver_state_is_held(
    outcome: Outcome, state: DeliveryState, held: float, retried: float
) -> None:
    made = decided(outcome)
    assert (made.result.state, made.receiver.held_until, made.receiver.retry_until) == (state, held, retried)
    assert made.result.attempts == 1


@pytest.mark.parametrize(
    ("outcome", "written"),
    [
        (
            Outcome(Verdict.DELIVERED, receipt="P-1"),
            DeliveryResult(TRIED, DeliveryState.DELIVERED, NOW, 3, receipt="P-1"),
        ),
        (REFUSED, DeliveryResult(TRIED, DeliveryState.DEAD, NOW, 3, reason="event_refused", detail="400")),
        (RETRY, DeliveryResult(TRIED, DeliveryState.PENDING, NOW, 3, NOW, "server_error", "503", in_doubt=True)),
        (WAIT, DeliveryResult(TRIED, DeliveryState.PENDING, NOW, 3, NOW, "rate_limited", "429")),
        (PARK, DeliveryResult(TRIED, DeliveryState.PENDING, NOW, 3, NOW, "credential_refused", "401")),
    ],
)
def test_what_is_written_of_an_attempt_is_when_how_often_and_what_the_receiver_said(
    outcome: Outcome, written: DeliveryResult
) -> None:
    assert decide(outcome, TRIED, RECEIVER, POLICY, now=NOW).result == written


@pytest.mark.parametrize(("outcome", "staleness", "remembered"), [
    (RETRY, Staleness.NOTHING, replace(HELD, reason="server_error", detail="503")),
    (PARK, Staleness.NOTHING, replace(HELD, parked=True, reason="credential_refused", detail="401")),
    (WAIT, Staleness.NOTHING, ASKED),
    (WAIT, Staleness.RECEIVER, replace(ASKED, different=0)),
    (WAIT, Staleness.SETTINGS, replace(ASKED, different=0)),
    (WAIT, Staleness.ENDPOINT, RECEIVER),
    (PARK, Staleness.RECEIVER, RECEIVER),
    (REFUSED, Staleness.NOTHING, replace(RECEIVER, refused=(1,))),
    (REFUSED, Staleness.RECEIVER, replace(RECEIVER, refused=(1,))),
])  # fmt: skip
def test_what_is_remembered_of_a_receiver_is_how_long_it_is_held_and_why(
    outcome: Outcome, staleness: Staleness, remembered: ReceiverState
) -> None:
    assert decide(outcome, delivery(), RECEIVER, POLICY, now=NOW, staleness=staleness).receiver == remembered


def pauses(outcome: Outcome, count: int) -> list[float]:
    """Return the pauses after so many different events that fail in a row."""
    receiver, pauses = RECEIVER, []
    for _ in range(count):
        receiver = decided(outcome, receiver).receiver
        assert receiver.retry_until >= receiver.held_until
        pauses.append(receiver.held_until - NOW)
    return pauses


def test_the_pauses_of_a_few_different_events_are_short_and_then_they_grow() -> None:
    assert pauses(RETRY, DOWN_AFTER + 3) == [2.0] * DOWN_AFTER + [4.0, 8.0, 16.0]
    assert pauses(RETRY, 100)[-1] == 900.0
    assert pauses(Outcome(Verdict.PARKED), DOWN_AFTER + 2) == [2.0] * DOWN_AFTER + [PROBE_EVERY] * 2


@pytest.mark.parametrize(
    ("receiver", "outcome", "attempts", "held", "retried"),
    [
        (replace(HELD, held_until=1.0), RETRY, 1, 1.0, NOW + 4),
        (replace(HELD, held_until=1.0, different=DOWN_AFTER), RETRY, 1, 1.0, NOW + 4),
        (replace(HELD, held_until=1.0, different=DOWN_AFTER + 1), RETRY, 1, NOW + 4, NOW + 4),
        (replace(HELD, held_until=NOW + 100), RETRY, 0, NOW + 2, NOW + 4),
        (replace(HELD, different=DOWN_AFTER + 2), WAIT_1, 0, NOW + 16, NOW + 16),
        (replace(HELD, held_until=NOW + 100), WAIT_1, 1, NOW + 100, NOW + 100),
        (replace(HELD, failures=DOWN_AFTER - 1), PARK, 1, NOW + 2, NOW + 2),
        (replace(HELD, failures=DOWN_AFTER), PARK, 1, NOW + 2, NOW + PROBE_EVERY),
    ],
    ids=[
        "an event that fails again holds up no other",
        "also not after a few different ones",
        "but it does where many different ones failed",
        "a pause that had ended before the clock was set back gives way to the new one",
        "a short Retry-After does not cut the pause of a receiver that is down",
        "nor one that lasts",
        "a parked receiver gets those that failed as soon as others, a few times",
        "and then once an hour",
    ],
)
def test_how_long_an_event_holds_up_all_and_how_long_those_that_failed(
    receiver: ReceiverState, outcome: Outcome, attempts: int, held: float, retried: float
) -> None:
    made = decided(outcome, receiver, attempts=attempts).receiver
    assert (made.held_until, made.retry_until) == (held, retried)


def test_the_first_failure_of_a_receiver_that_accepts_is_a_doubt_and_another_event_goes_at_once() -> None:
    receiver = decided(Outcome(Verdict.PARKED), PROVEN).receiver
    assert (receiver.held_until, receiver.retry_until, receiver.parked, receiver.proven) == (NOW, NOW + 2, False, False)
    assert decided(Outcome(Verdict.PARKED), receiver).receiver.parked


def test_an_event_that_fails_again_changes_how_long_it_waits_and_not_how_long_others_do() -> None:
    receiver = decided(RETRY).receiver
    for attempts in range(1, 9):
        receiver = decided(RETRY, receiver, attempts=attempts).receiver
    assert (receiver.failures, receiver.held_until, receiver.retry_until) == (9, NOW + 2, NOW + 512)


def test_an_event_that_failed_before_others_were_accepted_is_alone_the_trouble() -> None:
    made = decided(RETRY, PROVEN, attempts=3)
    assert (made.receiver.proven, made.receiver.held_until, is_failing(made.receiver)) == (True, 0.0, False)
    assert made.result == written(RETRY, DeliveryState.PENDING, attempts=3)._replace(due=NOW + 16, in_doubt=True)
    again = decided(REFUSED, PROVEN, attempts=1)
    assert (again.result, again.receiver) == (written(REFUSED, DeliveryState.DEAD, attempts=1), PROVEN)


def test_many_of_them_in_a_row_with_nothing_accepted_make_it_the_receiver() -> None:
    receiver = PROVEN
    for _ in range(DOWN_AFTER):
        assert not is_failing(receiver)
        receiver = decided(RETRY, receiver, attempts=3).receiver
    assert is_failing(receiver)


@pytest.mark.parametrize(
    ("attempts", "state"), [(0, DeliveryState.PENDING), (1, DeliveryState.PENDING), (MAX_TRIES - 1, DeliveryState.DEAD)]
)
def test_one_that_is_refused_like_a_wrong_configuration_has_a_few_tries(attempts: int, state: DeliveryState) -> None:
    made = decided(PARK, PROVEN, attempts=attempts).result
    assert made == written(PARK, state, attempts=attempts)._replace(due=made.due)
    assert decided(PARK, RECEIVER, attempts=attempts).result.state is DeliveryState.PENDING


@pytest.mark.parametrize("verdict", [Verdict.RETRY, Verdict.WAIT, Verdict.PARKED, Verdict.REJECTED])
@pytest.mark.parametrize("staleness", [Staleness.SETTINGS, Staleness.ENDPOINT])
def test_under_other_settings_a_failure_is_as_if_it_had_not_been(verdict: Verdict, staleness: Staleness) -> None:
    outcome = Outcome(verdict, FailureReason.SERVER_ERROR, "no", retry_after=77.0)
    made = decide(outcome, delivery(attempts=2, due=5.0), PROVEN, POLICY, now=NOW, staleness=staleness)
    doubt = verdict is Verdict.RETRY
    as_it_was = DeliveryResult(
        delivery(attempts=2, due=5.0), DeliveryState.PENDING, NOW, 2, 5.0, "server_error", "no", in_doubt=doubt
    )
    assert made.result == as_it_was
    waits = verdict is Verdict.WAIT and staleness is Staleness.SETTINGS
    assert made.receiver.held_until == (NOW + 77 if waits else 0.0)


def test_what_began_before_the_newest_knowledge_only_waits_and_the_longest_wait_holds() -> None:
    held = decided(Outcome(Verdict.WAIT, retry_after=100.0)).receiver
    for outcome, until in (
        (Outcome(Verdict.DELIVERED), NOW + 100),
        (RETRY, NOW + 100),
        (Outcome(Verdict.PARKED), NOW + 100),
        (Outcome(Verdict.WAIT, retry_after=50.0), NOW + 100),
        (Outcome(Verdict.WAIT, retry_after=150.0), NOW + 150),
    ):
        receiver = decide(outcome, delivery(), held, POLICY, now=NOW, staleness=Staleness.RECEIVER).receiver
        assert (receiver.held_until, receiver.failures, receiver.parked) == (until, 1, False)


def test_so_many_rejected_in_a_row_park_the_webhook_and_are_pending_again() -> None:
    receiver, dead = PROVEN, []
    for seq in range(1, DOWN_AFTER):
        made = decided(REFUSED, receiver, seq=seq)
        receiver, dead = made.receiver, [*dead, seq]
        assert (made.result.state, receiver.parked) == (DeliveryState.DEAD, False)
    made = decided(REFUSED, receiver, seq=DOWN_AFTER)
    assert made.result == DeliveryResult(
        delivery(seq=DOWN_AFTER), DeliveryState.PENDING, NOW, 1, due=NOW, reason="event_refused", detail="400"
    )
    parked = replace(
        HELD,
        failures=DOWN_AFTER,
        parked=True,
        reason="event_refused",
        detail="400",
        different=DOWN_AFTER,
        refused=(*dead, DOWN_AFTER),
    )
    assert (made.receiver, list(made.revived)) == (parked, dead)
    for count, pause in ((1, 4.0), (2, 8.0)):
        made = decide(REFUSED, delivery(seq=DOWN_AFTER + count), made.receiver, POLICY, now=NOW + 60)
        later = {"held_until": NOW + 60 + pause, "retry_until": NOW + 60 + pause, "held_at": NOW + 60}
        assert made.receiver == replace(parked, failures=DOWN_AFTER + count, different=DOWN_AFTER + count, **later)  # type: ignore[arg-type]
        assert (made.result.state, made.result.due, made.revived) == (DeliveryState.PENDING, NOW + 60, ())


def test_an_event_that_is_rejected_again_is_one_of_a_row_and_none_after_the_parking_is_a_dead_letter() -> None:
    receiver = replace(RECEIVER, refused=(1, 2))
    assert decided(REFUSED, receiver, seq=2).receiver == receiver
    late = decide(REFUSED, delivery(seq=3), receiver, POLICY, now=NOW, staleness=Staleness.RECEIVER)
    assert (late.result, late.receiver.refused) == (written(REFUSED, DeliveryState.DEAD, seq=3), (1, 2, 3))
    late = decide(REFUSED, delivery(), PARKED, POLICY, now=NOW, staleness=Staleness.RECEIVER)
    assert (late.result, late.receiver) == (written(REFUSED, DeliveryState.PENDING)._replace(due=NOW), PARKED)


@pytest.mark.parametrize(("until", "waits"), [(NOW - 1, False), (NOW + 0.5, True)])
def test_a_receiver_that_rejects_all_waits_for_as_long_as_it_asked_before(until: float, waits: bool) -> None:
    receiver = replace(ASKED, held_until=until, refused=(1, 2, 3, 4))
    made = decided(REFUSED, receiver, seq=5).receiver
    assert (made.parked, made.waiting, made.held_until) == (True, waits, NOW + 2)


def test_a_late_wait_makes_nothing_shorter_and_forgets_that_the_receiver_accepts() -> None:
    retried = replace(PROVEN, retry_until=NOW + 100, held_at=NOW)
    for receiver, since in ((retried, NOW), (replace(retried, proven=False, failures=3, since=5.0), 5.0)):
        made = decide(
            replace(WAIT, retry_after=0.0), delivery(), receiver, POLICY, now=NOW, staleness=Staleness.RECEIVER
        ).receiver
        assert (made.held_until, made.retry_until, made.since, made.proven) == (NOW + 2, NOW + 100, since, False)


def test_rejections_that_come_after_it_do_not_cut_short_what_the_receiver_asked_for() -> None:
    receiver = decided(Outcome(Verdict.WAIT, retry_after=3600.0), PROVEN).receiver
    for seq in range(2, DOWN_AFTER + 3):
        receiver = decide(
            Outcome(Verdict.REJECTED), delivery(seq=seq), receiver, POLICY, now=NOW, staleness=Staleness.RECEIVER
        ).receiver
    assert receiver.parked
    assert (receiver.held_until, receiver.retry_until) == (NOW + 3600.0, NOW + 3600.0)
    assert with_settings(receiver, "new", "e").held_until == NOW + 3600.0, "nor does a change of settings"


@pytest.mark.parametrize("reason", [FailureReason.RENDERING, FailureReason.INTERNAL])
def test_a_webhook_that_can_send_nothing_of_what_it_has_is_parked_as_one_whose_receiver_rejects_all(
    reason: FailureReason,
) -> None:
    receiver = PROVEN
    for seq in range(1, DOWN_AFTER + 1):
        made = decide(Outcome(Verdict.REJECTED, reason, "why"), delivery(seq=seq), receiver, POLICY, now=NOW)
        receiver = made.receiver
    assert (receiver.parked, receiver.reason, receiver.detail) == (True, reason.value, "why")
    assert made.revived == (1, 2, 3, 4)
    assert not decided(Outcome(Verdict.DELIVERED), receiver).receiver.parked


def test_the_pause_doubles_up_to_the_longest_and_is_drawn_from_its_whole_range() -> None:
    assert [backoff(failures, POLICY) for failures in (1, 2, 3, 4, 9, 10, 10_000)] == [2, 4, 8, 16, 512, 900, 900]
    assert backoff(3, replace(POLICY, chance=lambda: 0.25)) == 2


@pytest.mark.parametrize(
    ("age", "outcome", "state"),
    [
        (72 * 3600.0 - 1, RETRY, DeliveryState.PENDING),
        (72 * 3600.0, RETRY, DeliveryState.DEAD),
        (72 * 3600.0, Outcome(Verdict.WAIT, retry_after=1.0), DeliveryState.DEAD),
        (72 * 3600.0, Outcome(Verdict.PARKED), DeliveryState.PENDING),
    ],
)
def test_after_the_horizon_a_delivery_is_a_dead_letter_unless_it_is_parked(
    age: float, outcome: Outcome, state: DeliveryState
) -> None:
    made = decided(outcome, first_attempt=NOW - age).result
    end = f"given up after 72 h: {outcome.detail}" if state is DeliveryState.DEAD else outcome.detail
    assert (made.state, made.at, made.detail) == (state, NOW, end)


def test_time_parked_does_not_count_against_the_horizon() -> None:
    parked = replace(PARKED, since=NOW - 71 * 3600.0)
    first_attempt = NOW - 80 * 3600.0
    assert decided(RETRY, parked, first_attempt=first_attempt).result.state is DeliveryState.PENDING
    assert (
        decided(RETRY, replace(parked, since=NOW - 3600.0), first_attempt=first_attempt).result.state
        is DeliveryState.DEAD
    )


def test_an_unknown_outcome_is_in_doubt_and_a_plain_refusal_is_not() -> None:
    assert decided(RETRY).result.in_doubt
    assert not decided(Outcome(Verdict.WAIT, retry_after=1.0)).result.in_doubt


@pytest.mark.parametrize(
    "later", [Outcome(Verdict.WAIT, retry_after=1.0), Outcome(Verdict.PARKED), Outcome(Verdict.REJECTED), RETRY]
)
def test_what_is_in_doubt_stays_so_until_it_is_delivered(later: Outcome) -> None:
    assert decided(later, in_doubt=True).result.in_doubt


def test_a_dead_letter_of_unknown_fate_is_searched_for_when_it_is_replayed() -> None:
    assert decided(RETRY, first_attempt=NOW - 72 * 3600.0).result.in_doubt


def test_success_clears_the_receiver_state_and_keeps_its_digests() -> None:
    troubled = replace(RECEIVER, failures=4, parked=True, held_until=NOW + 9)
    assert decided(Outcome(Verdict.DELIVERED), troubled).receiver == replace(RECEIVER, proven=True)


def test_since_is_when_the_trouble_of_this_kind_began() -> None:
    first = decided(RETRY).receiver
    later = decide(RETRY, delivery(), first, POLICY, now=NOW + 50).receiver
    parked = decide(Outcome(Verdict.PARKED), delivery(), later, POLICY, now=NOW + 60).receiver
    assert (first.since, later.since, parked.since) == (NOW, NOW, NOW + 60)


PARKED = replace(RECEIVER, failures=1, parked=True, held_until=NOW + 3600)
WAITING = replace(RECEIVER, failures=1, waiting=True, held_until=NOW + 3600)


@pytest.mark.parametrize(
    ("receiver", "settings", "endpoint", "held"),
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
    receiver: ReceiverState, settings: str, endpoint: str, held: float
) -> None:
    after = with_settings(receiver, settings, endpoint)
    assert after.held_until == held
    assert (after.settings_digest, after.endpoint_digest) == (settings, endpoint)


def test_what_is_kept_over_a_change_is_what_the_receiver_asked_for_and_that_it_accepts() -> None:
    known = replace(WAITING, parked=True, different=3, refused=(1,), retry_until=NOW + 9, reason="r", detail="d")
    kept = replace(known, parked=False, different=0, refused=(), retry_until=NOW + 3600, settings_digest="new")
    assert with_settings(known, "new", "e") == kept
    assert with_settings(replace(PROVEN, failures=1, refused=(1,)), "new", "e") == replace(
        PROVEN, settings_digest="new"
    )
    for receiver in (known, PROVEN):
        assert with_settings(receiver, "new", "new") == ReceiverState(
            "hook", settings_digest="new", endpoint_digest="new"
        )


def test_a_parked_receiver_is_probed_with_a_few_events_when_it_asked_for() -> None:
    parked = replace(PARKED, failures=9, different=9, retry_until=NOW + 3600)
    again = replace(parked, failures=0, different=0, held_until=0.0, retry_until=0.0)
    assert to_probe(parked) == again
    assert to_probe(replace(parked, waiting=True)) == replace(
        again, waiting=True, held_until=NOW + 3600, retry_until=NOW + 3600
    )
    assert [is_probed(replace(PARKED, failures=count)) for count in (DOWN_AFTER, DOWN_AFTER + 1)] == [False, True]
    assert not is_probed(replace(HELD, failures=DOWN_AFTER + 1))


def test_a_clock_that_was_set_back_moves_all_moments_with_it_and_one_that_goes_on_none() -> None:
    receiver = replace(HELD, held_until=NOW + 2, retry_until=NOW + 4, held_at=NOW, since=NOW - 50)
    for now in (NOW, NOW + 1):
        assert within_clock(receiver, now) is receiver
    for back in (0.5, 3.0):
        shifted = {"held_until": NOW + 2 - back, "retry_until": NOW + 4 - back, "since": NOW - 50 - back}
        assert within_clock(receiver, NOW - back) == replace(receiver, held_at=NOW - back, **shifted)  # type: ignore[arg-type]


def test_a_moment_that_is_further_ahead_than_any_pause_is_of_another_clock() -> None:
    assert [remaining(NOW + ahead, 10.0, NOW) for ahead in (-1.0, 0.0, 4.0, 10.0, 10.5)] == [0.0, 0.0, 4.0, 10.0, 0.0]


def test_a_second_failure_does_not_cut_short_what_the_receiver_asked_for() -> None:
    receiver = decided(Outcome(Verdict.WAIT, retry_after=600.0)).receiver
    assert decided(RETRY, receiver).receiver.held_until == NOW + 600


def test_a_bucket_holds_one_second_and_says_how_long_to_wait() -> None:
    bucket = TokenBucket(rate=2.0)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    assert bucket.take(100.25) == 0.25
    assert bucket.take(100.5) == 0.0
    assert bucket.take(1000.0) == 0.0
    assert bucket.take(1000.0) == 0.0
    assert bucket.take(1000.0) == 0.5


def test_a_slow_bucket_holds_at_least_one() -> None:
    bucket = TokenBucket(rate=10 / 60)
    assert bucket.take(100.0) == 0.0
    assert bucket.take(100.0) == pytest.approx(6.0)
    assert bucket.take(106.0) == 0.0


def test_a_pause_of_a_clock_that_was_far_ahead_is_none_and_a_failure_after_it_begins_one() -> None:
    far = replace(RECEIVER, failures=1, held_until=NOW + 1e7, retry_until=NOW + 1e7, held_at=NOW + 1e7)
    made = decided(RETRY, far, attempts=1)
    assert made.receiver.held_until <= NOW
    assert NOW < made.receiver.retry_until <= NOW + 4
