"""docs/consumers.md says the same as the code."""

import json
import re
from pathlib import Path

import pytest

from kubectl_sew.consumers.go_template.functions import FUNCTIONS
from kubectl_sew.consumers.jinja_filters import FILTERS
from kubectl_sew.consumers.jinja_template import LOOP_ATTRIBUTES
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.consumers.slack import WORDS
from kubectl_sew.consumers.template import render_body, render_text
from kubectl_sew.samples import sample

pytestmark = pytest.mark.documentation

PAGE = (Path(__file__).parents[3] / "docs" / "consumers.md").read_text("utf-8")
ROW = re.compile(r"^\| `([^`]+)` \| (yes|no) \| (.*) \|$", re.MULTILINE)


def section(name: str) -> str:
    return PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("name", CONSUMERS)
def test_the_table_of_variables_is_the_registrys(name: str) -> None:
    rows = ROW.findall(section(name))
    documented = [(variable, required == "yes", meaning) for variable, required, meaning in rows]
    assert documented == [
        (variable.name, variable.required, variable.meaning) for variable in CONSUMERS[name].variables
    ]


def test_every_word_of_slack_is_documented() -> None:
    assert [word for word in WORDS if f"`{word}`" not in section("Slack")] == []


def test_every_filter_and_attribute_of_loops_is_documented() -> None:
    assert [name for name in FILTERS if f"`{name}`" not in section("Generic")] == []
    assert [name for name in LOOP_ATTRIBUTES if f"`loop.{name}`" not in section("Generic")] == []


def test_every_function_of_calicos_language_is_documented() -> None:
    assert [name for name in FUNCTIONS if not re.search(rf"`(?:[^`]*\W)?{name}\b", section("Generic"))] == []


def examples(heading: str) -> list[tuple[str, str]]:
    """Return the examples of templates in a table's row, one column for each language."""
    table = section("Generic").split(heading)[1].split("\n\n")[0]
    rows = [line.replace("\\|", "\0").split("|")[1:3] for line in table.splitlines()[2:]]
    return [(go.replace("\0", "|"), jinja.replace("\0", "|")) for go, jinja in rows]


def test_the_examples_of_both_languages_give_the_same() -> None:
    document = sample("waf")
    for cells in examples("| in Calico's language "):
        written = [[render_text(source, document) for source in re.findall("`([^`]+)`", cell)] for cell in cells]
        assert written[0][0] == written[1][0] != ""


def test_the_two_templates_of_the_page_make_the_same_of_an_event() -> None:
    blocks = re.findall(r"(?:\n    .*)+", re.sub(r"(?s)```.*?```", "", section("Generic")))
    bodies = [render_body(block, sample("waf") | {"labels": {"cluster": "c"}}, as_json=True) for block in blocks]
    (go, jinja) = map(json.loads, bodies)
    assert go == jinja
    assert go["text"]
