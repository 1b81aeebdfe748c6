"""All manifests are known to each version of Kubernetes that they are for; the chart: tests/integration/install."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sew.install import Host, InstallPlan, UsableCredentials, render, with_agent
from tests.kubernetes_schemas import VERSIONS, objections

MANIFESTS = Path(__file__).parents[3] / "manifests"
PLANS = (
    InstallPlan(
        create_secrets_namespace=True, credentials=UsableCredentials("es", ("api-key",)), event_map="title: rule"
    ),
    InstallPlan(store_secret="pg", replicas=3),
)
HOST = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "shop", "namespace": "shops"},
    "spec": {
        "selector": {"matchLabels": {"app": "shop"}},
        "template": {
            "metadata": {"labels": {"app": "shop"}},
            "spec": {"containers": [{"name": "shop", "image": "shop:1"}]},
        },
    },
}

each_version = pytest.mark.parametrize("version", VERSIONS)


def read(*folders: str) -> list[Any]:
    """Return the objects of folders, without kustomize's own and the parts of objects that it patches in."""
    files = [path for folder in folders for path in sorted((MANIFESTS / folder).glob("*.yaml"))]
    objects = [obj for path in files for obj in yaml.safe_load_all(path.read_text("utf-8"))]
    return [obj for obj in objects if obj["kind"] not in ("Kustomization", "Component")]


@each_version
def test_what_install_prints_and_the_files_that_are_applied_as_they_are(version: str) -> None:
    """What kustomize builds is what install prints: tests/integration/install/test_manifests.py."""
    printed = [obj for plan in PLANS for obj in render(plan)]
    printed.append(with_agent(HOST, InstallPlan(host=Host("shop", "shops", "keeper"))))
    objects = [*printed, *read("base", "overlays/standalone", "monitoring")]
    different = {json.dumps(obj, sort_keys=True): obj for obj in objects}
    assert objections(different.values(), version) == []


@each_version
def test_the_policies_need_kubernetes_1_30(version: str) -> None:
    unknown = objections(read("policies"), version)
    assert len(unknown) == (6 if version == "1.29" else 0)
    assert all("no such kind in admissionregistration.k8s.io/v1" in said for said in unknown)


def test_a_field_that_is_misspelt_and_a_kind_that_is_gone_are_noticed() -> None:
    misspelt: Any = deepcopy(HOST)
    misspelt["spec"]["template"]["spec"]["initContainer"] = []
    gone = {"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "metadata": {"name": "old"}}
    assert objections([HOST, misspelt, gone], VERSIONS[0]) == [
        "Deployment shop: spec.template.spec: Additional properties are not allowed ('initContainer' was unexpected)",
        "PodDisruptionBudget old: no such kind in policy/v1beta1",
    ]
