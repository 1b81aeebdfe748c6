"""docs/recipes.md says of each recipe what its file says; what it prints is held by test_commands_documentation.py."""

import re
from pathlib import Path

import pytest

from kubectl_sew.recipes.recipe import load_recipe, recipe_names

pytestmark = pytest.mark.documentation

PAGE = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^### (.+)\n((?:(?!^##).*\n)*)", PAGE, re.MULTILINE))
ROW = re.compile(r"^\| `([^`]+)` \| (yes|no)(?:: `([^`]+)`)? \| (.*?)( \(secret\))? \|$", re.MULTILINE)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_described_as_it_is(name: str) -> None:
    recipe = load_recipe(name)
    section = SECTIONS[recipe.title]
    text = " ".join(section.split())
    assert f"`{name}`: {recipe.description} [Documentation]({recipe.documentation})" in text
    assert ROW.findall(section) == [
        (
            variable.name,
            "yes" if variable.required else "no",
            variable.default or "",
            variable.meaning,
            " (secret)" if variable.secret else "",
        )
        for variable in recipe.variables
    ]
    said = [recipe.identity[1:], recipe.notes, *recipe.expect.splitlines(), *recipe.limits.splitlines(), recipe.rate]
    assert [each for each in said if " ".join(each.split()) not in text] == []


def test_no_other_recipe_is_described() -> None:
    assert sorted(SECTIONS) == sorted(load_recipe(name).title for name in recipe_names())
