"""Grafana's dashboard: its queries are Prometheus', and ask for what a real agent serves."""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.servers.grafana import objections
from testbed.servers.kubernetes import kubectl
from testbed.servers.required import required
from tests.integration.monitoring.conftest import MONITORING, Scrapes

pytestmark = pytest.mark.server
DASHBOARD: Any = json.loads((MONITORING / "dashboard.json").read_text())
GRAPHS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    """Yield each query, filled."""
    for panel in GRAPHS:
        for target in panel["targets"]:
            yield filled(target["expr"])


def filled(expression: str) -> str:
    """Return a query with the values that Grafana puts in for its variables where all is chosen."""
    return re.sub(r"\$(namespace|job|webhook)\b", ".*", expression.replace("$__rate_interval", "5m"))


def test_each_query_is_one_of_prometheus(promtool: Path, tmp_path: Path) -> None:
    asked = [{"record": "any:thing", "expr": expression} for expression in expressions()]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": asked}]}))
    command = [promtool, "check", "rules", "--lint=none", tmp_path / "rules.yaml"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_each_query_asks_for_series_and_labels_that_a_real_agent_serves(scrapes: Scrapes, late: Sequence[str]) -> None:
    served: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", scrapes.faulty[-1] + late[-1], re.MULTILINE):
        served.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    of_prometheus = {"namespace", "job", "instance"}
    for expression in expressions():
        found = re.findall(r"\b((?:sew|process)_\w+)\{([^}]*)\}", expression)
        assert found, expression
        grouped = {label for labels in re.findall(r"by \(([^)]*)\)", expression) for label in labels.split(", ")}
        for name, selector in found:
            asked = grouped | set(re.findall(r"(\w+)[=!]", selector))
            assert name in served, expression
            assert asked - of_prometheus <= served[name], expression


@pytest.mark.parametrize("labels", ['job="sew-agent",namespace="{}"', 'job="sew-agent-{}"'])
def test_webhooks_of_one_name_in_two_releases_are_two(promtool: Path, tmp_path: Path, labels: str) -> None:
    """Those of the Prometheus operator have a namespace; without it each has a job."""
    of_releases = {labels.format("a"): 3, labels.format("b"): 5}
    series = [
        {"series": f'sew_deliveries{{webhook="w",state="pending",{release}}}', "values": f"{waiting}"}
        for release, waiting in of_releases.items()
    ]
    (waiting,) = (panel for panel in GRAPHS if (panel["title"], panel["type"]) == ("Waiting", "stat"))
    asked = {
        "expr": filled(waiting["targets"][0]["expr"]),
        "eval_time": "0m",
        "exp_samples": [{"labels": "{}", "value": 8}],
    }
    test = {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [asked]}]}
    (tmp_path / "test.yaml").write_text(json.dumps(test))  # JSON is YAML, too
    ran = subprocess.run(
        [promtool, "test", "rules", tmp_path / "test.yaml"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_grafanas_own_types_read_it_strictly() -> None:
    assert {panel["type"] for panel in GRAPHS} == {"stat", "timeseries"}, (
        "testbed/servers/go/grafana/main.go knows no others"
    )
    text = (MONITORING / "dashboard.json").read_text()
    with required():
        assert objections(text) == ""


@pytest.mark.parametrize(
    ("good", "bad"), [('"legendFormat":', '"legend":'), ('"fillOpacity": 10', '"fillOpacity": "much"'), ('"30s"', "30")]
)
def test_strictly_means_that_no_other_field_and_no_other_type_is_taken(good: str, bad: str) -> None:
    text = (MONITORING / "dashboard.json").read_text()
    with required():
        assert objections(text.replace(good, bad, 1)) != ""


def test_kustomize_makes_of_it_what_grafanas_sidecar_loads() -> None:
    with required():
        built = subprocess.run([kubectl(), "kustomize", MONITORING], capture_output=True, text=True, check=True)
    objects = {obj["kind"]: obj for obj in yaml.safe_load_all(built.stdout)}
    assert objects.keys() == {"ConfigMap", "PodMonitor", "PrometheusRule"}
    assert {obj["metadata"]["namespace"] for obj in objects.values()} == {"sew-system"}
    assert objects["ConfigMap"]["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(objects["ConfigMap"]["data"]["sew-agent.json"]) == DASHBOARD


def test_the_kustomization_of_the_documentation_sets_what_it_says(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (MONITORING.parents[1] / "docs/monitoring.md").read_text(), re.DOTALL)
    (tmp_path / "manifests").symlink_to(MONITORING.parent)
    local = re.sub(r"- github\.com/\S*(manifests/\S+)\?ref=\S+", r"- \1", example)
    (tmp_path / "kustomization.yaml").write_text(local)
    with required():
        built = subprocess.run([kubectl(), "kustomize", tmp_path], capture_output=True, text=True, check=True)
    objects = {obj["kind"]: obj for obj in yaml.safe_load_all(built.stdout)}
    assert {obj["metadata"]["namespace"] for obj in objects.values()} == {"shops"}
    assert {obj["metadata"]["labels"]["release"] for obj in objects.values()} == {"kube-prometheus-stack"}
    assert objects["PodMonitor"]["spec"]["selector"] == {"matchLabels": {"app": "shop"}}
