"""A bound query has a field and a type for each comparison, or is refused with every problem."""

import pytest

from kubectl_sew.query import ANY, CALICO, FieldType, QueryError, bind, parse
from kubectl_sew.query.binding import BoundComparison, BoundMembership


def test_every_problem_of_a_query_is_in_one_error_in_the_order_of_the_text() -> None:
    text = 'sevrity = 1 AND name = "a*" AND severity = high AND dismissed > true'
    with pytest.raises(QueryError) as caught:
        bind(parse(text), CALICO, text)
    error = caught.value
    places = [text[problem.span.start : problem.span.end] for problem in error.problems]
    assert places == ["sevrity", '"a*"', "high", "dismissed > true"]
    assert [problem.warning for problem in error.problems] == [False, True, False, False]
    assert [text[problem.span.start : problem.span.end] for problem in error.errors] == [places[0], *places[2:]]
    assert "`*` is a plain character" not in error.render()


def test_a_query_that_can_be_answered_keeps_its_warnings() -> None:
    (warning,) = bind(parse('name = "a*"'), CALICO).warnings
    assert warning.warning
    assert "`*` is a plain character" in warning.message


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("k = a", [FieldType.STRING]),
        ("k = 5", [FieldType.FLOAT]),
        ('k = "10.0.0.1"', [FieldType.IP, FieldType.STRING]),
        ('k > "10.0.0.1"', [FieldType.IP]),
    ],
)
def test_a_comparison_with_a_field_of_any_type_is_bound_to_what_its_literal_can_be(
    query: str, types: list[FieldType]
) -> None:
    bound = bind(parse(query), ANY).root
    assert isinstance(bound, BoundComparison)
    assert [reading.field.type for reading in bound.readings] == types


def test_members_of_a_set_are_grouped_by_their_types() -> None:
    bound = bind(parse('k IN {a, 5, "b*", 6}'), ANY).root
    assert isinstance(bound, BoundMembership)
    assert [(typed.field.type, len(typed.values)) for typed in bound.members] == [
        (FieldType.STRING, 2),
        (FieldType.FLOAT, 2),
    ]


@pytest.mark.parametrize(
    ("query", "parts"),
    [
        ("host = a", []),
        ("host = a AND (host = b OR type = waf)", ["host = a", "host = b OR type = waf"]),
        ("NOT (host = a OR host = b)", ["host = a", "host = b"]),
        ("", []),
    ],
)
def test_the_parts_of_a_query_are_bound_queries(query: str, parts: list[str]) -> None:
    assert [str(part.node) for part in bind(parse(query), CALICO).parts] == parts


def test_no_set_is_named_for_a_star_where_no_set_takes_one() -> None:
    (star,) = bind(parse('_id = "a*"'), CALICO).warnings
    assert (star.message, star.hint) == ("`*` is a plain character after `=`", "")
