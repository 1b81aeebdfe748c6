"""The manifests, as kustomize and a real API server take them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sew.install import Host, InstallPlan, render, with_agent
from tests.integration.install.conftest import SECRETS, Person

pytestmark = pytest.mark.server
OVERLAYS = Path(__file__).parents[3] / "manifests" / "overlays"
HOST = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "shop", "namespace": "shops"},
    "spec": {
        "selector": {"matchLabels": {"app": "shop"}},
        "template": {
            "metadata": {"labels": {"app": "shop"}},
            "spec": {
                "serviceAccountName": "keeper",
                "containers": [{"name": "shop", "image": "shop:1"}],
            },
        },
    },
}


def by_identity(objects: Any) -> dict[tuple[str, str, str], Any]:
    return {(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj for obj in objects}


@pytest.mark.parametrize("overlay", ["standalone", "sidecar"])
def test_an_overlay_is_applied_and_applied_again(person: Person, overlay: str) -> None:
    first = person.runs("apply", "-k", str(OVERLAYS / overlay))
    again = person.runs("apply", "-k", str(OVERLAYS / overlay))
    assert again.count("unchanged") == len(again.splitlines()) == len(first.splitlines())


def test_deleting_what_was_applied_leaves_the_namespace_of_the_secrets(person: Person) -> None:
    person.runs("apply", "-k", str(OVERLAYS / "standalone"))
    person.runs("delete", "--wait=false", "-k", str(OVERLAYS / "standalone"))
    assert person.server.get("namespace", SECRETS)["status"]["phase"] == "Active"


def test_alone_install_prints_what_kustomize_builds(person: Person) -> None:
    built = list(yaml.safe_load_all(person.runs("kustomize", str(OVERLAYS / "standalone"))))
    assert by_identity(render(InstallPlan())) == by_identity(built)
    assert by_identity(yaml.safe_load_all(person.runs("sew", "install"))) == by_identity(built)


def test_as_a_sidecar_install_adds_what_the_component_adds(person: Person, tmp_path: Path) -> None:
    (tmp_path / "deployment.yaml").write_text(json.dumps(HOST))
    (tmp_path / "manifests").symlink_to(OVERLAYS.parent)
    kustomization = {"resources": ["deployment.yaml"], "components": ["manifests/overlays/sidecar"]}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(kustomization))
    built = by_identity(yaml.safe_load_all(person.runs("kustomize", str(tmp_path))))
    host = built.pop(("Deployment", "shops", "shop"))
    plan = InstallPlan(host=Host("shop", "shops", "sew-agent"))
    assert host == with_agent(HOST, plan)
    assert set(built) == set(by_identity(render(plan)))


def shown_kustomization(section: str) -> str:
    """Return the one that docs/install.md shows there."""
    text = (OVERLAYS.parents[1] / "docs" / "install.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    (example,) = re.findall(r"```yaml\n(resources:.*?)```", text, re.DOTALL)
    return str(example)


def test_the_kustomization_for_openshift_leaves_out_what_that_chooses(person: Person, tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(person.runs("sew", "install"))
    (tmp_path / "kustomization.yaml").write_text(shown_kustomization("OpenShift"))
    built = yaml.safe_load_all(person.runs("kustomize", str(tmp_path)))
    (pod,) = [obj["spec"]["template"]["spec"] for obj in built if obj["kind"] == "Deployment"]
    (printed,) = [obj["spec"]["template"]["spec"] for obj in render(InstallPlan()) if obj["kind"] == "Deployment"]
    del printed["securityContext"]["fsGroup"]
    for name in ("runAsUser", "runAsGroup"):
        del printed["containers"][0]["securityContext"][name]
    assert pod == printed


def test_the_kustomization_of_the_documentation_sets_what_it_says(person: Person, tmp_path: Path) -> None:
    example = shown_kustomization("By kustomize")
    (tmp_path / "manifests").symlink_to(OVERLAYS.parent)
    local = re.sub(r"- github\.com/\S*(manifests/\S+)\?ref=\S+", r"- \1", example)
    (tmp_path / "kustomization.yaml").write_text(local)
    built = list(yaml.safe_load_all(person.runs("kustomize", str(tmp_path))))
    assert set(by_identity(built)) == set(by_identity(render(InstallPlan())))
    (deployment,) = [obj for obj in built if obj["kind"] == "Deployment"]
    (agent,) = deployment["spec"]["template"]["spec"]["containers"]
    assert agent["image"] == "registry.example/sew-agent:0.1.0"
    variables = {variable["name"]: variable.get("value") for variable in agent["env"]}
    assert variables["SEW_ELASTICSEARCH"] == "https://elasticsearch.example:9200"
    assert "sew-credentials" in [mount["name"] for mount in agent["volumeMounts"]]


def test_a_setting_made_beside_the_installation_outlives_the_next_one(person: Person) -> None:
    person.installs()
    person.runs("set", "env", "deployment/sew-agent", "-n", "sew-system", "SEW_INDEX=calico_events.*")
    person.installs("--image", "own/agent:2")
    spec = person.server.get("deployment", "sew-agent", "-n", "sew-system")["spec"]["template"]["spec"]
    assert {"name": "SEW_INDEX", "value": "calico_events.*"} in spec["containers"][0]["env"]


@pytest.mark.parametrize("overlay", ["standalone", "sidecar"])
def test_a_namespace_that_enforces_pod_security_restricted_takes_the_pod(person: Person, overlay: str) -> None:
    person.runs("label", "namespace", "shops", "--overwrite", "pod-security.kubernetes.io/enforce=restricted")
    (alone,) = [obj for obj in render(InstallPlan()) if obj["kind"] == "Deployment"]
    deployment = with_agent(alone, InstallPlan(host=Host("shop", "shops", "keeper"))) if overlay == "sidecar" else alone
    spec = deployment["spec"]["template"]["spec"]
    if overlay == "sidecar":
        spec["containers"][0]["name"] = "shop"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "any", "namespace": "shops"}, "spec": spec}
    assert "created" in person.runs("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    agent = (spec["initContainers"] if overlay == "sidecar" else spec["containers"])[0]
    del agent["securityContext"]
    assert "restricted" in person.tries("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(pod)).stderr
