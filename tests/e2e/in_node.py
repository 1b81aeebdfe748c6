"""The agent as a native sidecar on a whole node, put there by `kubectl sew install`, reading from Elasticsearch."""

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

from tests.servers.images import BASE
from tests.servers.node import Node
from tests.servers.running import free_port
from tests.waiting import eventually

HOST = "shop"
"""The Deployment that takes the agent in, and its namespace."""
SECRETS = "tigera-intrusion-detection"
INDEX = "tigera_secure_ee_events.cluster.20260101"
READY_WITHIN = "120s"


@dataclass(frozen=True)
class Installed:
    """A node with the agent in it, and the Elasticsearch that it reads."""

    node: Node
    events: Elasticsearch

    def sew(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs `kubectl sew …` as the admin, with this checkout's plugin."""
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        return self.node.kubernetes.try_kubectl("sew", *arguments, env={"PATH": path})

    def do(self, *arguments: str) -> str:
        """`sew`, which is to end well."""
        done = self.sew(*arguments)
        assert done.returncode == 0, f"kubectl sew {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def write(self, webhook: str, numbers: Iterable[int]) -> None:
        """Writes events that belong to a webhook of `webhook`; they become visible by the index's own refresh."""
        for number in numbers:
            event = {"time": int(time.time()), "type": "waf", "origin": webhook, "name": str(number), "severity": 80}
            self.events.index(index=INDEX, id=f"{webhook}-{number}", document=event)

    def webhook(self, name: str, url: str) -> None:
        """Creates one whose receiver's address is in a Secret."""
        self.node.kubernetes.kubectl("create", "secret", "generic", name, "-n", SECRETS, f"--from-literal=url={url}")
        self.do("create", name, "--consumer", "Generic", "--query", f'origin = "{name}"', "--secret", f"url={name}/url")

    def forget(self, name: str) -> None:
        """Deletes a webhook of `webhook` with its Secret."""
        self.node.kubernetes.kubectl("delete", "securityeventwebhooks.projectcalico.org", name)
        self.node.kubernetes.kubectl("delete", "secret", name, "-n", SECRETS)

    def pod(self) -> dict[str, Any]:
        """The Deployment's one pod that is not on its way out. Raises ValueError where it has none, or two."""
        pods = self.node.kubernetes.get("pods", "-n", HOST, "-l", f"app={HOST}")["items"]
        (pod,) = [each for each in pods if "deletionTimestamp" not in each["metadata"]]
        return dict(pod)

    def wait_until_ready(self) -> None:
        rollout = ("rollout", "status", f"deployment/{HOST}", "-n", HOST, f"--timeout={READY_WITHIN}")
        self.node.kubernetes.kubectl(*rollout)

    def wait_until_active(self) -> None:
        """Until the Deployment's pod is ready, and the agent in it holds the Lease."""
        self.wait_until_ready()
        holder = f"{HOST}/{self.pod()['metadata']['name']}"
        read = ("get", "lease", "sew-agent", "-n", SECRETS, "-o", "jsonpath={.spec.holderIdentity}")
        eventually(lambda: self.node.kubernetes.try_kubectl(*read).stdout == holder, "the agent holds the Lease", 60)


def host() -> list[dict[str, Any]]:
    """An application that knows nothing of the agent."""
    container = {"name": HOST, "image": BASE, "imagePullPolicy": "Never", "command": ["sleep", "infinity"]}
    pod = {"hostNetwork": True, "terminationGracePeriodSeconds": 5, "containers": [container]}
    labels = {"app": HOST}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": HOST, "namespace": HOST},
        "spec": {
            "selector": {"matchLabels": labels},
            "strategy": {"type": "Recreate"},  # two pods cannot both listen on the host's network
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOST}}, deployment]


def overlay(node: Node) -> str:
    """What this node needs and a usual one does not: where the API server is, receivers on loopback, a free port."""
    port = free_port()
    settings = {"SEW_EGRESS_ALLOW": "127.0.0.1", "SEW_LISTEN": f"0.0.0.0:{port}"}
    env = [*node.api_environment, *({"name": name, "value": value} for name, value in settings.items())]
    ports = [{"$patch": "replace"}, {"name": "sew-metrics", "containerPort": port, "hostPort": port}]
    agent = {"name": "sew-agent", "env": env, "ports": ports}
    return json.dumps({"spec": {"template": {"spec": {"initContainers": [agent]}}}})
