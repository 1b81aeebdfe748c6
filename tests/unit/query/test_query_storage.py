"""One query on any mapping: translation and matching follow the field's storage."""

import subprocess
import sys
from typing import Any

import pytest

from kubectl_sew.query import ANY, Field, FieldSet, FieldType, bind, compile_matcher, parse, to_dsl
from kubectl_sew.query.fields import NumberKind, Storage
from tests.queries import problems_of

NOW = 1767225600.0


def _set(kind: FieldType, null_value: Any = None, **storage: Any) -> FieldSet:
    return FieldSet.of("test", [Field(name="k", type=kind, null_value=null_value, storage=Storage(**storage))])


STRING, FLOAT, TIME = FieldType.STRING, FieldType.FLOAT, FieldType.TIME
STORED = [
    # field set, query, value of k, selected
    (_set(STRING), "k = 5", 5, True),
    (_set(STRING), "k = true", True, True),
    (_set(STRING), "k = a", {"a": "a"}, False),
    (_set(STRING, lowercase=True), "k = ABC", "aBc", True),
    (_set(STRING, lowercase=True), 'k = "İ"', "i", True),
    (_set(STRING), "k = ABC", "aBc", False),
    (_set(STRING, ignore_above=3), "k EMPTY", "abcd", False),
    (_set(STRING, ignore_above=3), "k EMPTY", "😀😀", False),
    (_set(STRING, ignore_above=3), "k EMPTY", "😀a", False),
    (_set(STRING, ignore_above=3), 'k IN {"a*"}', "abcd", False),
    (_set(STRING, null_value="none"), "k = none", None, True),
    (_set(STRING, null_value="none"), "k EMPTY", None, False),
    (_set(FieldType.INTEGER, number=NumberKind.BYTE), "k > 5", 200, False),
    (_set(FieldType.INTEGER, number=NumberKind.BYTE), "k > 5", "100.9", True),
    (_set(FieldType.INTEGER), "k = 443", 443.7, True),
    (_set(FieldType.INTEGER), "k = 443", "4.437e2", True),
    (_set(FieldType.INTEGER), "k = 0", "1e-999999999", True),
    (_set(FieldType.INTEGER), "k EMPTY", "1e999999999", True),
    (_set(FieldType.INTEGER), "k EMPTY", True, True),
    (_set(FieldType.INTEGER, null_value=7), "k = 7", "", True),
    (_set(FLOAT, number=NumberKind.DOUBLE), "k = 0.1", 0.1, True),
    (_set(FLOAT, number=NumberKind.DOUBLE), "k = 0.1", 0.10000000149011612, False),
    (_set(FLOAT, number=NumberKind.FLOAT), "k = 0.1", 0.10000000149011612, True),
    (_set(FLOAT, number=NumberKind.FLOAT), "k EMPTY", 1e39, True),
    (_set(FLOAT, number=NumberKind.HALF_FLOAT), "k = 2049", 2048, True),
    (_set(FieldType.BOOLEAN), "k = false", "", True),
    (_set(FieldType.BOOLEAN), "k EMPTY", "no", True),
    (_set(TIME), "k < 1", 1970, True),
    (_set(TIME), 'k = "2024-01-01T00:00:00Z"', "2024", True),
    (_set(TIME), 'k >= "2024-02-03T04:05:06.789Z"', "2024-02-03T05:05:06,789+01", True),
    (_set(TIME), "k EMPTY", "2024-02-30", True),
    (_set(TIME), "k EMPTY", "2026-01-31T12:00+05Z", True),
    (_set(TIME, date_formats=("strict_date_optional_time", "epoch_millis")), "k = 1700000000", 1700000000999, True),
    (_set(TIME, date_formats=("strict_date_optional_time", "epoch_millis")), "k = 1700000000", 1700000000, False),
    (_set(TIME, nanoseconds=True), 'k > "2024-01-01T00:00:00.000000001Z"', "2024-01-01T00:00:00.000000002Z", True),
    (_set(TIME, nanoseconds=True), 'k > "2024-01-01T00:00:00.000000001Z"', "2024-01-01T00:00:00.000000001Z", False),
    (_set(TIME), 'k > "now-1d"', 1767225600 - 86_400, False),
    (_set(TIME), 'k > "now-1d"', 1767225600 - 86_399, True),
    (_set(TIME), 'k = "now"', 1767225600.9, True),
    (ANY, "k = 5", 5.0, True),
    (ANY, "k = true", True, True),
    (ANY, 'k = "10.0.0.0/8"', "10.1.2.3", True),
    (ANY, 'k > "2024-01-01T00:00:00Z"', 1767225600, True),
    (ANY, 'k IN {"1.2.3.4", x, 7, "y*"}', ["z", "::ffff:1.2.3.4"], True),
    (ANY, 'k = "198.51.100.0/24"', "198.51.100.0/24", True),
    (ANY, 'k IN {"198.51.100.0/24"}', "198.51.100.0/24", True),
    (ANY, 'k NOTIN {"198.51.100.0/24"}', "198.51.100.0/24", False),
    (ANY, 'k = "10.0.0.1/32"', "10.0.0.1/32", True),
    (ANY, 'k = "10.0.0.1/32"', "10.0.0.1/33", False),
    (ANY, 'k IN {"2026-01-01 00:00:00Z"}', "2026-01-01 00:00:00Z", True),
    (ANY, 'k != "2026-01-01 00:00:00Z"', "2026-01-01 00:00:00Z", False),
    (ANY, "k = 9007199254740993", 9007199254740993, True),
    (ANY, "k = 9007199254740993", "9007199254740993", True),
    (ANY, "k = 9007199254740993", 9007199254740992, False),
    (ANY, "k > 9007199254740992", 9007199254740993, True),
    (ANY, "k IN {9007199254740993}", 9007199254740992, False),
    (ANY, "k = 1e18", 10**18, True),
    (FieldSet.of("test", [Field(name="k", type=FieldType.INTEGER)]), "k = 1e18", 10**18, True),
    (FieldSet.of("test", [Field(name="k", type=FieldType.INTEGER)]), "k = 9007199254740993.0", 9007199254740993, True),
    (ANY, "k = 0.5", "0.5", True),
    (ANY, "k EMPTY", {"n": [None]}, True),
    (ANY, "k EMPTY", {"n": [0]}, False),
]


@pytest.mark.parametrize(("fields", "query", "value", "selected"), STORED)
def test_values_are_read_as_the_mapping_reads_them(fields: FieldSet, query: str, value: Any, selected: bool) -> None:
    assert compile_matcher(bind(parse(query), fields))({"k": value}, NOW) is selected
    assert compile_matcher(bind(parse(query), fields))({"k": [[value]]}, NOW) is selected


def test_a_number_with_more_digits_than_a_double_keeps_them_in_the_translation() -> None:
    assert to_dsl(bind(parse("k = 9007199254740993"), ANY)) == {"term": {"k": 9007199254740993}}


def test_a_network_on_a_key_of_any_type_is_asked_as_network_and_as_its_own_text() -> None:
    assert to_dsl(bind(parse('k = "10.0.0.0/8"'), ANY)) == {"term": {"k": "10.0.0.0/8"}}
    both = [{"term": {"k": "10.0.0.1"}}, {"term": {"k": "10.0.0.1/32"}}]
    assert to_dsl(bind(parse('k = "10.0.0.1/32"'), ANY)) == {"bool": {"should": both, "minimum_should_match": 1}}


def test_a_number_too_large_for_its_field_is_refused_by_the_name_of_what_stores_it() -> None:
    (problem,) = problems_of(parse("k = 1e300"), _set(FLOAT, number=NumberKind.FLOAT))
    assert (
        problem.message
        == "`1e300` cannot be a value of `k`: the index stores it as float, which cannot hold a number this large"
    )


def test_a_text_field_is_asked_through_its_keyword_sub_field() -> None:
    fields = _set(STRING, path="k.keyword")
    assert to_dsl(bind(parse("k = a"), fields)) == {"term": {"k.keyword": "a"}}
    assert compile_matcher(bind(parse("k = a"), fields))({"k": "a"}, NOW)


def test_times_in_nanoseconds_are_sent_in_full() -> None:
    dsl = to_dsl(bind(parse('k <= "2024-01-01T00:00:00.000000001Z"'), _set(TIME, nanoseconds=True)))
    bounds = {"lt": "2024-01-01T00:00:00.000000002Z", "format": "strict_date_optional_time_nanos"}
    assert dsl == {"range": {"k": bounds}}


def test_what_a_mapping_cannot_answer_is_refused_with_its_reason() -> None:
    (problem,) = problems_of(parse("k IN {a}"), _set(STRING, refusal="it has different types in two indices"))
    assert not problem.warning
    assert "different types" in problem.message


def test_emptiness_is_refused_where_the_index_does_not_say_that_a_value_was_too_long() -> None:
    (problem,) = problems_of(parse("k EMPTY"), _set(STRING, ignore_above=3, names_ignored=False))
    assert "`k` cannot be tested for EMPTY: OpenSearch does not tell" in problem.message
    assert problems_of(parse("k EMPTY"), _set(STRING, names_ignored=False)) == []


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
def test_an_order_is_refused_where_the_server_knows_none(operator: str) -> None:
    (problem,) = problems_of(parse(f"k {operator} m"), _set(STRING, ordered=False))
    assert problem.message == "`k` has no order: OpenSearch does not order the values of a `wildcard` field"
    assert not problem.warning
    assert problems_of(parse("k = m AND k != n AND k IN {'m*'} AND NOT k EMPTY"), _set(STRING, ordered=False)) == []


def test_a_value_longer_than_ignore_above_is_refused() -> None:
    (problem,) = problems_of(parse("k = abcd"), _set(STRING, ignore_above=3))
    assert "ignore_above" in problem.message


def test_an_unmapped_key_has_no_value_in_a_set_and_is_an_error_elsewhere() -> None:
    fields = _set(STRING)
    assert [problem.warning for problem in problems_of(parse("x IN {a} AND x = a AND x EMPTY"), fields)] == [
        True,
        False,
        False,
    ]
    assert not compile_matcher(bind(parse("x IN {a}"), fields))({"x": "a"}, NOW)
    assert compile_matcher(bind(parse("x NOTIN {a}"), fields))({"x": "a"}, NOW)
    assert to_dsl(bind(parse("x NOTIN {a}"), fields)) == {"bool": {"must_not": [{"match_none": {}}]}}


def test_the_package_is_imported_without_the_parser_library() -> None:
    code = "import sys, kubectl_sew.query; sys.exit('parsimonious' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
