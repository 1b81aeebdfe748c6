"""The chart in a cluster, as Helm installs, upgrades, rolls back and removes it on a real API server without nodes."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testbed.servers.helm import Helm
from tests.integration.install.conftest import DEFINITIONS, EXCEPTIONS, SECRETS, Person, deployment

pytestmark = pytest.mark.server
CHART = Path(__file__).parents[3] / "charts" / "kubectl-sew"
KEPT = [EXCEPTIONS[0], DEFINITIONS[0]]
NAMESPACE = "sew-system"
WEBHOOK = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "SecurityEventWebhook",
    "metadata": {"name": "urgent"},
    "spec": {
        "consumer": "Generic",
        "state": "Enabled",
        "query": "severity >= 90",
        "config": [{"name": "url", "value": "https://receiver.example"}],
    },
}


@dataclass(frozen=True)
class Installer:
    """Helm at a terminal, with the person's cluster."""

    helm: Helm
    person: Person

    def tries(self, *words: str | Path) -> tuple[int, str]:
        """Return the exit code, and all that `helm WORDS` says, as one line."""
        done = self.helm.tries(*words, "--namespace", NAMESPACE, env=self.person.server.environment)
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    def runs(self, *words: str | Path) -> str:
        code, said = self.tries(*words)
        assert code == 0, said
        return said

    def is_refused(self, *words: str | Path) -> str:
        code, said = self.tries(*words)
        assert code == 1, said
        return said

    def webhooks(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.person.server.get(DEFINITIONS[0])["items"]]

    def agent(self) -> Any:
        """The agent's container as it is in the cluster."""
        pod = self.person.server.get("deployment", "sew-agent", "-n", NAMESPACE)["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        return container


@pytest.fixture
def installer(helm: Helm, person: Person) -> Iterator[Installer]:
    person.runs("create", "namespace", NAMESPACE)
    yield Installer(helm, person)
    person.runs("delete", "secrets", "-n", NAMESPACE, "-l", "owner=helm")  # no controller empties the namespace


def newer(folder: Path) -> Path:
    """Return a copy of the chart that is the next version, whose definition allows more."""
    copy = shutil.copytree(CHART, folder / "newer")
    for path, before, after in (("Chart.yaml", "0.1.0", "0.2.0"), ("files/crd.yaml", "maxItems: 100", "maxItems: 200")):
        text = (copy / path).read_text("utf-8")
        assert before in text
        (copy / path).write_text(text.replace(before, after), "utf-8")
    return copy


def allowed(person: Person) -> int:
    """The number of variables that the definition in the cluster allows: 100 or, if it is the newer one's, 200."""
    (version,) = person.server.get("crd", DEFINITIONS[0])["spec"]["versions"]
    most: int = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["config"]["maxItems"]
    return most


def test_a_release_is_installed_changed_rolled_back_and_removed_and_webhooks_and_claim_stay(
    installer: Installer,
) -> None:
    person = installer.person
    installer.runs("install", "sew-agent", CHART, "--set", "image.tag=v1")
    assert installer.agent()["image"].endswith(":v1")
    assert person.names("roles") == ["default/sew-agent-events", f"{SECRETS}/sew-agent"]
    person.server.apply(WEBHOOK)
    installer.runs("upgrade", "sew-agent", CHART, "--set", "image.tag=v2", "--set", "webhooks.selector=team=a")
    assert installer.agent()["image"].endswith(":v2")
    assert {"name": "SEW_SELECTOR", "value": "team=a"} in installer.agent()["env"]
    installer.runs("rollback", "sew-agent")
    assert installer.agent()["image"].endswith(":v1")
    assert "SEW_SELECTOR" not in json.dumps(installer.agent()["env"])
    said = installer.runs("uninstall", "sew-agent")
    assert all(f"[CustomResourceDefinition] {name}" in said for name in KEPT)
    assert "[PersistentVolumeClaim] sew-agent" in said
    assert person.names("crds") == KEPT
    assert person.names("persistentvolumeclaims") == [f"{NAMESPACE}/sew-agent"]
    for kind in ("deployments", "serviceaccounts", "networkpolicies", "roles", "rolebindings", "clusterroles"):
        assert person.names(kind) == []
    refused = installer.is_refused("install", "prod", CHART)
    assert 'key "meta.helm.sh/release-name" must equal "prod": current value is "sew-agent"' in refused
    installer.runs("install", "sew-agent", CHART)
    assert installer.webhooks() == ["urgent"]


def test_a_newer_chart_brings_its_definitions_and_a_rollback_takes_them_back(
    installer: Installer, tmp_path: Path
) -> None:
    installer.runs("install", "sew-agent", CHART)
    installer.person.server.apply(WEBHOOK)
    installer.runs("upgrade", "sew-agent", newer(tmp_path))
    assert allowed(installer.person) == 200
    installer.runs("rollback", "sew-agent")
    assert allowed(installer.person) == 100
    installer.runs("upgrade", "sew-agent", tmp_path / "newer", "--set", "crds.enabled=false")
    assert installer.person.names("crds") == KEPT
    assert allowed(installer.person) == 100
    assert installer.webhooks() == ["urgent"]


def test_the_notes_name_commands_that_run(installer: Installer, tmp_path: Path) -> None:
    person = installer.person
    (tmp_path / "url").write_text("https://hooks.slack.com/services/T/B/X")
    installer.runs("install", "sew-agent", CHART)
    notes = installer.helm.tries("get", "notes", "sew-agent", "-n", NAMESPACE, env=person.server.environment).stdout
    rollout, check, secret, create = re.findall(r"^ +kubectl (.*)$", notes, re.MULTILINE)
    assert "Waiting for deployment" in person.runs(*shlex.split(rollout), "--watch=false")
    checked = person.tries(*shlex.split(check)).stdout
    assert "✓ it has its rights" in checked
    assert f"no pod of {NAMESPACE}/sew-agent holds a container" in checked
    person.runs(*shlex.split(secret.replace("FILE", str(tmp_path / "url"))))
    assert "urgent created" in person.runs(*shlex.split(create))
    person.runs("delete", "secret", "receiver", "-n", SECRETS)


def test_a_cluster_that_is_not_ready_is_refused_before_anything_is_made(installer: Installer) -> None:
    processor = deployment("calico", SECRETS, containers=[{"name": "webhooks-processor", "image": "calico:1"}])
    installer.person.server.apply(processor)
    refused = installer.is_refused("install", "sew-agent", CHART)
    assert "Calico's own processor runs in deployment/calico" in refused
    assert "besideCalico=true" in refused
    elsewhere = installer.is_refused("install", "sew-agent", CHART, "--set", "secretsNamespace.name=vault")
    assert "`kubectl create namespace vault`, or set secretsNamespace.create" in elsewhere
    assert installer.person.names("crds") == []
    installer.runs("install", "sew-agent", CHART, "--set", "besideCalico=true")


def test_what_the_server_refuses_is_named_and_the_next_try_goes_on(installer: Installer) -> None:
    refused = installer.is_refused("install", "sew-agent", CHART, "--set", "podLabels.team=a b")
    assert 'Deployment.apps "sew-agent" is invalid: spec.template.labels: Invalid value: "a b"' in refused
    installer.runs("upgrade", "--install", "sew-agent", CHART, "--set", "podLabels.team=a")
    assert installer.agent()["name"] == "sew-agent"


def test_two_releases_need_names_of_their_own_and_one_has_the_definitions(installer: Installer) -> None:
    installer.runs("install", "sew-agent", CHART)
    values = "crds.enabled=false,rbac.aggregateRoles=false,secretsNamespace.name=shops,webhooks.selector=team=b"
    second = (CHART, "--set", values)
    same_name = ("install", "sew-agent", *second, "--namespace", "shops")
    done = installer.helm.tries(*same_name, env=installer.person.server.environment)
    assert 'ClusterRole "sew-agent" in namespace "" exists' in done.stderr
    installer.runs("install", "team-b", *second)
    assert installer.person.server.get("deployment", "team-b-sew-agent", "-n", NAMESPACE)
    assert "shops/team-b-sew-agent" in installer.person.names("roles")
    installer.runs("uninstall", "team-b")
    assert installer.person.names("clusterroles") == [
        "securityeventwebhooks-edit",
        "securityeventwebhooks-view",
        "sew-agent",
    ]


def test_an_agent_of_kubectl_sew_install_is_handed_to_helm_as_the_documentation_says(
    installer: Installer, tmp_path: Path
) -> None:
    person = installer.person
    person.runs("apply", "-f", "-", stdin=person.runs("sew", "install"))
    person.server.apply(WEBHOOK)
    assert "invalid ownership metadata" in installer.is_refused("install", "sew-agent", CHART)
    person.runs("sew", "uninstall", "--apply")
    forced = ("--force-conflicts",) if "--force-conflicts" in installer.runs("upgrade", "--help") else ()
    take_over = ("upgrade", "--install", "sew-agent", newer(tmp_path), "--take-ownership")
    if forced:  # since Helm 4 applies on the server
        assert "conflict" in installer.is_refused(*take_over)
    installer.runs(*take_over, *forced)
    assert allowed(person) == 200
    assert installer.webhooks() == ["urgent"]
    installer.runs("upgrade", "sew-agent", CHART)
    assert allowed(person) == 100


def test_helm_4_waits_for_a_webhook_in_vain_once_it_has_a_status(installer: Installer, tmp_path: Path) -> None:
    """Its status is the array of conditions itself, as Calico has it, and kstatus takes that for an error."""
    if "--force-conflicts" not in installer.runs("upgrade", "--help"):
        pytest.skip("Helm 3 does not look at what is not built in")
    person = installer.person
    person.server.define(CHART / "files" / "crd.yaml")
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: webhooks, version: 1.0.0}")
    (tmp_path / "templates" / "urgent.yaml").write_text(json.dumps(WEBHOOK))
    installer.runs("install", "webhooks", tmp_path, "--wait", "--timeout=20s")
    seen = {"type": "Healthy", "status": "True", "reason": "Any", "message": ""}
    status = json.dumps({"status": [seen | {"lastTransitionTime": "2026-01-01T00:00:00Z"}]})
    person.runs("patch", DEFINITIONS[0], "urgent", "--subresource=status", "--type=merge", "-p", status)
    refused = installer.is_refused("upgrade", "webhooks", tmp_path, "--wait", "--timeout=1s")
    assert "resource SecurityEventWebhook//urgent not ready. status: Unknown" in refused
    installer.runs("upgrade", "webhooks", tmp_path, "--wait=legacy", "--timeout=20s")
    healthy = "--for=jsonpath={.status[?(@.type=='Healthy')].status}=True"
    person.runs("wait", f"{DEFINITIONS[0]}/urgent", healthy, "--timeout=20s")


def test_kubectl_sew_leaves_a_release_of_helm_alone_and_follows_it_when_it_is_gone(installer: Installer) -> None:
    person = installer.person
    installer.runs("install", "sew-agent", CHART)
    for words in (("install",), ("uninstall", "--apply")):
        refused = person.is_refused("sew", *words)
        assert "deployment/sew-agent (namespace sew-system) belongs to Helm's release sew-agent" in refused
        assert "`helm uninstall sew-agent -n sew-system` removes it" in refused
    installer.runs("uninstall", "sew-agent")
    person.installs()
