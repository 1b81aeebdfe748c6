"""Laws that hold for every query and every event."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_sew.query import ANY, CALICO, QueryError, bind, compile_matcher, parse, refusals, to_dsl
from kubectl_sew.query.ast import (
    Comparison,
    Key,
    Literal,
    Membership,
    Node,
    Operator,
    conjunction,
    disjunction,
    negation,
)
from kubectl_sew.query.errors import RENDER_LIMIT
from tests.queries import problems_of
from tests.unit.query.strategies import EVENTS, JSON, KEYS, PIECES, TREES, VALUES

NOW = 1767225600.0


def _answerable(tree: Node) -> bool:
    return all(problem.warning for problem in problems_of(tree, ANY))


def _selects(tree: Node, event: dict[str, Any]) -> bool:
    return compile_matcher(bind(tree, ANY))(event, NOW)


ANSWERABLE = TREES.filter(_answerable)


@given(TREES)
def test_the_text_of_a_tree_parses_to_an_equal_tree(tree: Node) -> None:
    assert parse(str(tree)) == tree


@given(st.text(max_size=60) | st.lists(PIECES, max_size=30).map(" ".join) | st.lists(PIECES, max_size=30).map("".join))
def test_random_text_is_parsed_or_refused_with_our_error_that_can_be_drawn(text: str) -> None:
    try:
        tree = parse(text)
    except QueryError as error:
        _assert_can_be_drawn(text, error)
    else:
        assert parse(str(tree)) == tree


def _assert_can_be_drawn(text: str, error: QueryError) -> None:
    assert 0 < len(error.render()) <= RENDER_LIMIT
    assert "\n" not in str(error)
    assert all(0 <= problem.span.start <= problem.span.end <= len(text) for problem in error.problems)


@given(ANSWERABLE, EVENTS)
def test_not_not_selects_what_the_query_selects(tree: Node, event: dict[str, Any]) -> None:
    assert _selects(parse(f"NOT NOT ({tree})"), event) == _selects(tree, event)
    assert _selects(negation(tree), event) != _selects(tree, event)


@given(ANSWERABLE, EVENTS)
def test_each_part_that_refuses_an_event_is_a_query_that_does_not_select_it(tree: Node, event: dict[str, Any]) -> None:
    parts = [refusal.part for refusal in refusals(bind(tree, ANY), event, NOW)]
    assert bool(parts) is not _selects(tree, event)
    assert not any(_selects(parse(str(part)), event) for part in parts)


@given(ANSWERABLE, ANSWERABLE, EVENTS)
def test_de_morgans_laws_hold(left: Node, right: Node, event: dict[str, Any]) -> None:
    neither = negation(disjunction([left, right]))
    assert _selects(neither, event) == _selects(conjunction([negation(left), negation(right)]), event)


@given(ANSWERABLE, ANSWERABLE, EVENTS)
def test_the_order_of_and_and_or_does_not_matter(left: Node, right: Node, event: dict[str, Any]) -> None:
    assert _selects(conjunction([left, right]), event) == _selects(conjunction([right, left]), event)
    assert _selects(disjunction([left, right]), event) == _selects(disjunction([right, left]), event)


@given(KEYS, VALUES.filter(lambda value: not set("*?\\") & set(value.text)), EVENTS)
def test_in_of_one_exact_member_is_equality(key: Key, value: Literal, event: dict[str, Any]) -> None:
    assert _selects(Membership(key, (value,)), event) == _selects(Comparison(key, Operator.EQUAL, value), event)


@given(ANSWERABLE)
def test_every_translation_is_json(tree: Node) -> None:
    json.dumps(to_dsl(bind(tree, ANY)), allow_nan=False)


@pytest.mark.parametrize("field", [field.name for field in CALICO])
@given(value=JSON)
def test_no_value_of_an_event_makes_the_matcher_raise(field: str, value: Any) -> None:
    literal = {"time": "0", "severity": "0", "source_port": "0", "dest_port": "0", "dismissed": "true"}.get(
        field, "waf"
    )
    literal = '"::/0"' if field.endswith("_ip") else literal
    match = compile_matcher(bind(parse(f"{field} = {literal} OR {field} IN {{{literal}}}"), CALICO))
    for hostile in (value, 10**5000, float("nan"), float("-inf"), "9" * 5000, "1e999999999", [[[value]]]):
        assert match({field: hostile}, NOW) in (True, False)


def test_a_deeply_nested_event_does_not_exhaust_the_stack() -> None:
    nested: Any = "a"
    for _ in range(100_000):
        nested = [nested]
    assert compile_matcher(bind(parse("host = a"), CALICO))({"host": nested}, NOW)
    assert compile_matcher(bind(parse("host = a"), ANY))({"host": nested}, NOW)
