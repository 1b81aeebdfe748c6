"""docs/consumers.md says the same as the code."""

import re
from pathlib import Path

import pytest

from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.consumers.slack import WORDS
from kubectl_sew.consumers.template import LOOP_ATTRIBUTES
from kubectl_sew.consumers.template_filters import FILTERS

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
