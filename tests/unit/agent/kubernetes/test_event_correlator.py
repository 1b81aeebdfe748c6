"""The notices that become Events, and how often."""

from dataclasses import replace
from typing import Any

from kubectl_sew.query import ANY
from kubectl_sew.resource import ConfigVar, HealthyReason, State, Webhook
from kubectl_sew.validation.webhook import Accepted, InvalidWebhook, accept
from sew_agent.kubernetes.event_correlator import AGAIN_AFTER, AT_ONCE, LONGEST, ONE_EVERY, EventCorrelator
from sew_agent.status.conditions import WebhookStatus
from sew_agent.store.records import Counters, ReceiverState

NOW = 1_000_000.0
URL = (ConfigVar("url", "https://example.com/SECRET"),)
WEBHOOK = Webhook("w", "Generic", State.ENABLED, "type = waf", URL, uid="u")


def accepted() -> Accepted:
    webhook = accept(WEBHOOK, {}, {}, ANY)
    assert isinstance(webhook, Accepted)
    return webhook


GOOD = WebhookStatus(accepted(), receiver=ReceiverState("w"))
INVALID = WebhookStatus(InvalidWebhook("the query ends too soon", HealthyReason.QUERY_PARSING, WEBHOOK))
PARKED = replace(GOOD, receiver=ReceiverState("w", parked=True, reason="http_403", detail="Forbidden"))


def counters(**changes: Any) -> Counters:
    return replace(Counters("w", 0, 0, 0, {}, None, None, "", 0), **changes)


def reasons(correlator: EventCorrelator, webhook_status: WebhookStatus, now: float) -> list[str]:
    """Return the reasons that are recorded of the webhook `w` now."""
    notices = correlator.select({"w": webhook_status}, now)
    for notice in notices:
        correlator.mark_recorded(notice, webhook_status, now)
    return [notice.reason for notice in notices]


def test_a_notice_that_still_holds_is_recorded_once() -> None:
    correlator = EventCorrelator()
    assert reasons(correlator, INVALID, NOW) == ["Invalid"]
    assert [reasons(correlator, INVALID, NOW + seconds) for seconds in (2.0, AGAIN_AFTER, 9 * AGAIN_AFTER)] == [
        [],
        [],
        [],
    ]


def test_a_notice_that_comes_back_is_recorded_again_but_seldom() -> None:
    correlator = EventCorrelator()
    assert reasons(correlator, PARKED, NOW) == ["Parked"]
    assert reasons(correlator, GOOD, NOW + 5) == []
    assert reasons(correlator, PARKED, NOW + 10) == []
    assert reasons(correlator, GOOD, NOW + AGAIN_AFTER + 11) == []
    assert reasons(correlator, PARKED, NOW + AGAIN_AFTER + 12) == ["Parked"]


def test_new_dead_letters_are_recorded_and_old_ones_are_not() -> None:
    correlator = EventCorrelator()
    assert reasons(correlator, replace(GOOD, counters=counters(dead=3)), NOW) == []
    died = replace(GOOD, counters=counters(dead=4, last_error="http_400: no"))
    assert "4 events" in correlator.select({"w": died}, NOW)[0].note
    assert reasons(correlator, died, NOW) == ["DeadLetters"]
    assert reasons(correlator, died, NOW + AGAIN_AFTER) == []
    assert reasons(correlator, replace(GOOD, counters=counters(dead=0)), NOW + AGAIN_AFTER) == []
    assert reasons(correlator, replace(GOOD, counters=counters(dead=1)), NOW + 2 * AGAIN_AFTER) == ["DeadLetters"]


def test_deliveries_given_up_by_hand_are_recorded() -> None:
    correlator = EventCorrelator()
    assert reasons(correlator, replace(GOOD, counters=counters(dropped={"purged": 3})), NOW) == []
    dropped = replace(GOOD, counters=counters(dropped={"purged": 3, "backlog_dropped": 19_914, "debug": 7}))
    assert "19,914 events were given up by hand" in correlator.select({"w": dropped}, NOW)[0].note
    assert reasons(correlator, dropped, NOW) == ["GivenUp"]
    assert reasons(correlator, dropped, NOW + AGAIN_AFTER) == []


def test_a_thousand_notices_at_once_are_recorded_a_few_at_a_time() -> None:
    correlator = EventCorrelator()
    statuses = {f"w{number}": INVALID for number in range(1000)}

    def count(now: float) -> int:
        notices = correlator.select(statuses, now)
        for notice in notices:
            correlator.mark_recorded(notice, INVALID, now)
        return len(notices)

    assert count(NOW) == AT_ONCE
    assert count(NOW + 1) == 0
    assert count(NOW + 1 + 3 * ONE_EVERY) == 3


def test_a_notice_is_bounded_names_its_webhook_and_holds_no_url() -> None:
    validated = InvalidWebhook("see https://example.com/SECRET " + "x" * 5000, HealthyReason.QUERY_PARSING, WEBHOOK)
    (notice,) = EventCorrelator().select({"w": WebhookStatus(validated)}, NOW)
    assert (notice.webhook, notice.uid) == ("w", "u")
    assert len(notice.note) == LONGEST
    assert "SECRET" not in notice.note
