"""Random trees, texts and events."""

from typing import Any

from hypothesis import strategies as st

from kubectl_sew.query.ast import (
    Comparison,
    Empty,
    Key,
    Literal,
    Membership,
    Node,
    Operator,
    conjunction,
    disjunction,
    negation,
)

WORDS = st.sampled_from(
    ["a", "b", "AND", "not", "a.b", "b*", "10.0.0.1", "::/0", "true", "", "é", "x y", '"', "\\", "\n"]
)
TEXTS = WORDS | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
KEYS = st.builds(Key, st.sampled_from(["k", "l", "m.n", "in"]) | TEXTS.filter(bool))
VALUES = st.builds(Literal, TEXTS) | st.builds(
    lambda n: Literal(str(n), number=True), st.integers(-9, 99) | st.floats(-9, 9)
)
LEAVES: st.SearchStrategy[Node] = st.one_of(
    st.builds(Comparison, KEYS, st.sampled_from(Operator), VALUES),
    st.builds(Membership, KEYS, st.lists(VALUES, min_size=1, max_size=3).map(tuple), st.booleans()),
    st.builds(Empty, KEYS),
)
TREES: st.SearchStrategy[Node] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(negation),
        st.lists(inner, min_size=1, max_size=3).map(conjunction),
        st.lists(inner, min_size=1, max_size=3).map(disjunction),
    ),
    max_leaves=6,
)
SCALARS = st.none() | st.booleans() | st.integers(-9, 99) | st.floats() | TEXTS
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["n", "k"]), inner, max_size=2)
)
EVENTS = st.dictionaries(st.sampled_from(["k", "l", "m", "m.n", "in"]), JSON, max_size=4)
PIECES = st.sampled_from(
    [
        "a",
        "AND",
        "or",
        "!",
        "(",
        ")",
        "{",
        "}",
        ",",
        "=",
        "!=",
        "<",
        "IN",
        "notin",
        "EMPTY",
        '"x"',
        "`y`",
        "5",
        "b*",
        "&&",
        " ",
    ]
)
