"""A release of the chart on a whole node, as Helm installs, changes and removes it."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.servers.helm import Helm
from testbed.servers.images import AGENT
from testbed.servers.node import NAME, KubernetesNode
from testbed.servers.running import free_port
from tests.e2e.in_node import AgentDeployment, NodeHarness

CHART = Path(__file__).parents[2] / "charts" / "kubectl-sew"
RELEASE = AgentDeployment("sew-agent", "helm", "containers")
OPENSHIFTS_USER = 1000680000
AS_OPENSHIFT_CHOOSES = {
    "podSecurityContext": {"fsGroup": OPENSHIFTS_USER},
    "securityContext": {"runAsUser": OPENSHIFTS_USER, "runAsGroup": None},
}
"""Values that make a pod what restricted-v2 makes of one that leaves all three out."""
_CLASS = "private"


@dataclass(frozen=True)
class HelmRelease:
    """Helm at a terminal, for one release of a chart."""

    helm: Helm
    agents: NodeHarness
    chart: Path

    def install(self) -> None:
        self._run("install", RELEASE.name, self.chart, "--create-namespace", *self._values())

    def upgrade(self, values: Any) -> None:
        """Upgrade the release with values besides those that it has."""
        file = self.helm.folder / "more.yaml"
        file.write_text(json.dumps(values))
        self._run("upgrade", RELEASE.name, self.chart, *self._values(), "-f", file)

    def rollback(self) -> None:
        self._run("rollback", RELEASE.name)

    def uninstall(self) -> None:
        self._run("uninstall", RELEASE.name)

    def is_ready(self) -> bool:
        """Return whether the agent's pod is ready now, and the claim bound."""
        conditions = {item["type"]: item["status"] for item in self.agents.pod(RELEASE)["status"]["conditions"]}
        return (conditions["Ready"], self.claim()) == ("True", "Bound")

    def claim(self) -> str:
        """Return the phase of the claim."""
        kubernetes = self.agents.node.kubernetes
        return str(kubernetes.get("persistentvolumeclaim", RELEASE.name, "-n", RELEASE.namespace)["status"]["phase"])

    def user(self) -> tuple[int, set[int]]:
        """Return the user and the groups that the agent's container has."""
        command = ("exec", f"deployment/{RELEASE.name}", "-n", RELEASE.namespace, "--", "sh", "-c", "id -u; id -G")
        user, groups = self.agents.node.kubernetes.kubectl(*command).splitlines()
        return int(user), set(map(int, groups.split()))

    def _run(self, *words: str | Path) -> None:
        command = (*words, "-n", RELEASE.namespace, "--wait", "--timeout", "120s")
        done = self.helm.tries(*command, env=self.agents.node.kubernetes.environment)
        assert done.returncode == 0, done.stdout + done.stderr

    def _values(self) -> tuple[str | Path, ...]:
        repository, _, tag = AGENT.partition(":")
        receivers = {"name": "SEW_EGRESS_ALLOW", "value": "127.0.0.1"}
        values = {
            "image": {"repository": repository, "tag": tag},
            "elasticsearch": {"urls": self.agents.elasticsearch},
            "persistence": {"storageClass": _CLASS},
            "extraEnv": [*self.agents.node.api_environment, receivers],
        }
        file = self.helm.folder / "values.yaml"
        file.write_text(json.dumps(values))
        return "-f", file


def chart_on_the_host_network(folder: Path) -> Path:
    """Return a copy of the chart for a node that has no other network: its pods need a free port there."""
    copy = shutil.copytree(CHART, folder / "chart")
    template = copy / "templates" / "deployment.yaml"
    text = template.read_text("utf-8").replace("9280", str(free_port()))
    template.write_text(text.replace("      containers:\n", "      hostNetwork: true\n      containers:\n"), "utf-8")
    return copy


def private_volume(node: KubernetesNode) -> dict[str, Any]:
    """Return the volume of the release's claim: a folder of root alone, in which others write by the pod's fsGroup."""
    folder = node.folder / _CLASS
    folder.mkdir(mode=0o700)
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NAME]}]}
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "4Gi"},
        "storageClassName": _CLASS,
        "local": {"path": str(folder)},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [here]}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": _CLASS}, "spec": spec}
