"""The chart's files agree with those that they are made of; what it renders: tests/integration/install."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.values_table import described, with_table
from kubectl_sew import __version__
from kubectl_sew.pages import HOMEPAGE, IMAGE

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "kubectl-sew"


def read(path: str) -> Any:
    return yaml.safe_load((CHART / path).read_text("utf-8"))


@pytest.mark.parametrize("name", sorted(path.name for path in (CHART / "files").iterdir()))
def test_what_the_chart_shares_with_the_manifests_is_a_copy_which_make_chart_makes(name: str) -> None:
    """Helm packs no file from outside of a chart."""
    (original,) = (ROOT / "manifests").glob(f"*/{name}")
    assert (CHART / "files" / name).read_text("utf-8") == original.read_text("utf-8")


def test_the_chart_has_the_version_of_the_project() -> None:
    chart = read("Chart.yaml")
    assert chart["version"] == chart["appVersion"] == __version__


def test_what_the_chart_says_of_the_project_is_true() -> None:
    """Artifact Hub shows it."""
    chart = read("Chart.yaml")
    said = {name: yaml.safe_load(text) for name, text in chart["annotations"].items()}
    assert said["artifacthub.io/images"] == [{"name": "sew-agent", "image": f"{IMAGE}:{__version__}"}]
    named = [chart["icon"].replace("raw.githubusercontent.com", "github.com").replace("/main/", "/blob/main/")]
    named += [link["url"] for link in said["artifacthub.io/links"]]
    files = [url.removeprefix(f"{HOMEPAGE}/blob/main/") for url in named if url != f"{HOMEPAGE}/issues"]
    assert [name for name in files if not (ROOT / name).exists()] == []
    definitions = [read(f"files/{name}.yaml") for name in ("crd", "alertexceptions")]
    assert [(crd["kind"], crd["version"], crd["name"]) for crd in said["artifacthub.io/crds"]] == [
        (crd["spec"]["names"]["kind"], crd["spec"]["versions"][0]["name"], crd["metadata"]["name"])
        for crd in definitions
    ]


def test_each_value_is_described_or_a_part_of_one_that_is() -> None:
    names = {path for path, _ in described((CHART / "values.yaml").read_text("utf-8"))}

    def undescribed(values: Any, above: str = "") -> Iterator[str]:
        for name, value in values.items():
            if (path := f"{above}{name}") not in names:
                yield from undescribed(value, f"{path}.") if isinstance(value, dict) and value else [path]

    assert list(undescribed(read("values.yaml"))) == []


def test_the_readme_has_the_table_of_values_which_make_chart_makes() -> None:
    readme = (CHART / "README.md").read_text("utf-8")
    assert with_table(readme, (CHART / "values.yaml").read_text("utf-8")) == readme


def test_the_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))

    def compare(properties: Any, values: Any, of_a_parent: tuple[str, ...] = ()) -> None:
        assert set(properties) - set(of_a_parent) == set(values)
        for name, value in values.items():
            if "properties" in properties[name] and name != "resources":
                assert properties[name]["additionalProperties"] is False
                compare(properties[name]["properties"], value)

    assert schema["additionalProperties"] is False
    compare(schema["properties"], read("values.yaml"), ("global", "enabled"))
