"""The parts of a query, and which of them lets nothing pass."""

import pytest

from kubectl_sew.query import ANY, bind, compile_matcher, parse
from kubectl_sew.query.parts import QueryPart, blocking, first_together, parts_of

EVENTS = [{"a": a, "b": b} for a in (1, 2) for b in (1, 2, 3)]


def tree(text: str) -> QueryPart:
    return parts_of(bind(parse(text), ANY))


def count(part: QueryPart) -> int:
    matches = compile_matcher(part.query)
    return sum(matches(event, 0.0) for event in EVENTS)


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("a = 9", "a = 9"),
        ("a = 1 AND b = 9", "b = 9"),
        ("a = 1 AND (b = 1 AND (b = 2 OR a = 8 AND a = 1) AND a = 9)", "a = 9"),
        ("a = 1 AND (b = 8 OR b = 9)", "b = 8 OR b = 9"),
        ("a = 1 AND b = 1 AND a = 2", "a = 1 AND b = 1 AND a = 2"),
        ("a = 1 AND NOT a IN {1, 2}", "NOT a IN {1, 2}"),
        ("NOT (a = 1 OR a = 2)", "NOT (a = 1 OR a = 2)"),
        ("a EMPTY", "a EMPTY"),
    ],
)
def test_the_smallest_part_that_explains_why_nothing_passes_is_named(query: str, part: str) -> None:
    assert str(blocking(tree(query), count)) == part


@pytest.mark.parametrize("query", ["a = 1", "a = 1 AND (b = 2 OR NOT b = 3)", "NOT (a = 1 AND b = 2)", ""])
def test_the_parts_of_a_part_are_what_it_is_made_of(query: str) -> None:
    whole = tree(query)
    assert str(whole) == str(bind(parse(query), ANY).node)
    assert next(iter(whole)) is whole
    assert len({id(part) for part in whole}) == len(list(whole))


def test_the_first_parts_of_an_and_are_taken_together() -> None:
    whole = tree("a = 1 AND b = 1 AND b = 2")
    assert [count(parts_of(first_together(whole, number))) for number in (1, 2, 3)] == [3, 1, 0]
