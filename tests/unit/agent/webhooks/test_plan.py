"""The plan for a change of the webhooks."""

from dataclasses import replace

import pytest

from sew_agent.store.records import WebhookRecord
from sew_agent.webhooks.plan import FORGOTTEN, DesiredWebhook, Plan, PlanRules, plan

NOW, FIRST_USED = 1000.0, 700.0
KNOWN = WebhookRecord("w", "Enabled", 300.0, tested="t", since=400.0)


def decide(
    wanted: DesiredWebhook | None,
    known: WebhookRecord | None,
    *,
    invalid: bool = False,
    complete: bool = True,
    rule: str | float = "",
    by_number: bool = False,
) -> Plan:
    return plan(
        {"w": wanted} if wanted else {},
        {"w"} if invalid else set(),
        {"w": known} if known else {},
        complete=complete,
        rules=PlanRules(600.0, FIRST_USED, rule, by_number),
        now=NOW,
    )


@pytest.mark.parametrize(
    ("state", "read", "debug", "send", "detached"),
    [
        ("Enabled", True, False, True, False),
        ("Test", True, False, True, False),
        ("Debug", True, True, False, False),
        ("Disabled", False, False, False, True),
    ],
)
def test_a_state_says_whether_events_are_read_and_sent(
    state: str, read: bool, debug: bool, send: bool, detached: bool
) -> None:
    known = replace(KNOWN, state=state, start=None if detached else 300.0)
    made = decide(DesiredWebhook(state, "d"), known)
    assert [bool(part) for part in (made.read, made.debug, made.send, made.detach)] == [read, debug, send, detached]
    assert made.remember == []


@pytest.mark.parametrize("known", [None, replace(KNOWN, state=FORGOTTEN, deleted_at=1.0)], ids=["never", "forgotten"])
def test_a_webhook_not_known_begins_and_its_start_is_remembered(known: WebhookRecord | None) -> None:
    made = decide(DesiredWebhook("Enabled", "d", created=800.0), known)
    assert made.begin == made.read == {"w": 800.0}
    assert made.remember == [WebhookRecord("w", "Enabled", 800.0, since=NOW)]


@pytest.mark.parametrize(
    ("created", "checkpoint", "rule", "start"),
    [
        (None, None, "", NOW),
        (800.0, None, "", 800.0),
        (600.0, None, "", FIRST_USED),
        (2000.0, None, "", NOW),
        (600.0, 650.0, "", 650.0),
        (600.0, 650.0, "now", 650.0),
        (600.0, None, "now", NOW),
        (600.0, None, "created", 600.0),
        (None, None, "created", NOW),
        (600.0, None, 900.0, 100.0),
    ],
)
def test_where_a_new_webhook_starts(
    created: float | None, checkpoint: float | None, rule: str | float, start: float
) -> None:
    assert decide(DesiredWebhook("Enabled", "d", created, checkpoint), None, rule=rule).begin == {"w": start}


@pytest.mark.parametrize(
    ("created", "checkpoint", "since"),
    [(600.0, 650.0, 600.0), (None, 650.0, 650.0), (700.0, 650.0, 650.0), (800.0, None, 800.0)],
)
def test_where_events_are_found_by_number_a_late_one_is_its_own_though_it_is_read_by_time_from_its_checkpoint(
    created: float | None, checkpoint: float | None, since: float
) -> None:
    made = decide(DesiredWebhook("Enabled", "d", created, checkpoint), None, by_number=True)
    assert made.begin == {"w": 800.0 if checkpoint is None else checkpoint}
    assert made.read == {"w": since}
    assert made.remember[0].start == since


def test_where_events_are_found_by_time_they_are_its_own_from_its_checkpoint_on() -> None:
    made = decide(DesiredWebhook("Enabled", "d", 600.0, 650.0), None)
    assert made.begin == made.read == {"w": 650.0}


def test_enabling_starts_a_webhook_at_that_moment_and_a_restart_does_not() -> None:
    assert decide(DesiredWebhook("Enabled", "d", 100.0, 200.0), replace(KNOWN, state="Disabled")).read == {"w": NOW}
    assert decide(DesiredWebhook("Test", "d", 100.0, 200.0), replace(KNOWN, state="Debug")).read == {"w": 300.0}
    assert decide(DesiredWebhook("Enabled", "d", 100.0, 200.0), KNOWN).read == {"w": 300.0}


def test_a_known_webhook_does_not_begin_again() -> None:
    assert decide(DesiredWebhook("Enabled", "d"), KNOWN).begin == {}


def test_a_webhook_first_seen_disabled_does_not_begin_when_it_is_enabled() -> None:
    first = decide(DesiredWebhook("Disabled", "d"), None)
    assert first.begin == {}
    assert decide(DesiredWebhook("Enabled", "d"), first.remember[0]).begin == {}


def test_time_disabled_is_given_back_when_it_is_enabled() -> None:
    made = decide(DesiredWebhook("Enabled", "d"), replace(KNOWN, state="Disabled"))
    assert made.shift == {"w": 600.0}
    assert made.remember == [replace(KNOWN, since=NOW, start=NOW)]


def test_a_clock_that_was_set_back_gives_no_time_back() -> None:
    assert decide(DesiredWebhook("Enabled", "d"), replace(KNOWN, state="Disabled", since=NOW + 9)).shift == {"w": 0.0}


@pytest.mark.parametrize(("tested", "fires"), [("d", False), ("another", True), ("", True)])
def test_a_test_is_sent_once_for_each_content(tested: str, fires: bool) -> None:
    known = replace(KNOWN, state="Test", tested=tested)
    assert decide(DesiredWebhook("Test", "d"), known).test == ({"w"} if fires else set())


def test_a_deleted_webhook_stops_at_once_and_keeps_its_position() -> None:
    made = decide(None, KNOWN)
    assert (made.leave, made.read, made.send, made.forget) == ({"w"}, {}, set(), set())
    assert made.remember[-1].deleted_at == NOW


@pytest.mark.parametrize(("deleted_at", "forgotten"), [(401.0, False), (400.0, True)])
def test_a_deleted_webhook_is_forgotten_after_its_time(deleted_at: float, forgotten: bool) -> None:
    made = decide(None, replace(KNOWN, deleted_at=deleted_at))
    assert made.forget == ({"w"} if forgotten else set())
    assert made.remember == ([replace(KNOWN, state=FORGOTTEN, deleted_at=NOW)] if forgotten else [])


def test_a_forgotten_webhook_needs_nothing_more_and_the_others_what_they_do() -> None:
    forgotten = replace(KNOWN, state=FORGOTTEN, deleted_at=1.0)
    assert decide(None, forgotten) == Plan()
    known = {"gone": forgotten, "left": replace(KNOWN, name="left"), "ended": replace(forgotten, name="ended")}
    made = plan({}, set(), known, complete=True, rules=PlanRules(600.0, FIRST_USED), now=NOW)
    assert (made.leave, [record.name for record in made.remember]) == ({"left"}, ["left"])


def test_a_webhook_that_comes_back_in_time_goes_on() -> None:
    made = decide(DesiredWebhook("Enabled", "d"), replace(KNOWN, deleted_at=900.0))
    assert (made.begin, made.read) == ({}, {"w": 300.0})
    assert made.remember == [KNOWN]


def test_an_absent_webhook_is_not_deleted_while_the_list_is_incomplete() -> None:
    made = decide(None, KNOWN, complete=False)
    assert (made.leave, made.forget, made.remember) == ({"w"}, set(), [])


def test_a_webhook_that_became_invalid_stops_keeps_its_position_and_is_not_deleted() -> None:
    made = decide(None, replace(KNOWN, deleted_at=1.0), invalid=True)
    assert (made.leave, made.forget, made.send) == ({"w"}, set(), set())
    assert made.remember == [KNOWN]


def test_a_disabled_webhook_that_is_deleted_keeps_no_position() -> None:
    assert decide(None, replace(KNOWN, state="Disabled")).leave == set()
