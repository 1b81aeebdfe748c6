"""Conditions of a webhook: status, reason and message."""

from dataclasses import replace

import pytest

from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.query import CALICO
from kubectl_sew.resource import (
    LABELS_ANNOTATION,
    Condition,
    ConfigVar,
    FetchedReason,
    HealthyReason,
    State,
    Webhook,
    checkpoint,
)
from kubectl_sew.validation.webhook import Accepted, InvalidWebhook
from sew_agent.ingest.progress import Progress
from sew_agent.status.conditions import LONG_WAIT, DeliveryTestResult, WebhookStatus, conditions
from sew_agent.store.records import Counters, ReceiverState
from sew_agent.webhooks.base import Snapshot
from sew_agent.webhooks.validator import WebhookValidator

NOW = 1_800_000_000.0
WEBHOOK = Webhook("w", "Generic", State.ENABLED, "type = waf", (ConfigVar("url", "https://example.com/SECRET"),))
READ = Progress("True", FetchedReason.READ, "read to 2027-01-15T08:00:00Z")


def validated(webhook: Webhook = WEBHOOK) -> Accepted:
    return WebhookValidator(lambda: CALICO, CONSUMERS).validate(Snapshot({"w": webhook}, {}, {})).accepted["w"]


GOOD = WebhookStatus(validated(), READ, ReceiverState("w"), Counters("w", 0, 0, 0, {}, None, None, "", 0))
INVALID = InvalidWebhook("the query ends too soon", HealthyReason.QUERY_PARSING, WEBHOOK)
DOWN = ReceiverState("w", failures=2, reason="http_5xx", detail="503")


def by_type(known: WebhookStatus, generation: int = 3) -> dict[str, Condition]:
    return {condition.type: condition for condition in conditions(known, generation=generation, now=NOW)}


def in_state(state: State) -> WebhookStatus:
    return replace(GOOD, validated=validated(replace(WEBHOOK, state=state)))


def counters(**changes: object) -> Counters:
    return replace(Counters("w", 0, 0, 0, {}, None, None, "", 0), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "status", "reason"),
    [
        (GOOD, "True", "WebhookValidation"),
        (replace(GOOD, counters=counters(delivered=1, last_delivered_at=NOW)), "True", "SecurityEventsProcessing"),
        (replace(GOOD, validated=INVALID), "False", "QueryParsing"),
        (in_state(State.DISABLED), "False", "WebhookState"),
        (in_state(State.DEBUG), "True", "WebhookValidation"),
        (replace(GOOD, receiver=DOWN), "False", "SecurityEventsProcessing"),
        (
            replace(GOOD, progress=Progress("False", FetchedReason.SOURCE_UNAVAILABLE, "down")),
            "False",
            "SecurityEventsProcessing",
        ),
        (replace(GOOD, progress=Progress("False", FetchedReason.UNANSWERABLE, "no")), "False", "QueryValidation"),
        (replace(GOOD, tested=DeliveryTestResult(NOW, True, "delivered")), "True", "TestFireProcedure"),
        (replace(GOOD, tested=DeliveryTestResult(NOW, False, "refused")), "False", "TestFireProcedure"),
        (
            replace(
                GOOD, tested=DeliveryTestResult(NOW - 9, False, "refused"), counters=counters(last_delivered_at=NOW)
            ),
            "True",
            "SecurityEventsProcessing",
        ),
    ],
)
def test_healthy_reports_the_first_thing_that_is_wrong(known: WebhookStatus, status: str, reason: str) -> None:
    shown = by_type(known)["Healthy"]
    assert (shown.status, shown.reason) == (status, reason)
    assert shown.message


@pytest.mark.parametrize(
    ("waiting", "rate", "age", "named"),
    [
        (19_938, 1.0, 9.0, "at most 1 a second are sent, so the last is sent in 5 h at the earliest"),
        (20, 10 / 60, 9.0, "at most 10 a minute are sent, so the last is sent in 2 min at the earliest"),
        (10, 1000.0, 301.0, "the oldest for 5 min: the receiver takes them more slowly than they come"),
    ],
)
def test_a_webhook_that_falls_behind_says_when_the_last_will_be_sent(
    waiting: int, rate: float, age: float, named: str
) -> None:
    late = replace(GOOD, rate=rate, counters=counters(pending=waiting, oldest_pending=NOW - age, last_delivered_at=NOW))
    shown = by_type(late)
    assert (shown["Delivering"].status, shown["Delivering"].reason) == ("True", "FallingBehind")
    assert named in shown["Delivering"].message
    assert shown["Healthy"].message.startswith("events are delivered, and late: ")


@pytest.mark.parametrize(("waiting", "rate", "age"), [(59, 1.0, 30.0), (9, 1000.0, 4000.0)])
def test_what_will_soon_be_sent_and_a_few_events_that_fail_are_no_falling_behind(
    waiting: int, rate: float, age: float
) -> None:
    shown = by_type(replace(GOOD, rate=rate, counters=counters(pending=waiting, oldest_pending=NOW - age)))
    assert shown["Delivering"].reason == "Delivering"


@pytest.mark.parametrize(("waiting", "age", "reason"), [(900, 3_890.0, "Delivering"), (10, 3_901.0, "FallingBehind")])
def test_what_is_gathered_into_digests_falls_behind_only_after_their_time(
    waiting: int, age: float, reason: str
) -> None:
    config = {**GOOD.validated.config, "digest": "1h"}  # type: ignore[union-attr]
    gathered = replace(GOOD, validated=replace(GOOD.validated, config=config))  # type: ignore[type-var]
    shown = by_type(replace(gathered, rate=1.0, counters=counters(pending=waiting, oldest_pending=NOW - age)))
    assert shown["Delivering"].reason == reason


def test_dead_letters_are_reported_with_the_backlog() -> None:
    shown = by_type(replace(GOOD, counters=counters(dead=12)))["Delivering"]
    assert shown.message == "nothing is waiting; 12 dead letters"


def test_a_test_that_was_not_repeated_is_reported_also_where_events_are_delivered_meanwhile() -> None:
    tested = DeliveryTestResult(NOW - 9, True, "delivered; not sent again", repeated=True)
    shown = by_type(replace(GOOD, tested=tested, counters=counters(last_delivered_at=NOW)))["Healthy"]
    assert (shown.status, shown.message) == ("True", "events are delivered; state Test: delivered; not sent again")


@pytest.mark.parametrize(
    ("known", "status", "reason", "named"),
    [
        (GOOD, "True", "Delivering", "nothing is waiting"),
        (replace(GOOD, receiver=replace(DOWN, failures=1)), "True", "Delivering", ""),
        (replace(GOOD, receiver=DOWN), "False", "ReceiverUnavailable", "http_5xx: 503"),
        (replace(GOOD, receiver=replace(DOWN, parked=True)), "False", "ReceiverRefuses", "once an hour"),
        (replace(GOOD, validated=INVALID), "False", "WebhookNotAccepted", "Healthy"),
        (in_state(State.DISABLED), "False", "WebhookState", "Disabled"),
        (in_state(State.DEBUG), "False", "WebhookState", "Debug"),
        (
            replace(GOOD, receiver=DOWN, counters=counters(pending=1234, oldest_pending=NOW - 7200)),
            "False",
            "ReceiverUnavailable",
            "about 1,200 events wait, the oldest for 2 h",
        ),
    ],
)
def test_delivering_names_error_and_backlog(known: WebhookStatus, status: str, reason: str, named: str) -> None:
    shown = by_type(known)["Delivering"]
    assert (shown.status, shown.reason) == (status, reason)
    assert named in shown.message


@pytest.mark.parametrize(("seconds", "status"), [(LONG_WAIT, "False"), (LONG_WAIT - 1, "True")])
def test_a_receiver_that_asks_to_wait_for_long_is_not_delivered_to(seconds: float, status: str) -> None:
    receiver = replace(DOWN, failures=5, waiting=True, since=NOW, held_until=NOW + seconds)
    assert by_type(replace(GOOD, receiver=receiver))["Delivering"].status == status


def test_the_checkpoint_is_kept_while_nothing_is_read_and_gone_when_disabled() -> None:
    kept = replace(GOOD, validated=INVALID, progress=None, checkpoint=NOW - 60)
    assert checkpoint([by_type(kept)["EventsFetched"]]) == NOW - 60
    assert checkpoint([by_type(replace(GOOD, progress=None, checkpoint=NOW - 60))["EventsFetched"]]) == NOW - 60
    assert checkpoint([by_type(replace(in_state(State.DISABLED), checkpoint=NOW))["EventsFetched"]]) is None


def test_how_events_are_read_is_reported_as_the_poller_says_it() -> None:
    shown = by_type(GOOD)["EventsFetched"]
    assert (shown.status, shown.reason, shown.message) == ("True", "EventsRead", READ.message)


def test_labels_that_were_left_out_are_named() -> None:
    labelled = replace(
        GOOD, validated=validated(replace(WEBHOOK, annotations={LABELS_ANNOTATION: "team:red,nonsense"}))
    )
    assert "nonsense" in by_type(labelled)["Healthy"].message


def test_all_carry_the_generation_and_none_a_secret() -> None:
    for known in (GOOD, replace(GOOD, receiver=DOWN), in_state(State.DISABLED)):
        shown = by_type(known, 7)
        assert [condition.observed_generation for condition in shown.values()] == [7, 7, 7]
        assert "SECRET" not in str(shown)


def test_a_peer_that_fails_while_another_delivers_is_named_though_events_arrive() -> None:
    shown = by_type(replace(GOOD, receiver=ReceiverState("w", detail="http://am-1:9093: 401 Unauthorized")))[
        "Delivering"
    ]
    assert shown.status == "True"
    assert "not taken by every peer: http://am-1:9093: 401 Unauthorized" in shown.message
