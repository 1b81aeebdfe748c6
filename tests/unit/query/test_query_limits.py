"""The limits hold, and an error names the place."""

import pytest

from kubectl_sew.query import CALICO, QueryError, bind, parse, to_dsl
from kubectl_sew.query.errors import QueryProblem, Span, locate, render
from kubectl_sew.text import width


def _depth(dsl: object) -> int:
    """Levels of queries in a DSL: each bool, and the leaf."""
    if isinstance(dsl, list):
        return max(map(_depth, dsl))
    assert isinstance(dsl, dict)
    below = dsl.get("bool")
    return 1 + max(_depth(value) for value in below.values() if isinstance(value, list)) if below else 1


def _alternating(levels: int) -> str:
    query = "host = a"
    for level in range(levels - 1):
        query = f"host = b {('AND', 'OR')[level % 2]} ({query})"
    return query


ACCEPTED = {
    "32 brackets": "(" * 32 + "a = b" + ")" * 32,
    "16 negated brackets": "NOT (" * 16 + "a = b" + ")" * 16,
    "a long run of NOTs": "NOT " * 4_000 + "a = b",
    "1,000 leaves": " AND ".join(["a = b"] * 1_000),
    "1,000 members": "a IN {" + ",".join(["b"] * 1_000) + "}",
    "16 KiB": "a = `" + "x" * (16 * 1024 - 6) + "`",
}
REFUSED = {
    "33 brackets": ("(" * 33 + "a = b" + ")" * 33, 32, "32 deep"),
    "17 negated brackets": ("NOT (" * 16 + "NOT a = b" + ")" * 16, 80, "32 deep"),
    "1,001 leaves": (" AND ".join(["a = b"] * 1_001), 10_002, "1,000"),
    "1,001 members": ("a IN {" + ",".join(["b"] * 1_001) + "}", 2_006, "1,000"),
    "16 KiB and a byte": ("a = `" + "x" * (16 * 1024 - 5) + "`", 0, "16,385 bytes"),
    "brackets by the thousand": ("(" * 16_000, 32, "32 deep"),
    "half a pair": ("a = '\udcff'", 5, "half of a surrogate pair"),
    "a key of 33 parts": ('"' + ".".join(["a"] * 33) + '" = b', 0, "32 parts"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_query_at_the_limit_is_parsed(name: str) -> None:
    assert parse(str(parse(ACCEPTED[name]))) == parse(ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_a_query_past_the_limit_is_refused_at_its_place(name: str) -> None:
    query, place, words = REFUSED[name]
    with pytest.raises(QueryError, match=words) as caught:
        parse(query)
    assert caught.value.problems[0].span.start == place


def test_the_translation_is_at_most_24_deep() -> None:
    assert _depth(to_dsl(bind(parse(_alternating(24)), CALICO))) == 24
    with pytest.raises(QueryError, match="25 levels"):
        parse(_alternating(25))


def test_a_place_is_counted_in_lines_and_columns_from_one() -> None:
    assert [locate("ab\ncd", offset) for offset in (0, 2, 3, 5)] == [(1, 1), (1, 3), (2, 1), (2, 3)]


@pytest.mark.parametrize(
    ("text", "span", "below"),
    [
        ('name = "警報" AND tpye = waf', Span(16, 20), " " * 18 + "^^^^"),
        ('name = "cafe\u0301" AND tpye = waf', Span(19, 23), " " * 18 + "^^^^"),
        ("警報 = 1", Span(0, 2), "^^^^"),
        ("e\u0301 = 1", Span(1, 2), " ^"),
    ],
)
def test_the_caret_stands_under_the_span_whatever_width_characters_have(text: str, span: Span, below: str) -> None:
    _, line, caret = render(text, [QueryProblem("wrong", span)]).splitlines()
    assert (line, caret) == (f"  {text}", f"  {below}")


def test_the_caret_stands_under_the_span_also_in_a_line_that_is_cut() -> None:
    text = "x" * 500 + "HERE" + "y" * 500
    _, line, caret = render(text, [QueryProblem("wrong", Span(500, 504))]).splitlines()
    assert line[caret.index("^") : caret.rindex("^") + 1] == "HERE"


@pytest.mark.parametrize("place", ["HERE" + "報" * 500, "報" * 500 + "HERE", "報" * 500 + "HERE" + "報" * 500])
def test_a_line_of_wide_characters_is_cut_to_the_width_of_others(place: str) -> None:
    at = place.index("HERE")
    _, line, caret = render(place, [QueryProblem("wrong", Span(at, at + 4))]).splitlines()
    assert 95 <= width(line) <= len("  …") + 100 + len("…")
    assert width(line[: line.index("HERE")]) == caret.index("^")
    assert caret.count("^") == 4


def test_an_error_is_one_line_as_text_and_names_the_number_of_problems() -> None:
    with pytest.raises(QueryError) as caught:
        parse("a =\nAND b c")
    assert str(caught.value) == "query: found `b` where AND, OR or the end is expected (line 2, column 5)"


def test_many_problems_are_cut_and_counted() -> None:
    problems = [QueryProblem("m" * 300, Span(0, 1)) for _ in range(50)]
    drawn = render("q", problems)
    assert len(drawn) <= 2_000
    assert "and 44 more" in drawn
