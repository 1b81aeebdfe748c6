"""The plan for a change of the webhooks."""

from dataclasses import replace

import pytest

from kubectl_sew.resource.effective import MARGIN
from sew_agent.store.records import WebhookRecord
from sew_agent.webhooks.plan import FORGOTTEN, HANDED_BACK, LATE, DesiredWebhook, Plan, PlanRules, plan

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
    watched: bool = True,
) -> Plan:
    return plan(
        {"w": wanted} if wanted else {},
        {"w"} if invalid else set(),
        {"w": known} if known else {},
        complete=complete,
        rules=PlanRules(600.0, {"w"} if watched else (), FIRST_USED, rule, by_number),
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


def test_a_webhook_that_is_disabled_is_detached_with_the_start_that_it_had() -> None:
    assert decide(DesiredWebhook("Disabled", "d"), KNOWN).detach == {"w": 300.0}
    assert decide(DesiredWebhook("Disabled", "d"), None).detach == {"w": None}


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


@pytest.mark.parametrize(
    ("deleted_at", "watched", "forgotten"), [(401.0, True, False), (400.0, True, True), (400.0, False, False)]
)
def test_a_deleted_webhook_is_forgotten_after_its_time_where_it_was_seen_to_be_gone(
    deleted_at: float, watched: bool, forgotten: bool
) -> None:
    made = decide(None, replace(KNOWN, deleted_at=deleted_at), watched=watched)
    assert made.forget == ({"w"} if forgotten else set())
    assert made.remember == ([replace(KNOWN, state=FORGOTTEN, deleted_at=NOW)] if forgotten else [])


def test_a_forgotten_webhook_needs_nothing_more_and_the_others_what_they_do() -> None:
    forgotten = replace(KNOWN, state=FORGOTTEN, deleted_at=1.0)
    assert decide(None, forgotten) == Plan()
    gone = {f"gone-{number}": replace(forgotten, name=f"gone-{number}") for number in range(100)}
    known = {**gone, "left": replace(KNOWN, name="left")}
    made = plan({}, set(), known, complete=True, rules=PlanRules(600.0, known, FIRST_USED), now=NOW)
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


TAKEN = DesiredWebhook("Enabled", "d", created=100.0, taken_over=True)


@pytest.mark.parametrize(
    ("begin", "checkpoint", "start"),
    [
        (900.0, None, 900.0),
        (900.0, 950.0, 950.0),
        (900.0, 850.0, 900.0),
        (None, 850.0, 850.0),
        (None, None, NOW - MARGIN),
        (2000.0, None, NOW),
    ],
)
def test_one_that_is_taken_over_begins_where_calicos_processor_was(
    begin: float | None, checkpoint: float | None, start: float
) -> None:
    made = decide(replace(TAKEN, begin=begin, checkpoint=checkpoint), None, rule="created")
    assert (made.begin, made.read) == ({"w": start}, {"w": start})
    assert made.remember == [WebhookRecord("w", "Enabled", start, since=NOW, begun=begin)]


def test_late_events_of_one_that_was_taken_over_are_its_own_from_where_it_began() -> None:
    made = decide(replace(TAKEN, begin=800.0, checkpoint=950.0), None, by_number=True)
    assert (made.begin, made.read) == ({"w": 950.0}, {"w": 800.0})


def test_it_begins_once_and_goes_on_over_restarts_and_after_it_was_disabled() -> None:
    wanted = replace(TAKEN, begin=800.0, checkpoint=850.0)
    known = WebhookRecord("w", "Enabled", 800.0, since=800.0, begun=800.0)
    made = decide(wanted, known)
    assert (made.begin, made.read, made.remember) == ({}, {"w": 800.0}, [])
    enabled = decide(wanted, replace(known, state="Disabled", start=None))
    assert (enabled.begin, enabled.read) == ({}, {"w": NOW})


def test_one_that_was_disabled_and_is_taken_over_begins_where_the_annotation_says() -> None:
    known = WebhookRecord("w", "Disabled", None, since=500.0)
    made = decide(replace(TAKEN, begin=800.0), known)
    assert (made.begin, made.read) == ({"w": 800.0}, {"w": 800.0})
    assert [record.begun for record in made.remember] == [800.0]


BACK = DesiredWebhook(HANDED_BACK, "d", created=100.0)


@pytest.mark.parametrize("state", ["Enabled", "Test"])
@pytest.mark.parametrize(("wanted", "end"), [(None, NOW + MARGIN), (1005.0, 1005.0)])
def test_one_that_is_handed_back_delivers_up_to_its_end(state: str, wanted: float | None, end: float) -> None:
    made = decide(replace(BACK, end=wanted), replace(KNOWN, state=state))
    assert (made.read, made.ends, made.send, made.detach) == ({"w": 300.0}, {"w": end}, {"w"}, {})
    assert made.remember == [replace(KNOWN, state=HANDED_BACK, since=NOW, end=end)]


@pytest.mark.parametrize(("old", "end"), [(700.0, NOW + MARGIN), (800.0, NOW + MARGIN), (801.0, 801.0)])
def test_an_end_from_before_it_was_taken_over_is_of_an_earlier_handback_and_ends_nothing(
    old: float, end: float
) -> None:
    made = decide(replace(BACK, end=old), replace(KNOWN, begun=800.0))
    assert made.remember == [replace(KNOWN, state=HANDED_BACK, since=NOW, begun=800.0, end=end)]


def test_an_end_in_the_far_future_was_written_by_no_handback_and_holds_for_an_hour() -> None:
    made = decide(replace(BACK, end=9e9), KNOWN)
    assert made.remember == [replace(KNOWN, state=HANDED_BACK, since=NOW, end=NOW + LATE)]


def test_the_end_stays_whatever_is_written_later_and_what_waits_is_sent_after_it() -> None:
    known = replace(KNOWN, state=HANDED_BACK, end=NOW - LATE + 1.0)
    soon = decide(replace(BACK, end=5000.0), known)
    assert (soon.ends, soon.send, soon.remember) == ({"w": known.end}, {"w"}, [])
    over = decide(BACK, replace(known, end=NOW - LATE))
    assert (over.read, over.send, over.detach, over.remember) == ({}, {"w"}, {"w": 300.0}, [])


@pytest.mark.parametrize("state", ["Debug", "Disabled"])
def test_of_one_that_rested_nothing_more_is_read_when_it_is_handed_back_and_what_waits_is_sent(state: str) -> None:
    made = decide(replace(BACK, end=1005.0), replace(KNOWN, state=state))
    assert (made.read, made.send, made.detach) == ({}, {"w"}, {"w": 300.0})
    assert made.shift == {"w": 600.0}
    assert made.remember == [replace(KNOWN, state=HANDED_BACK, since=NOW)]


def test_what_waits_is_kept_while_one_that_was_handed_back_is_in_debug() -> None:
    assert decide(replace(BACK, quiet=True), replace(KNOWN, state="Debug")).send == set()
    back = replace(KNOWN, state=HANDED_BACK)
    assert decide(replace(BACK, quiet=True), back).send == set()
    assert decide(BACK, back).send == {"w"}


def test_one_that_was_never_ours_is_left_alone() -> None:
    assert decide(replace(BACK, end=1005.0), None) == Plan()


@pytest.mark.parametrize(("begin", "begins"), [(990.0, 990.0), (800.0, NOW - MARGIN), (None, NOW - MARGIN)])
def test_one_that_is_taken_over_again_begins_anew(begin: float | None, begins: float) -> None:
    known = replace(KNOWN, state=HANDED_BACK, begun=800.0, end=900.0)
    made = decide(replace(TAKEN, begin=begin), known)
    assert (made.begin, made.read, made.ends) == ({"w": begins}, {"w": 300.0}, {})
    after = made.remember[0]
    assert (after.state, after.start, after.end, after.begun) == ("Enabled", 300.0, None, begin or 800.0)


def test_an_annotation_of_one_that_is_disabled_says_where_it_begins_once_it_is_enabled() -> None:
    (after,) = decide(DesiredWebhook("Disabled", "d", taken_over=True, begin=800.0), None).remember
    assert after.begun is None
    (after,) = decide(DesiredWebhook("Enabled", "d", taken_over=True, begin=800.0), None).remember
    assert after.begun == 800.0


def test_handing_back_gives_no_time_back_of_one_that_was_sent_to_nor_by_a_clock_that_was_set_back() -> None:
    assert decide(replace(BACK, end=1005.0), KNOWN).shift == {}
    assert decide(BACK, replace(KNOWN, state="Debug", since=NOW + 60)).shift == {"w": 0.0}


def test_one_that_was_handed_back_and_comes_back_is_deleted_no_longer() -> None:
    known = replace(KNOWN, state=HANDED_BACK, end=900.0, deleted_at=950.0)
    assert decide(BACK, known).remember == [replace(known, deleted_at=None)]
