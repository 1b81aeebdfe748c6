"""A real API server to install into, and the plugin as a person runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testbed.servers import helm as helms
from testbed.servers.helm import Helm
from testbed.servers.kubernetes import Kubernetes, find, kubernetes
from testbed.servers.required import required

SECRETS = "tigera-intrusion-detection"
GROUPS = ("projectcalico.org", "crd.projectcalico.org")
DEFINITIONS = tuple(f"securityeventwebhooks.{group}" for group in GROUPS)
EXCEPTIONS = tuple(f"alertexceptions.{group}" for group in GROUPS)


@dataclass(frozen=True)
class Person:
    """An admin at a terminal."""

    server: Kubernetes

    def tries(self, *words: str, stdin: str | None = None, **env: str) -> "subprocess.CompletedProcess[str]":
        """`kubectl WORDS`, with the plugin on PATH."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return self.server.try_kubectl(*words, stdin=stdin, env={"PATH": path, **env})

    def runs(self, *words: str, stdin: str | None = None, **env: str) -> str:
        """Return what `kubectl WORDS` prints on stdout, where it must work."""
        done = self.tries(*words, stdin=stdin, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def installs(self, *words: str, **env: str) -> str:
        return self.runs("sew", "install", "--apply", *words, **env)

    def is_refused(self, *words: str, **env: str) -> str:
        """The error."""
        done = self.tries(*words, **env)
        assert done.returncode in (1, 2), done.stdout
        assert done.stderr.startswith("error: ")
        return done.stderr

    def names(self, kind: str, *words: str) -> list[str]:
        """`NAMESPACE/NAME` of those that carry our label; of cluster-scoped ones the name alone."""
        label = "app.kubernetes.io/name=sew-agent"
        items = self.server.get(kind, "-A", "-l", label, *words)["items"]
        return ["/".join(filter(None, (item["metadata"].get("namespace"), item["metadata"]["name"]))) for item in items]


@pytest.fixture(scope="session")
def own_server() -> Iterator[Kubernetes]:
    """An API server of these tests alone, since what is installed is one for a whole cluster."""
    with required(), kubernetes(find()) as server:
        for namespace in (SECRETS, "shops"):
            server.kubectl("create", "namespace", namespace)
        yield server


@pytest.fixture
def person(own_server: Kubernetes) -> Iterator[Person]:
    """A person at a cluster without anything of ours but the Secrets' namespace."""
    yield Person(own_server)
    own_server.kubectl("delete", "crd", *DEFINITIONS, *EXCEPTIONS, "--ignore-not-found")
    own_server.kubectl("delete", _OURS, "-A", "-l", "app.kubernetes.io/part-of=kubectl-sew", "--wait=false")
    own_server.kubectl("delete", "deployment,pod", "-A", "--all", "--now")
    own_server.kubectl("delete", "namespace", "sew-system", "--ignore-not-found", "--wait=false")
    for item in own_server.get("persistentvolumeclaim", "-A")["items"]:  # a controller would let them go
        where = ("-n", item["metadata"]["namespace"], item["metadata"]["name"])
        own_server.kubectl("patch", "persistentvolumeclaim", *where, "-p", '{"metadata": {"finalizers": null}}')
    for item in own_server.get("namespaces")["items"]:  # so it would
        if item["status"]["phase"] == "Terminating":
            item["spec"]["finalizers"] = []
            finalize = f"/api/v1/namespaces/{item['metadata']['name']}/finalize"
            own_server.kubectl("replace", "--raw", finalize, "-f", "-", stdin=json.dumps(item))


@pytest.fixture(params=helms.VERSIONS.values(), ids=helms.VERSIONS.keys())
def helm(request: pytest.FixtureRequest, tmp_path: Path) -> Helm:
    with required():
        return Helm(helms.find(request.param), tmp_path)


def deployment(name: str, namespace: str, **pod: Any) -> dict[str, Any]:
    containers = pod.pop("containers", [{"name": name, "image": f"{name}:1"}])
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers, **pod}},
        },
    }


@pytest.fixture
def shop(person: Person) -> dict[str, Any]:
    """A Deployment that may host the agent, with an init container and a volume of its own."""
    first = {"name": "first", "image": "first:1"}
    volumes = [{"name": "goods", "emptyDir": {}}]
    made = deployment("shop", "shops", serviceAccountName="keeper", initContainers=[first], volumes=volumes)
    person.runs("apply", "-f", "-", stdin=json.dumps(made))
    return made


_OURS = "clusterrole,clusterrolebinding,role,rolebinding,serviceaccount,networkpolicy,persistentvolumeclaim"
