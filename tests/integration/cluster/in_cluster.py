"""Runs the real `sew-agent` on a real API server, under its own service account."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from testbed.servers.kubernetes import Kubernetes
from tests.e2e.sew_agent import Agent, Folder

BASE = Path(__file__).parents[3] / "manifests" / "base"
SECRETS = "tigera-intrusion-detection"
V3, V1 = "projectcalico.org/v3", "crd.projectcalico.org/v1"


def definition(group_version: str = V3, *, status: bool = True) -> dict[str, Any]:
    """Return our CRD for one of the groups, with or without the subresource."""
    group, _, version = group_version.partition("/")
    crd: dict[str, Any] = yaml.safe_load((BASE / "crd.yaml").read_text())
    crd["metadata"]["name"] = f"securityeventwebhooks.{group}"
    crd["spec"]["group"] = group
    crd["spec"]["versions"][0]["name"] = version
    if not status:
        del crd["spec"]["versions"][0]["subresources"]
    return crd


def exceptions_definition(group_version: str) -> dict[str, Any]:
    """Return our CRD of AlertExceptions for one of the groups."""
    group, _, version = group_version.partition("/")
    crd: dict[str, Any] = yaml.safe_load((BASE / "alertexceptions.yaml").read_text())
    crd["metadata"]["name"] = f"alertexceptions.{group}"
    crd["spec"]["group"] = group
    crd["spec"]["versions"][0]["name"] = version
    return crd


def webhook(name: str, url: str = "", **more: Any) -> dict[str, Any]:
    """Return a manifest; `more` are fields of the spec, or `labels` and `annotations`. A Secret holds the URL else."""
    reference = {"name": "url", "valueFrom": {"secretKeyRef": {"name": name, "key": "url"}}}
    metadata = {"name": name, **{key: more.pop(key) for key in ("labels", "annotations") if key in more}}
    spec = {"consumer": "Generic", "state": "Enabled", "query": "severity >= 0"}
    spec |= {"config": [{"name": "url", "value": url} if url else reference]} | more
    return {"apiVersion": V3, "kind": "SecurityEventWebhook", "metadata": metadata, "spec": spec}


def secret(name: str, labels: Mapping[str, str] | None = None, /, **values: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": SECRETS, "labels": dict(labels or {})}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}


class ClusterHarness:
    """An installation, on a server of its own or a shared one."""

    def __init__(self, server: Kubernetes) -> None:
        self.server = server
        self.kubeconfig = Path()

    def install(self) -> None:
        """Create the namespaces and the rights of manifests/base, and the kubeconfig of that service account."""
        for namespace in (SECRETS, "sew-system"):
            if not self.server.kubectl("get", "namespace", namespace, "--ignore-not-found"):
                self.server.kubectl("create", "namespace", namespace)
        self.server.apply(BASE / "rbac.yaml")
        self.kubeconfig = self.server.as_account("sew-agent", "sew-system")

    def define(self, group_version: str = V3, *, status: bool = True) -> None:
        crd = definition(group_version, status=status)
        self.server.apply(crd)
        self.server.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{crd['metadata']['name']}")

    def apply(self, *objects: Mapping[str, Any]) -> None:
        self.server.apply({"apiVersion": "v1", "kind": "List", "items": list(objects)})

    def object(self, name: str, group_version: str = V3) -> dict[str, Any]:
        group, _, version = group_version.partition("/")
        obj: dict[str, Any] = self.server.get(f"securityeventwebhooks.{version}.{group}", name)
        return obj

    def condition(self, name: str, kind: str, group_version: str = V3) -> dict[str, Any]:
        """Return one condition of a webhook; empty where there is none yet."""
        status = self.object(name, group_version).get("status") or []
        return next((condition for condition in status if condition["type"] == kind), {})

    def delete(self, *names: str) -> None:
        self.server.kubectl("delete", "securityeventwebhooks.v3.projectcalico.org", *names)

    def patch(self, name: str, change: Mapping[str, Any]) -> None:
        resource = f"securityeventwebhooks.v3.projectcalico.org/{name}"
        self.server.kubectl("patch", resource, "--type=merge", "-p", json.dumps(change))

    def agent(self, folder: Folder, *flags: str, **settings: str) -> Agent:
        """Start an agent on this cluster, with events from the folder's file."""
        return folder.start("--kubeconfig", str(self.kubeconfig), *flags, **settings)


def accepted(agent: Agent, name: str) -> bool:
    """Return whether the agent accepted a webhook."""
    return any(entry["webhook"] == name for entry in agent.says("webhook_accepted"))


def page(agent: Agent, path: str) -> tuple[int, str]:
    """Return status and text of a page, at the last address of the agent; (0, "") where it does not serve yet."""
    if not agent.says("listening"):
        return 0, ""
    try:
        with urllib.request.urlopen(f"http://{agent.says('listening')[-1]['address']}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextmanager
def cluster_harness(server: Kubernetes) -> Iterator[ClusterHarness]:
    """Install with our CRD; leave no webhook behind."""
    made = ClusterHarness(server)
    made.define()
    made.install()
    yield made
    server.kubectl("delete", "securityeventwebhooks.v3.projectcalico.org", "--all")
    server.kubectl("delete", "secrets,configmaps,leases", "--all", "-n", SECRETS)
