"""The chart's files agree with those that they are made of; what it renders: tests/integration/install."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sew import __version__

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
