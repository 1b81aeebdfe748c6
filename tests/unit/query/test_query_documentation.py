"""docs/queries.md shows golden queries only, and names each limit as it is."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

from kubectl_sew.query.grammar import GRAMMAR
from kubectl_sew.query.lexer import MAX_BYTES, MAX_LEAVES, MAX_NESTING
from tests import cases

pytestmark = pytest.mark.documentation

TEXT = (Path(__file__).parents[3] / "docs" / "queries.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
EXAMPLES = [line for kind, block in BLOCKS if not kind for line in block.splitlines()]
GOLDEN = {case["query"] for case in cases.load("queries.toml")}


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_an_example_means_is_held_by_a_golden_case(example: str) -> None:
    assert example in GOLDEN


def test_the_grammar_is_the_parsers() -> None:
    assert [block for kind, block in BLOCKS if kind] == [dedent(GRAMMAR).lstrip()]


def test_the_limits_are_those_of_the_code() -> None:
    assert f"{MAX_BYTES // 1024} KiB of text, {MAX_NESTING} levels of brackets" in TEXT
    assert f"{MAX_LEAVES:,} selectors" in TEXT
