"""`kubectl sew` for real: kubectl finds the plugin on PATH, and both talk to a real API server of these tests' own."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed.servers.kubernetes import Kubernetes, find, kubernetes
from testbed.servers.required import required
from tests.e2e.sew_agent import Folder
from tests.integration.cluster.in_cluster import ClusterHarness, cluster_harness

CRD = Path("manifests/base/crd.yaml")
SECRETS = "tigera-intrusion-detection"

Ran = subprocess.CompletedProcess[str]
Sew = Callable[..., Ran]


@pytest.fixture(scope="session")
def server() -> Iterator[Kubernetes]:
    """Serves the kind, and has the Secrets' namespace; no agent runs."""
    with required(), kubernetes(find()) as started:
        started.define(CRD)
        started.kubectl("create", "namespace", SECRETS)
        yield started


def environment(server: Kubernetes) -> dict[str, str]:
    """The environment that makes `kubectl sew` the plugin of this checkout, and the admin its user."""
    path = os.pathsep.join((str(Path(sys.executable).parent), str(server.programs.kubectl.parent), os.environ["PATH"]))
    return {**os.environ, **server.environment, "PATH": path}


def run_plugin(server: Kubernetes, *args: str, env: Mapping[str, str] | None = None, stdin: str = "") -> Ran:
    command = [str(server.programs.kubectl), "sew", *args]
    return subprocess.run(
        command, env={**environment(server), **(env or {})}, input=stdin, capture_output=True, text=True, check=False
    )


@pytest.fixture
def sew(server: Kubernetes) -> Sew:
    """`sew("list", "-o", "wide")` runs `kubectl sew list -o wide` as the admin; `env` may name another KUBECONFIG."""
    return lambda *args, **more: run_plugin(server, *args, **more)


def webhook(name: str, **spec: Any) -> dict[str, Any]:
    config = [{"name": "url", "value": "https://receiver.example/hook"}]
    whole = {"consumer": "Generic", "state": "Enabled", "query": "type = waf", "config": config, **spec}
    metadata = {"name": name}
    return {"apiVersion": "projectcalico.org/v3", "kind": "SecurityEventWebhook", "metadata": metadata, "spec": whole}


Make = Callable[..., str]


@pytest.fixture
def make(server: Kubernetes) -> Iterator[Make]:
    """`make("name", state="Disabled")` creates a webhook that is gone after the test; gives its name."""
    made: list[str] = []

    def call(name: str, **spec: Any) -> str:
        server.kubectl("create", "-f", "-", stdin=json.dumps(webhook(name, **spec)))
        made.append(name)
        return name

    yield call
    server.kubectl("delete", "securityeventwebhooks.projectcalico.org", "--ignore-not-found", *made) if made else None


def write_status(server: Kubernetes, name: str, *conditions: Mapping[str, Any]) -> None:
    """Writes conditions as the agent does."""
    common = {"lastTransitionTime": "2026-01-02T03:04:05Z", "message": ""}
    patch = json.dumps({"status": [{**common, **condition} for condition in conditions]})
    resource = "securityeventwebhooks.projectcalico.org"
    server.kubectl("patch", resource, name, "--subresource=status", "--type=merge", "-p", patch)


def webhook_reader(server: Kubernetes) -> Path:
    """A person who may read webhooks, and nothing else."""
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reads-webhooks"}}
    rule = {"apiGroups": ["projectcalico.org"], "resources": ["securityeventwebhooks"], "verbs": ["get", "list"]}
    server.apply({**role, "rules": [rule]})
    config = server.as_account("reader")
    binding = ("clusterrolebinding", "reads-webhooks")
    if not server.kubectl("get", *binding, "--ignore-not-found"):
        account = "--serviceaccount=default:reader"
        server.kubectl("create", *binding, "--clusterrole=reads-webhooks", account)
    return config


def agent_pod() -> dict[str, Any]:
    container = {"name": "sew-agent", "image": "sew-agent:0.1.0"}
    metadata = {"name": "agent-0", "namespace": "sew-system"}
    spec = {"serviceAccountName": "sew-agent", "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def set_agent_status(server: Kubernetes, *, ready: bool, **state: Any) -> None:
    """Write the status of the agent's container, as a kubelet would."""
    known = {"name": "sew-agent", "ready": ready, "restartCount": 3, "image": "x", "imageID": "x"}
    status = {"phase": "Running", "containerStatuses": [{**known, "state": state or {"running": {}}}]}
    patch = json.dumps({"status": status})
    server.kubectl("-n", "sew-system", "patch", "pod", "agent-0", "--subresource=status", "--type=merge", "-p", patch)


@contextmanager
def installed(server: Kubernetes) -> Iterator[ClusterHarness]:
    """Install, with a pod that stands for the agent's; leave no webhook behind."""
    with cluster_harness(server) as made:
        server.apply(agent_pod())
        set_agent_status(server, ready=True)
        yield made
        server.kubectl("-n", "sew-system", "delete", "pod", "agent-0", "--now")


@pytest.fixture
def here(server: Kubernetes) -> Iterator[ClusterHarness]:
    with installed(server) as made:
        yield made


@contextmanager
def calicos_processor(server: Kubernetes) -> Iterator[None]:
    """Deploy Calico's own processor, as an object that no kubelet starts."""
    labels = {"app": "controller"}
    pod = {"containers": [{"name": "webhooks-processor", "image": "x"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    metadata = {"name": "controller", "namespace": SECRETS}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    server.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    yield
    server.kubectl("-n", SECRETS, "delete", "deployment", "controller")


def clock_ahead(folder: Path, seconds: float) -> str:
    """A PYTHONPATH with which a program of ours finds its machine's clock set wrong."""
    moved = f"import time\nreal = time.time\ntime.time = lambda: real() + {seconds}\n"
    (folder / "sitecustomize.py").write_text(moved)
    return str(folder)


_EXEC = """#!/bin/sh
for word in "$@"; do case "$word" in exec) inside=yes ;; esac; done
[ "$inside" ] || exec "$REAL_KUBECTL" "$@"
while [ "$1" != -- ]; do shift; done
shift 2
PYTHONPATH=$INSIDE "$PYTHON" -m sew_agent "$@"
code=$?
[ $code = 0 ] || echo "command terminated with exit code $code" >&2
exit $code
"""


def environment_beside(here: ClusterHarness, folder: Folder, inside: str = "") -> dict[str, str]:
    """Return what makes kubectl's exec run on the state of this folder's agent; `inside` is the PYTHONPATH there."""
    kubectl = folder.path / "kubectl"
    kubectl.write_text(_EXEC)
    kubectl.chmod(kubectl.stat().st_mode | stat.S_IXUSR)
    real, state = str(here.server.programs.kubectl), str(folder.state)
    own = {"KUBECTL_PATH": str(kubectl), "REAL_KUBECTL": real, "PYTHON": sys.executable, "SEW_STATE": state}
    return environment(here.server) | own | {"INSIDE": inside}


def beside(here: ClusterHarness, folder: Folder, inside: str = "") -> Sew:
    """`kubectl sew` whose exec runs on the state of this folder's agent."""
    env = environment_beside(here, folder, inside)
    return lambda *args, **more: run_plugin(here.server, *args, env=env, **more)
