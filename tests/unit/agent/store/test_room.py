"""How the room of a store is divided among the webhooks."""

import pytest

from sew_agent.store.room import attempts_kept, shares


@pytest.mark.parametrize(
    ("used", "known", "expected"),
    [
        ({}, 0, {}),
        ({"a": 0}, 0, {"a": 960}),
        ({"a": 100, "b": 0}, 60, {"a": 450, "b": 400}),
        ({"a": 880, "b": 0}, 0, {"a": 480, "b": 50}),
        ({"a": 900, "b": 0}, 59, {"a": 450.5, "b": 50}),
        ({"a": 900, "b": 0}, 60, {"a": 20, "b": 20}),
        ({"a": 2000}, 0, {"a": 40}),
        (dict.fromkeys(map(str, range(50)), 20), 0, dict.fromkeys(map(str, range(50)), 0.8)),
    ],
)
def test_an_even_part_of_what_others_leave_at_least_a_twentieth_and_then_of_the_reserve(
    used: dict[str, int], known: int, expected: dict[str, float]
) -> None:
    assert shares(used, 1000, known) == expected


@pytest.mark.parametrize(
    ("used", "seen", "webhooks", "expected"),
    [
        (0, 0, 0, 1000),
        (0, 0, 1, 1000),
        (0, 0, 104, 1000),
        (0, 0, 1_000, 104),
        (1_000_000_000, 0, 1, 1000),
        (1_000_000_000, 73_741_824, 1, 0),
        (1_000_000_000, 72_717_824, 1, 1000),
        (1_000_000_000, 72_717_824, 10, 100),
        (1_100_000_000, 0, 1, 0),
    ],
)
def test_the_log_has_a_tenth_of_the_store_and_less_where_that_is_needed(
    used: int, seen: int, webhooks: int, expected: int
) -> None:
    assert attempts_kept(1000, 2**30, used=used, seen=seen, webhooks=webhooks) == expected
