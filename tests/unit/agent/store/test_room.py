"""How the room of a store is divided among the webhooks."""

import pytest

from sew_agent.store.room import shares


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
