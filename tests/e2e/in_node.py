"""The agent on a whole node, put there by `kubectl sew install` as a sidecar or alone, reading from Elasticsearch."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch

from testbed.servers.images import AGENT, BASE
from testbed.servers.node import KubernetesNode
from testbed.servers.running import free_port
from tests.waiting import eventually


@dataclass(frozen=True)
class AgentDeployment:
    """A Deployment in whose pod the agent is, alone in its namespace, and the list there that has its container."""

    name: str
    namespace: str
    containers: str

    @property
    def options(self) -> tuple[str, ...]:
        """Options of `kubectl sew install` and `uninstall` that name the Deployment."""
        return ("-n", self.namespace, "--sidecar-of", f"deployment/{self.name}") if self is SIDECAR else ()


SIDECAR = AgentDeployment("shop", "shop", "initContainers")
ALONE = AgentDeployment("sew-agent", "sew-system", "containers")
SECRETS = "tigera-intrusion-detection"
INDEX = "tigera_secure_ee_events.cluster.20260101"
READY_WITHIN = "120s"


@dataclass(frozen=True)
class NodeHarness:
    """A node with the agent in it, and the Elasticsearch that it reads, also by its address."""

    node: KubernetesNode
    events: Elasticsearch
    elasticsearch: str
    host: Any
    """Spec of the sidecar's Deployment before the installation."""

    def sew(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `kubectl sew …` as the admin, with this checkout's plugin."""
        return self.kubectl("sew", *arguments)

    def kubectl(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        return self.node.kubernetes.try_kubectl(*arguments, env={"PATH": path})

    def do(self, *arguments: str) -> str:
        """Run `kubectl sew …`, which must succeed, and return what it prints."""
        done = self.sew(*arguments)
        assert done.returncode == 0, f"kubectl sew {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def install(self, place: AgentDeployment) -> None:
        """Install the agent there, and wait until it is active."""
        self.do("install", "--apply", *place.options, "--elasticsearch", self.elasticsearch, "--image", AGENT)
        where = ("deployment", place.name, "-n", place.namespace)
        self.node.kubernetes.kubectl("patch", *where, "-p", overlay(self.node, place))
        self.wait_until_active(place)

    def uninstall(self, place: AgentDeployment) -> None:
        self.do("uninstall", "--apply", *place.options)

    def write(self, webhook: str, numbers: Iterable[int], severity: int = 80) -> None:
        """Write events that belong to a webhook of `webhook`. The index's own refresh makes them visible."""
        for number in numbers:
            event = {"time": int(time.time()), "type": "waf", "origin": webhook, "name": str(number)}
            self.events.index(index=INDEX, id=f"{webhook}-{number}", document={**event, "severity": severity})

    def webhook(self, name: str, url: str) -> None:
        """Create a webhook whose receiver's address is in a Secret."""
        self.node.kubernetes.kubectl("create", "secret", "generic", name, "-n", SECRETS, f"--from-literal=url={url}")
        self.do("create", name, "--consumer", "Generic", "--query", f'origin = "{name}"', "--secret", f"url={name}/url")

    def forget(self, name: str, secret: str = "") -> None:
        """Delete a webhook of `webhook` with its Secret."""
        self.node.kubernetes.kubectl("delete", "securityeventwebhooks.projectcalico.org", name)
        self.node.kubernetes.kubectl("delete", "secret", secret or name, "-n", SECRETS)

    def spec(self, place: AgentDeployment) -> Any:
        """Return the spec of the Deployment."""
        return self.node.kubernetes.get("deployment", place.name, "-n", place.namespace)["spec"]

    def pod(self, place: AgentDeployment = SIDECAR) -> dict[str, Any]:
        """Return the Deployment's one pod that is not terminating. Raises ValueError where it has none, or two."""
        pods = self.node.kubernetes.get("pods", "-n", place.namespace)["items"]
        (pod,) = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return dict(pod)

    def wait_until_ready(self, place: AgentDeployment = SIDECAR) -> None:
        rollout = ("rollout", "status", f"deployment/{place.name}", "-n", place.namespace)
        self.node.kubernetes.kubectl(*rollout, f"--timeout={READY_WITHIN}")

    def wait_until_active(self, place: AgentDeployment = SIDECAR) -> None:
        """Wait until the Deployment's pod is ready, and the agent in it holds the Lease."""
        self.wait_until_ready(place)
        holder = f"{place.namespace}/{self.pod(place)['metadata']['name']}"
        read = ("get", "lease", "sew-agent", "-n", SECRETS, "-o", "jsonpath={.spec.holderIdentity}")
        eventually(lambda: self.node.kubernetes.try_kubectl(*read).stdout == holder, "the agent holds the Lease", 60)


def host_manifests() -> list[dict[str, Any]]:
    """Return the manifests of an application that knows nothing of the agent."""
    name = SIDECAR.name
    container = {"name": name, "image": BASE, "imagePullPolicy": "Never", "command": ["sleep", "infinity"]}
    pod = {"hostNetwork": True, "terminationGracePeriodSeconds": 2, "containers": [container]}
    labels = {"app": name}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": SIDECAR.namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "strategy": {"type": "Recreate"},  # two pods cannot both listen on the host's network
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SIDECAR.namespace}}, deployment]


def volume(node: KubernetesNode) -> dict[str, Any]:
    """Return the volume that the agent alone claims: a folder of this node, for any user."""
    folder = node.folder / "volume"
    folder.mkdir()
    folder.chmod(0o777)
    capacity = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "4Gi"}}
    spec = {**capacity, "hostPath": {"path": str(folder)}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "volume"}, "spec": spec}


def overlay(node: KubernetesNode, place: AgentDeployment) -> str:
    """Return the patch that this node needs: where the API server is, receivers on loopback, a free port."""
    port = free_port()
    settings = {"SEW_EGRESS_ALLOW": "127.0.0.1", "SEW_LISTEN": f"0.0.0.0:{port}"}
    env = [*node.api_environment, *({"name": name, "value": value} for name, value in settings.items())]
    ports = [{"$patch": "replace"}, {"name": "sew-metrics", "containerPort": port, "hostPort": port}]
    agent = {"name": "sew-agent", "env": env, "ports": ports}
    return json.dumps({"spec": {"template": {"spec": {"hostNetwork": True, place.containers: [agent]}}}})
