"""Damaged files of a state: the agent goes on, or says what to do, and loses nothing."""

from pathlib import Path

from tests.proof.damage import Place, damaged, places, run
from tests.proof.oracle import say


def test_places_follow_from_the_seed() -> None:
    assert places(1, 20) == places(1, 20) != places(2, 20)
    assert {place.how for place in places(1, 100)} == {"flipped", "zeroed", "truncated"}


def test_a_damage_is_where_it_should_be() -> None:
    content = b"x" * 2000
    assert damaged(content, Place("f", "truncated", 0.5)) == b"x" * 1000
    assert damaged(content, Place("f", "zeroed", 0.5)) == b"x" * 1000 + b"\0" * 512 + b"x" * 488
    flipped = damaged(content, Place("f", "flipped", 0.5))
    assert [index for index in range(2000) if flipped[index] != content[index]] == [1000]


def test_an_agent_with_a_damaged_state_goes_on_or_says_what_to_do(tmp_path: Path) -> None:
    done, violations = run(tmp_path, count=8, seed=1, say=say)
    assert violations == []
    assert sum(done.values()) == 8
