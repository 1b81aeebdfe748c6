"""What a change of the webhooks means."""

from dataclasses import replace

import pytest

from agent.lifecycle import FORGOTTEN, Plan, Wanted, plan
from agent.store.base import Known

NOW = 1000.0
KNOWN = Known("w", "Enabled", None, tested="t", since=400.0)


def decide(
    wanted: Wanted | None,
    known: Known | None,
    *,
    invalid: bool = False,
    complete: bool = True,
) -> Plan:
    return plan(
        {"w": wanted} if wanted else {},
        {"w"} if invalid else set(),
        {"w": known} if known else {},
        complete=complete,
        now=NOW,
        forget_after=600.0,
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
    made = decide(Wanted(state, "d"), replace(KNOWN, state=state))
    assert [bool(each) for each in (made.read, made.debug, made.send, made.detach)] == [read, debug, send, detached]
    assert made.remember == []


@pytest.mark.parametrize("known", [None, replace(KNOWN, state=FORGOTTEN, deleted_at=1.0)], ids=["never", "forgotten"])
def test_a_webhook_not_known_begins_at_the_beginning_and_is_remembered(known: Known | None) -> None:
    made = decide(Wanted("Enabled", "d"), known)
    assert made.begin == {"w"}
    assert made.remember == [Known("w", "Enabled", None, since=NOW)]


def test_a_known_webhook_does_not_begin_again() -> None:
    assert decide(Wanted("Enabled", "d"), KNOWN).begin == set()


def test_a_webhook_first_seen_disabled_does_not_begin_when_it_is_enabled() -> None:
    first = decide(Wanted("Disabled", "d"), None)
    assert first.begin == set()
    assert decide(Wanted("Enabled", "d"), first.remember[0]).begin == set()


def test_time_disabled_is_given_back_when_it_is_enabled() -> None:
    made = decide(Wanted("Enabled", "d"), replace(KNOWN, state="Disabled"))
    assert made.shift == {"w": 600.0}
    assert made.remember == [replace(KNOWN, since=NOW)]


@pytest.mark.parametrize(("tested", "fires"), [("d", False), ("another", True), ("", True)])
def test_a_test_is_sent_once_for_each_content(tested: str, fires: bool) -> None:
    known = replace(KNOWN, state="Test", tested=tested)
    assert decide(Wanted("Test", "d"), known).test == ({"w"} if fires else set())


def test_a_deleted_webhook_stops_at_once_and_keeps_its_place() -> None:
    made = decide(None, KNOWN)
    assert (made.leave, made.read, made.send, made.forget) == ({"w"}, set(), set(), set())
    assert made.remember[-1].deleted_at == NOW


@pytest.mark.parametrize(("deleted_at", "forgotten"), [(401.0, False), (400.0, True)])
def test_a_deleted_webhook_is_forgotten_after_its_time(deleted_at: float, forgotten: bool) -> None:
    made = decide(None, replace(KNOWN, deleted_at=deleted_at))
    assert made.forget == ({"w"} if forgotten else set())
    assert [each.state for each in made.remember] == ([FORGOTTEN] if forgotten else [])


def test_a_forgotten_webhook_needs_nothing_more() -> None:
    assert decide(None, replace(KNOWN, state=FORGOTTEN, deleted_at=1.0)) == Plan()


def test_a_webhook_that_comes_back_in_time_goes_on() -> None:
    made = decide(Wanted("Enabled", "d"), replace(KNOWN, deleted_at=900.0))
    assert (made.begin, made.read) == (set(), {"w"})
    assert made.remember == [KNOWN]


def test_an_absent_webhook_is_not_deleted_while_the_list_is_incomplete() -> None:
    made = decide(None, KNOWN, complete=False)
    assert (made.leave, made.forget, made.remember) == ({"w"}, set(), [])


def test_a_webhook_that_became_invalid_stops_keeps_its_place_and_is_not_deleted() -> None:
    made = decide(None, replace(KNOWN, deleted_at=1.0), invalid=True)
    assert (made.leave, made.forget, made.send) == ({"w"}, set(), set())
    assert made.remember == [KNOWN]


def test_a_disabled_webhook_that_is_deleted_keeps_no_place() -> None:
    assert decide(None, replace(KNOWN, state="Disabled")).leave == set()
