"""The node under test runs real containers, and nothing of it stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.servers.images import BASE, base_image
from testbed.servers.node import KubernetesNode, find, node
from testbed.servers.required import required
from tests.integration.servers.killing import killed_run
from tests.waiting import eventually

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def own() -> Iterator[KubernetesNode]:
    with required(), node(find()) as made:
        made.load(base_image())
        yield made


def pod(node: KubernetesNode, name: str) -> dict[str, object]:
    """A pod with a native sidecar that says what it sees of the API server, and with an application beside it."""
    sees = (
        "import os, ssl, time, urllib.request as u; folder = '/var/run/secrets/kubernetes.io/serviceaccount/'\n"
        "address = 'https://%(KUBERNETES_SERVICE_HOST)s:%(KUBERNETES_SERVICE_PORT)s/version' % os.environ\n"
        "headers = {'Authorization': 'Bearer ' + open(folder + 'token').read()}\n"
        "context = ssl.create_default_context(cafile=folder + 'ca.crt')\n"
        "print(u.urlopen(u.Request(address, headers=headers), context=context).read().decode(), flush=True)\n"
        "time.sleep(3600)\n"
    )
    container = {"image": BASE, "imagePullPolicy": "Never"}
    sidecar = {"name": "sidecar", "restartPolicy": "Always", "env": node.api_environment}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 0,
            "initContainers": [{**container, **sidecar, "command": ["python3", "-c", sees]}],
            "containers": [{**container, "name": "application", "command": ["sleep", "3600"]}],
        },
    }


def test_a_pod_with_a_native_sidecar_becomes_ready_and_reaches_the_api_server(own: KubernetesNode) -> None:
    own.kubernetes.apply(pod(own, "sidecar"))
    own.kubernetes.kubectl("wait", "--for=condition=Ready", "pod/sidecar", "--timeout=60s")
    statuses = own.kubernetes.get("pod", "sidecar")["status"]
    assert [container["started"] for container in statuses["initContainerStatuses"]] == [True]
    eventually(lambda: "v1.32" in own.kubernetes.kubectl("logs", "sidecar", "-c", "sidecar"), "it read the version")


def test_kubectl_exec_runs_a_program_in_the_container(own: KubernetesNode) -> None:
    own.kubernetes.apply(pod(own, "executing"))
    own.kubernetes.kubectl("wait", "--for=condition=Ready", "pod/executing", "--timeout=60s")
    command = ("cat", "/etc/debian_version")
    assert own.kubernetes.kubectl("exec", "executing", "-c", "application", "--", *command).startswith("12")


def test_nothing_runs_or_stays_mounted_when_the_test_run_is_killed(own: KubernetesNode) -> None:
    with killed_run("node", "node(find())") as folder:
        assert folder not in Path("/proc/mounts").read_text()
