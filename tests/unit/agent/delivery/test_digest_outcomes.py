"""A digest under way: what stands for it, and what its outcome means for each of its deliveries."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from kubectl_sew.consumers.base import FailureReason, Outcome, Verdict
from kubectl_sew.consumers.digest import digest_id, make_digest
from kubectl_sew.consumers.digest_settings import DigestSettings
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EVENT_MAPS
from sew_agent.delivery.digests import bundle, decide_digest
from sew_agent.delivery.gathering import STUCK
from sew_agent.delivery.retry import MAX_TRIES, Decision, Policy, Staleness, decide
from sew_agent.store.records import Delivery, DeliveryResult, DeliveryState, ReceiverState

NOW = 1_800_000_000.0
POLICY = Policy(initial=2.0, longest=900.0, horizon=72 * 3600.0, chance=lambda: 1.0)
SETTINGS = DigestSettings(60.0)
RECEIVER = ReceiverState("hook", settings_digest="s", endpoint_digest="e")
PROVEN = replace(RECEIVER, proven=True)
DELIVERED = Outcome(Verdict.DELIVERED, receipt="P-1")
RETRY = Outcome(Verdict.RETRY, FailureReason.SERVER_ERROR, "503")
WAIT = Outcome(Verdict.WAIT, FailureReason.RATE_LIMITED, "429", retry_after=77.0)
PARKED = Outcome(Verdict.PARKED, FailureReason.CREDENTIAL_REFUSED, "401")
REFUSED = Outcome(Verdict.REJECTED, FailureReason.EVENT_REFUSED, "400")
PENDING, DEAD = DeliveryState.PENDING, DeliveryState.DEAD


def event(seq: int) -> Event:
    return Event("events", f"e{seq}", {"type": "waf", "severity": 50 + seq, "time": NOW - seq, "host": "h" * 100})


def delivery(seq: int, **kept: Any) -> Delivery:
    return Delivery(seq, "hook", f"id-{seq}", event(seq), NOW - 5, **kept)


def decided(
    outcome: Outcome,
    tried: Sequence[int],
    receiver: ReceiverState = RECEIVER,
    staleness: Staleness = Staleness.NOTHING,
    **kept: Any,
) -> tuple[Delivery, list[Delivery], Decision, Sequence[DeliveryResult], bool]:
    """Return a digest whose deliveries were tried so often, and what its outcome means."""
    members = [delivery(seq, attempts=attempts, **kept) for seq, attempts in enumerate(tried)]
    lead, made = bundle(members, SETTINGS, EVENT_MAPS)
    kept_members = list(made.members)
    judged = decide_digest(outcome, lead, kept_members, receiver, POLICY, now=NOW, staleness=staleness)
    return lead, kept_members, *judged


def test_the_oldest_stands_for_a_digest_under_an_id_of_its_own() -> None:
    lead, made = bundle([delivery(1), delivery(2)], SETTINGS, EVENT_MAPS)
    identity = digest_id("hook", ["id-1", "id-2"])
    assert (lead.seq, lead.webhook, lead.delivery_id, lead.digest) == (1, "hook", identity, identity)
    assert [(member.seq, member.delivery_id, member.digest) for member in made.members] == [
        (1, "id-1", identity),
        (2, "id-2", identity),
    ]
    assert made.digest == make_digest([event(1), event(2)], SETTINGS, EVENT_MAPS)


def test_a_digest_that_was_sent_before_keeps_its_id_whoever_is_gone() -> None:
    lead, made = bundle([delivery(2, digest="d"), delivery(3, digest="d")], SETTINGS, EVENT_MAPS)
    assert (lead.delivery_id, lead.digest, {member.digest for member in made.members}) == ("d", "d", {"d"})


@pytest.mark.parametrize(("begun", "first"), [((NOW - 9, NOW - 3), NOW - 3), ((NOW - 9, None), None)])
def test_a_digest_is_as_old_as_the_youngest_of_it_and_was_tried_as_often_as_any_of_it(
    begun: tuple[float, float | None], first: float | None
) -> None:
    members = [delivery(1, attempts=1, first_attempt=begun[0]), delivery(2, attempts=4, first_attempt=begun[1])]
    lead, made = bundle(members, SETTINGS, EVENT_MAPS)
    assert (lead.attempts, lead.first_attempt, lead.in_doubt) == (4, first, False)
    assert [member.attempts for member in made.members] == [1, 4]
    assert bundle([*members, delivery(3, in_doubt=True)], SETTINGS, EVENT_MAPS)[0].in_doubt


def test_of_each_event_only_what_the_log_shows_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def headings() -> list[Mapping[str, Any]]:
        lead, made = bundle([delivery(1), delivery(2)], SETTINGS, EVENT_MAPS)
        assert lead.event == made.members[0].event
        assert [(member.event.index, member.event.id) for member in made.members] == [
            ("events", "e1"),
            ("events", "e2"),
        ]
        return [member.event.document for member in made.members]

    def mistaken(*_: object) -> None:
        raise KeyError("x")

    assert headings() == [{"type": "waf", "severity": 50 + seq, "time": NOW - seq} for seq in (1, 2)]
    monkeypatch.setattr(type(EVENT_MAPS), "heading", mistaken)
    assert headings() == [{}, {}]


def test_a_digest_that_is_taken_is_taken_for_each_of_it() -> None:
    lead, members, made, results, halved = decided(DELIVERED, [0, 2], PROVEN)
    expected = decide(DELIVERED, lead, PROVEN, POLICY, now=NOW)
    assert made == expected._replace(result=expected.result._replace(digest="", in_doubt=False))
    assert results == [
        DeliveryResult(members[0], DeliveryState.DELIVERED, NOW, 1, receipt="P-1"),
        DeliveryResult(members[1], DeliveryState.DELIVERED, NOW, 3, receipt="P-1"),
    ]
    assert not halved


@pytest.mark.parametrize("staleness", [Staleness.NOTHING, Staleness.RECEIVER])
def test_what_is_in_a_refused_digest_was_not_tried_and_goes_at_once_in_halves(staleness: Staleness) -> None:
    lead, members, made, results, halved = decided(REFUSED, [1, 3], staleness=staleness, in_doubt=True)
    written = DeliveryResult(lead, PENDING, NOW, 3, NOW, "event_refused", "400")
    assert made == Decision(written, RECEIVER)
    assert results == [written._replace(delivery=members[0], attempts=1), written._replace(delivery=members[1])]
    assert halved


def test_what_is_refused_as_the_last_of_a_digest_is_judged_as_any_other_event_is() -> None:
    lead, members, made, results, halved = decided(REFUSED, [0])
    written = DeliveryResult(members[0], DEAD, NOW, 1, reason="event_refused", detail="400")
    assert (made.result, made.receiver) == (written._replace(delivery=lead), replace(RECEIVER, refused=(0,)))
    assert (results, halved) == ([written], False)


@pytest.mark.parametrize("outcome", [REFUSED, PARKED])
def test_a_refusal_under_settings_that_are_no_longer_those_says_nothing_of_a_digest(outcome: Outcome) -> None:
    _, members, made, results, halved = decided(outcome, [STUCK, 0], staleness=Staleness.SETTINGS)
    assert made.receiver == RECEIVER
    assert [(one.delivery, one.state, one.attempts) for one in results] == [
        (members[0], PENDING, STUCK),
        (members[1], PENDING, 0),
    ]
    assert not halved


@pytest.mark.parametrize(
    ("outcome", "tried", "held", "halved"),
    [
        (RETRY, STUCK - 2, True, False),
        (RETRY, STUCK - 1, False, True),
        (WAIT, 0, False, False),
        (WAIT, STUCK - 1, False, True),
        (PARKED, 0, False, True),
    ],
)
def test_a_digest_that_may_have_arrived_stays_one_until_it_is_stuck_and_others_are_gathered_anew(
    outcome: Outcome, tried: int, *, held: bool, halved: bool
) -> None:
    lead, members, made, results, smaller = decided(outcome, [tried, 0])
    expected = decide(outcome, lead, RECEIVER, POLICY, now=NOW)
    kept = {"digest": lead.digest if held else "", "in_doubt": held}
    assert made == expected._replace(result=expected.result._replace(**kept))  # type: ignore[arg-type]
    assert results == [
        made.result._replace(delivery=members[0], attempts=tried + 1),
        made.result._replace(delivery=members[1], attempts=1),
    ]
    assert made.result.state is PENDING
    assert smaller is halved


@pytest.mark.parametrize(("outcome", "tried"), [(RETRY, STUCK - 1), (PARKED, 0)])
def test_what_is_alone_in_its_digest_cannot_be_halved(outcome: Outcome, tried: int) -> None:
    *_, results, halved = decided(outcome, [tried])
    assert (len(results), halved) == (1, False)
    assert results[0].in_doubt is (outcome is RETRY)


def test_a_digest_that_is_refused_as_a_wrong_configuration_is_goes_in_halves_and_none_of_it_dies() -> None:
    _, members, made, results, halved = decided(PARKED, [MAX_TRIES - 1, 0], PROVEN)
    assert (made.result.state, made.result.attempts, made.result.due) == (PENDING, MAX_TRIES - 1, NOW)
    assert made.receiver.failures == 1
    assert results == [
        DeliveryResult(members[0], PENDING, NOW, MAX_TRIES - 1, NOW, "credential_refused", "401"),
        DeliveryResult(members[1], PENDING, NOW, 0, NOW, "credential_refused", "401"),
    ]
    assert halved


def test_one_of_these_that_may_have_arrived_before_stays_one_and_waits_a_while() -> None:
    lead, members, made, results, halved = decided(PARKED, [MAX_TRIES - 1, 1], PROVEN, in_doubt=True)
    wait = 2.0 * 2 ** (MAX_TRIES - 1)
    written = DeliveryResult(
        members[0], PENDING, NOW, MAX_TRIES, NOW + wait, "credential_refused", "401", in_doubt=True, digest=lead.digest
    )
    assert results == [written, written._replace(delivery=members[1], attempts=2)]
    assert made.result == written._replace(delivery=lead)
    assert not halved


def test_one_of_these_that_is_alone_dies() -> None:
    *_, results, halved = decided(PARKED, [MAX_TRIES - 1], PROVEN)
    assert ([one.state for one in results], halved) == ([DEAD], False)


def test_what_is_given_up_in_a_digest_was_never_sent_by_its_own_id() -> None:
    lead, members, made, results, halved = decided(RETRY, [9, 8], first_attempt=NOW - POLICY.horizon)
    assert [(one.delivery, one.state, one.attempts) for one in results] == [
        (members[0], DEAD, 10),
        (members[1], DEAD, 9),
    ]
    assert {(one.digest, one.in_doubt) for one in [made.result, *results]} == {("", False)}
    assert (made.result.delivery, halved) == (lead, False)
