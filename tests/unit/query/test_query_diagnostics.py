"""The grammar and the diagnostics are two machines for one language: each refuses exactly what the other refuses."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kubectl_sew.query.diagnostics import diagnose
from kubectl_sew.query.lexer import Token, tokenize
from kubectl_sew.query.parser import match
from tests.unit.query.strategies import PIECES, TREES

TYPES = (
    *("word", "string", "number", "comparator", "and", "or", "not", "in", "notin", "empty"),
    *("(", ")", "{", "}", ",", "other"),
)
"""All types of tokens but `end`, and `unclosed`, which has a problem of the lexer's."""
RANDOM = st.lists(st.sampled_from(TYPES), max_size=12)
VALID = TREES.map(lambda tree: [token.type for token in tokenize(str(tree)).tokens[:-1]])


@st.composite
def _near_valid(draw: st.DrawFn) -> list[str]:
    """A valid run of tokens with up to three of them removed, replaced, added or doubled."""
    types = list(draw(VALID))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(types)))
        end = min(len(types), start + draw(st.integers(0, 1)))
        types[start:end] = draw(st.lists(st.sampled_from(TYPES), max_size=2) | st.just(types[start:end] * 2))
    return types


def _tokens(types: list[str]) -> list[Token]:
    return [Token(kind, kind, place, place + 1) for place, kind in enumerate([*types, "end"])]


@given(RANDOM | VALID | _near_valid())
@example([])
@example([")"])
@example(["(", ")"])
@example(["(", "word", "empty"])
@example(["word", "empty", ")"])
def test_the_grammar_refuses_exactly_the_tokens_that_have_a_problem(types: list[str]) -> None:
    tokens = _tokens(types)
    assert (match(tokens) is None) == bool(diagnose(tokens))


@given(st.text(max_size=40) | TREES.map(str) | st.lists(PIECES, max_size=20).map(" ".join))
def test_the_grammar_refuses_exactly_the_texts_that_have_a_problem(text: str) -> None:
    tokens = tokenize(text).tokens
    unclosed = any(token.type == "unclosed" for token in tokens)
    assert (match(tokens) is None) == (unclosed or bool(diagnose(tokens)))


@pytest.mark.parametrize("place", range(6))
def test_a_token_of_no_known_type_is_a_problem_wherever_it_stands(place: int) -> None:
    types = ["not", "word", "comparator", "number", "and", "word", "empty"]
    (problem,) = diagnose(_tokens([*types[:place], "other", *types[place:]]))
    assert problem.span.start == place
