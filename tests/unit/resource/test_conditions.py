"""Conditions: when a transition happens, what of others is kept, and when a write is worth it."""

import pytest

from kubectl_sew.resource import (
    Condition,
    DeliveringReason,
    HealthyReason,
    delivering,
    describe_backlog,
    healthy,
    merge,
    read_to,
    write_due,
)
from kubectl_sew.resource.conditions import LONGEST_MESSAGE

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
    assert [each.type for each in merged] == ["Somebody", "Healthy", "Delivering"]


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


def test_how_far_events_are_read_is_an_rfc_3339_time() -> None:
    assert read_to(0.9) == "read to 1970-01-01T00:00:00Z"
