"""The golden cases hold for parser, translator, matcher and explainer."""

import json
from typing import Any

import pytest

from kubectl_sew.query import CALICO, QueryError, QueryProblem, bind, compile_matcher, explain, parse, refusals, to_dsl
from tests import cases
from tests.queries import problems_of


def _load(name: str) -> list[Any]:
    return [pytest.param(case, id=case["query"].strip() or "(empty)") for case in cases.load(name)]


def _problems(case: dict[str, Any]) -> list[QueryProblem]:
    try:
        return problems_of(parse(case["query"]), cases.fields_of(case))
    except QueryError as error:
        return list(error.problems)


@pytest.mark.parametrize("case", _load("queries.toml"))
def test_the_canonical_text_is_the_golden_one_and_parses_to_an_equal_tree(case: dict[str, Any]) -> None:
    tree = parse(case["query"])
    assert str(tree) == case["canonical"]
    assert parse(str(tree)) == tree


@pytest.mark.parametrize("case", _load("queries.toml"))
def test_the_translation_is_the_golden_one(case: dict[str, Any]) -> None:
    assert to_dsl(bind(parse(case["query"]), cases.fields_of(case))) == json.loads(case["dsl"])


@pytest.mark.parametrize("case", _load("queries.toml"))
def test_the_matcher_selects_exactly_the_golden_events(case: dict[str, Any]) -> None:
    match = compile_matcher(bind(parse(case["query"]), cases.fields_of(case)))
    for event, selected in cases.events_of(case):
        assert match(event, cases.NOW) is selected, event


@pytest.mark.parametrize("case", _load("queries.toml"))
def test_parts_refuse_exactly_the_events_that_are_not_selected(case: dict[str, Any]) -> None:
    query = bind(parse(case["query"]), cases.fields_of(case))
    for event, selected in cases.events_of(case):
        assert (refusals(query, event, cases.NOW) == ()) is selected, event


@pytest.mark.parametrize("case", [case for case in _load("queries.toml") if "explain" in case.values[0]])
def test_the_explanation_is_the_golden_one(case: dict[str, Any]) -> None:
    assert explain(bind(parse(case["query"]), CALICO)) == case["explain"].strip()


@pytest.mark.parametrize("case", _load("errors.toml"))
def test_the_first_problem_has_the_golden_place_and_words(case: dict[str, Any]) -> None:
    problems = _problems(case)
    assert len(problems) == case.get("count", 1)
    first = problems[0]
    assert [first.span.start, first.span.end] == case["span"]
    assert case["message"] in first.message
    assert case.get("hint", "") in first.hint
    assert first.warning is case.get("warning", False)
