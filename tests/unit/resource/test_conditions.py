"""Conditions: when a transition happens, what of others is kept, and when a write is worth it."""

import pytest

from kubectl_sew.resource import (
    Condition,
    DeliveringReason,
    FetchedReason,
    HealthyReason,
    delivering,
    describe_backlog,
    events_fetched,
    healthy,
    merge,
    read_to,
    write_due,
)
from kubectl_sew.resource.conditions import LONGEST_MESSAGE, waiting_in
from kubectl_sew.text import spell_age

EARLY, NOW = 1_000_000.0, 1_000_100.9
OK = healthy("True", HealthyReason.VALIDATION, "accepted", 1)
BAD = healthy("False", HealthyReason.QUERY_PARSING, "no", 1)
OTHER = Condition("Somebody", "True", "Else", "x", 7, "2020-01-01T00:00:00Z")


def test_the_first_condition_is_stamped_with_now() -> None:
    assert merge((), (OK,), now=NOW)[0].last_transition_time == "1970-01-12T13:48:20Z"


def test_the_transition_time_moves_only_with_the_status() -> None:
    before = merge((), (OK,), now=EARLY)
    other_reason = healthy("True", HealthyReason.PROCESSING, "fine", 2)
    assert merge(before, (other_reason,), now=NOW)[0].last_transition_time == before[0].last_transition_time
    assert merge(before, (BAD,), now=NOW)[0].last_transition_time == "1970-01-12T13:48:20Z"


def test_conditions_of_other_writers_are_kept_as_they_are() -> None:
    merged = merge((OTHER, BAD), (OK, delivering("True", DeliveringReason.DELIVERING, "", 1)), now=NOW)
    assert merged[0] is OTHER
    assert [condition.type for condition in merged] == ["Somebody", "Healthy", "Delivering"]


def test_a_condition_survives_the_way_to_an_object_and_back() -> None:
    assert Condition.from_object(OTHER.to_object()) == OTHER
    assert "observedGeneration" not in Condition("T", "True", "R").to_object()


def test_a_condition_of_another_shape_is_read_as_far_as_it_goes() -> None:
    assert Condition.from_object({"type": 5, "observedGeneration": "x"}) == Condition("", "", "")


def test_a_long_message_is_cut() -> None:
    message = healthy("False", HealthyReason.QUERY_PARSING, "x" * 5_000, 1).message
    assert len(message) == LONGEST_MESSAGE
    assert message.endswith("…")


SAME = merge((), (OK,), now=EARLY)
SAID = merge(SAME, (healthy("True", HealthyReason.VALIDATION, "other words", 1),), now=NOW)
REASON = merge(SAME, (healthy("True", HealthyReason.PROCESSING, "accepted", 1),), now=NOW)
GENERATION = merge(SAME, (healthy("True", HealthyReason.VALIDATION, "accepted", 2),), now=NOW)
STATUS = merge(SAME, (BAD,), now=NOW)


@pytest.mark.parametrize(
    ("merged", "last_write", "due"),
    [
        (SAME, None, None),
        (SAME, 0.0, None),
        (STATUS, None, 0.0),
        (SAID, None, 0.0),
        (STATUS, 100.0, 10.0),
        (REASON, 95.0, 5.0),
        (GENERATION, 90.0, 0.0),
        (STATUS, 50.0, 0.0),
        (SAID, 100.0, 600.0),
        (SAID, -499.0, 1.0),
        (SAID, -500.0, 0.0),
        ((*SAME, OTHER), 100.0, 10.0),
    ],
)
def test_a_change_is_written_after_ten_seconds_and_mere_words_after_ten_minutes(
    merged: tuple[Condition, ...], last_write: float | None, due: float | None
) -> None:
    assert write_due(SAME, merged, last_write=last_write, now=100.0) == due


@pytest.mark.parametrize(("moment", "due"), [(50.0, 10.0), (150.0, 600.0)])
def test_a_checkpoint_that_falls_is_written_soon_and_one_that_rises_later(moment: float, due: float) -> None:
    before = (events_fetched("True", FetchedReason.READ, read_to(100.0), 1),)
    after = (events_fetched("True", FetchedReason.READ, read_to(moment), 1),)
    assert write_due(before, after, last_write=100.0, now=100.0) == due


@pytest.mark.parametrize(
    ("waiting", "age", "text"),
    [
        (0, 0, "nothing is waiting"),
        (1, 59, "1 event waits, the oldest for under a minute"),
        (99, 61, "99 events wait, the oldest for 1 min"),
        (1_299, 7_300, "about 1,200 events wait, the oldest for 2 h"),
        (1_250_000, 200_000, "about 1,200,000 events wait, the oldest for 2 d"),
    ],
)
def test_numbers_are_rounded_so_that_the_text_stays(waiting: int, age: float, text: str) -> None:
    assert describe_backlog(waiting, age) == text


def test_an_exception_that_breaks_is_written_soon_though_reading_goes_on() -> None:
    fine = "read to 2026-01-01T00:00:00Z"
    broken = f"{fine}; AlertException scan suppresses nothing: no field `hots`"
    read = [events_fetched("True", FetchedReason.READ, message, 1) for message in (fine, broken)]
    assert write_due(read[:1], read[1:], last_write=NOW, now=NOW + 1) == 9
    assert write_due(read[1:], read[:1], last_write=NOW, now=NOW + 1) == 9


def test_how_far_events_are_read_is_an_rfc_3339_time() -> None:
    assert read_to(0.9) == "read to 1970-01-01T00:00:00Z"


DOWN = "read to 2026-01-01T00:00:00Z; the server says 503"


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("read to 2026-01-01T00:09:00Z; the server says 502", 600.0),
        ("read to 2026-01-01T00:09:00Z; it refuses the credential (401)", 10.0),
    ],
)
def test_another_cause_is_written_at_once_and_other_numbers_are_not(now: str, due: float) -> None:
    before, after = (
        merge((), (events_fetched("False", FetchedReason.SOURCE_UNAVAILABLE, text, 1),), now=0.0)
        for text in (DOWN, now)
    )
    assert write_due(before, after, last_write=100.0, now=100.0) == due


@pytest.mark.parametrize("backlog", ["nothing is waiting", "1 event waits, the oldest for 3 h"])
def test_what_waits_is_no_cause(backlog: str) -> None:
    texts = (
        "timeout: no answer; about 1,200 events wait, the oldest for under a minute",
        f"timeout: no answer; {backlog}",
    )
    before, after = (merge((), (delivering("False", DeliveringReason.RETRYING, text, 1),), now=0.0) for text in texts)
    assert write_due(before, after, last_write=100.0, now=100.0) == 600.0


@pytest.mark.parametrize(
    ("waiting", "age", "expected"),
    [(0, 0, "0"), (1, 4, "1"), (12, 70, "12"), (1_299, 7_300, "about 1,200"), (30_000, 200_000, "about 30,000")],
)
def test_what_waits_is_read_back_from_a_condition(waiting: int, age: float, expected: str) -> None:
    text = f"timeout: 1 of 2 peers; {describe_backlog(waiting, age)}; 2 dead letters"
    assert waiting_in((delivering("False", DeliveringReason.RETRYING, text, 1),)) == expected
    assert waiting_in(()) == ""


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [
        (0, "0s ago"),
        (-119, "119s ago"),
        (-720, "12m ago"),
        (3_541, "in 59m"),
        (19_920, "in 5h32m"),
        (-259_300, "3d ago"),
    ],
)
def test_ages_are_spelled_as_kubectl_does(seconds: float, spelled: str) -> None:
    assert spell_age(seconds) == spelled
