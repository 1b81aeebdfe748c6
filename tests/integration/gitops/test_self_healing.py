"""A GitOps tool that applies a webhook again and again, beside the agent, the plugin and another tool."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sew.resource import TEST_RESULT_ANNOTATION
from testbed.receivers import Receiver
from testbed.servers.kubernetes import Kubernetes
from tests.e2e.sew_agent import Folder
from tests.integration.cluster.in_cluster import ClusterHarness, cluster_harness, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server
ROOT = Path(__file__).parents[3]


@pytest.fixture
def harness(cluster: Kubernetes) -> Iterator[ClusterHarness]:
    with cluster_harness(cluster) as made:
        yield made


def tries(harness: ClusterHarness, obj: Mapping[str, Any], manager: str, *flags: str) -> str:
    """Apply on the server as one of several tools; return why that was refused, "" where it was not."""
    words = ("apply", "--server-side", f"--field-manager={manager}", *flags, "-f", "-")
    return harness.server.try_kubectl(*words, stdin=json.dumps(obj)).stderr


def sew(harness: ClusterHarness, *words: str) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return harness.server.try_kubectl("sew", *words, env={"PATH": path})


def test_two_tools_that_disagree_learn_of_each_other_and_one_of_them_gives_way(harness: ClusterHarness) -> None:
    ours, theirs = (webhook("shared", "https://a.example", query=f"severity >= {least}") for least in (10, 90))
    assert tries(harness, ours, "flux") == ""
    refused = tries(harness, theirs, "argocd")
    assert 'conflict with "flux"' in refused
    assert ".spec.query" in refused
    assert tries(harness, theirs, "argocd", "--force-conflicts") == ""
    assert harness.object("shared")["spec"]["query"] == "severity >= 90"
    assert 'conflict with "argocd"' in tries(harness, ours, "flux")
    assert tries(harness, theirs, "flux") == ""  # who declares the same shares the field


def test_neither_the_agent_nor_a_test_is_undone_by_a_tool_that_heals_itself(
    harness: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    declared = webhook("healed", receiver.url)
    assert tries(harness, declared, "gitops") == ""
    harness.agent(folder)
    folder.write([1])
    eventually(
        lambda: harness.condition("healed", "Healthy").get("reason") == "SecurityEventsProcessing", "it is delivered"
    )
    before = harness.object("healed")
    assert tries(harness, declared, "gitops") == ""
    after = harness.object("healed")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["status"] == before["status"]
    done = sew(harness, "test", "healed")
    assert (done.returncode, "delivered: 204" in done.stdout) == (0, True), done.stderr
    assert tries(harness, declared, "gitops") == ""
    assert harness.object("healed")["spec"]["state"] == "Enabled"
    assert "delivered: 204" in harness.object("healed")["metadata"]["annotations"][TEST_RESULT_ANNOTATION]
    assert len(receiver.accepted) == 2


def test_a_state_of_the_plugin_is_a_conflict_and_lasts_until_somebody_applies_by_force(harness: ClusterHarness) -> None:
    declared = webhook("off", "https://a.example")
    assert tries(harness, declared, "gitops") == ""
    assert sew(harness, "disable", "off").returncode == 0
    refused = tries(harness, declared, "gitops")
    assert 'conflict with "kubectl-sew"' in refused
    assert ".spec.state" in refused
    assert harness.object("off")["spec"]["state"] == "Disabled"
    assert tries(harness, declared, "gitops", "--force-conflicts") == ""
    assert harness.object("off")["spec"]["state"] == "Enabled"
    assert tries(harness, declared, "gitops") == ""


def test_the_kustomization_of_the_documentation_is_applied_again_and_again(
    harness: ClusterHarness, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "gitops.md").read_text("utf-8")
    (example,) = (text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "overlays/standalone" in text)
    (tmp_path / "manifests").symlink_to(ROOT / "manifests")
    (tmp_path / "kustomization.yaml").write_text(re.sub(r"- github\.com/\S*(manifests/\S+)\?ref=\S+", r"- \1", example))
    built = harness.server.kubectl("kustomize", tmp_path)
    kept = [obj["kind"] for obj in yaml.safe_load_all(built) if "annotations" in obj["metadata"]]
    assert sorted(kept) == ["CustomResourceDefinition", "CustomResourceDefinition", "PersistentVolumeClaim"]
    applied = ("apply", "--server-side", "--force-conflicts", "--field-manager=kustomize-controller", "-f", "-")
    versions = []
    for _ in range(2):
        harness.server.kubectl(*applied, stdin=built)
        agent = harness.server.get("deployment", "sew-agent", "-n", "sew-system")
        versions.append(agent["metadata"]["resourceVersion"])
    assert versions[0] == versions[1]
    harness.server.kubectl("delete", "deployment,networkpolicy,pvc", "sew-agent", "-n", "sew-system", "--wait=false")
    unfinished = '{"metadata": {"finalizers": null}}'  # a controller would let the claim go
    harness.server.kubectl("patch", "persistentvolumeclaim", "sew-agent", "-n", "sew-system", "-p", unfinished)
