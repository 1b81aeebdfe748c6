"""What the Prometheus operator is given, judged by its own definitions on a real API server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.servers import helm
from testbed.servers.helm import Helm
from testbed.servers.kubernetes import Kubernetes
from testbed.servers.prometheus_operator import find
from testbed.servers.required import required
from tests.integration.monitoring.conftest import MONITORING

pytestmark = pytest.mark.server
CHART = MONITORING.parents[1] / "charts/kubectl-sew"
KINDS = ("podmonitors", "prometheusrules")


@pytest.fixture(scope="module")
def operated(cluster: Kubernetes) -> Iterator[Kubernetes]:
    """A cluster with the operator's kinds, and the namespace that our objects are for."""
    with required():
        definitions = [find() / f"monitoring.coreos.com_{kind}.yaml" for kind in KINDS]
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sew-system"}})
    for definition in definitions:
        cluster.define(definition)
    yield cluster
    for definition in definitions:
        cluster.kubectl("delete", "-f", definition)


def objections(cluster: Kubernetes, *objects: Any) -> str:
    """Return why the server would not create objects, with unknown fields; "" where it would."""
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    done = cluster.try_kubectl("create", "--validate=strict", "--dry-run=server", "-f", "-", stdin=manifests)
    assert (done.returncode != 0) == bool(done.stderr), done.stderr
    return done.stderr


def of_the_operator(manifests: str) -> list[Any]:
    """Return the operator's objects among manifests."""
    objects = [obj for obj in yaml.safe_load_all(manifests) if obj["apiVersion"] == "monitoring.coreos.com/v1"]
    assert {obj["kind"] for obj in objects} == {"PodMonitor", "PrometheusRule"}
    return objects


def test_what_kustomize_makes_is_taken(operated: Kubernetes) -> None:
    assert objections(operated, *of_the_operator(operated.kubectl("kustomize", MONITORING))) == ""


def test_what_the_chart_renders_is_taken(operated: Kubernetes, tmp_path: Path) -> None:
    with required():
        program = Helm(helm.find(helm.V4), tmp_path)
    values = [f"--set=monitoring.{part}.enabled=true" for part in ("podMonitor", "prometheusRule")]
    rendered = program.tries("template", "sew-agent", CHART, "-n", "sew-system", *values)
    assert rendered.returncode == 0, rendered.stderr
    assert objections(operated, *of_the_operator(rendered.stdout)) == ""


@pytest.mark.parametrize(
    ("file", "good", "bad", "why"),
    [
        ("podmonitor", "- port:", "- prot:", 'prot"'),
        (
            "podmonitor",
            "- port: sew-metrics",
            "- {port: sew-metrics, interval: often}",
            "podMetricsEndpoints[0].interval",
        ),
        ("prometheusrule", "for: 5m", "for: soon", "rules[0].for"),
        ("prometheusrule", "severity: warning", "severity: 1", "rules[0].labels.severity"),
    ],
)
def test_what_the_operator_does_not_know_would_be_refused(
    operated: Kubernetes, file: str, good: str, bad: str, why: str
) -> None:
    text = (MONITORING / f"{file}.yaml").read_text()
    assert good in text
    assert why in objections(operated, yaml.safe_load(text.replace(good, bad, 1)))
