"""The API server under test is a real one, and nothing of it stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.servers.kubernetes import Kubernetes, find, kubernetes
from testbed.servers.required import required
from tests.integration.servers.killing import killed_run
from tests.waiting import eventually

pytestmark = pytest.mark.server
CRD = Path(__file__).parents[3] / "manifests" / "base" / "crd.yaml"
WEBHOOK = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "SecurityEventWebhook",
    "metadata": {"name": "servers-own-test"},
    "spec": {
        "consumer": "Generic",
        "state": "Enabled",
        "query": "severity > 50",
        "config": [{"name": "url", "value": "https://receiver.example/hook"}],
    },
}
CONDITION = {
    "type": "Healthy",
    "status": "True",
    "reason": "Delivering",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


@pytest.fixture(scope="module")
def own() -> Iterator[Kubernetes]:
    with required(), kubernetes(find()) as server:
        server.define(CRD)
        yield server


def test_a_status_that_is_an_array_is_written_through_its_subresource_alone(own: Kubernetes) -> None:
    own.apply({**WEBHOOK, "status": [CONDITION]})
    assert "status" not in own.get("sew", "servers-own-test")
    patch = f'{{"status": [{str(CONDITION).replace(chr(39), chr(34))}]}}'
    own.kubectl("patch", "sew/servers-own-test", "--subresource=status", "--type=merge", "-p", patch)
    assert own.get("sew", "servers-own-test")["status"] == [CONDITION]


def test_a_service_account_may_do_what_rbac_grants_it_and_no_more(own: Kubernetes) -> None:
    account = {"KUBECONFIG": str(own.as_account("reader"))}
    assert "forbidden" in own.try_kubectl("get", "sew", env=account).stderr
    own.kubectl("create", "clusterrole", "reader", "--verb=get,list", "--resource=securityeventwebhooks")
    own.kubectl("create", "clusterrolebinding", "reader", "--clusterrole=reader", "--serviceaccount=default:reader")
    eventually(lambda: own.try_kubectl("get", "sew", env=account).returncode == 0, "the binding holds")
    assert "forbidden" in own.try_kubectl("delete", "sew", "servers-own-test", env=account).stderr


def test_a_restarted_server_has_its_port_and_its_data(own: Kubernetes) -> None:
    own.kubectl("create", "configmap", "kept", "--from-literal=key=value")
    url = own.url
    own.stop()
    assert own.try_kubectl("get", "configmap", "kept").returncode != 0
    own.start()
    assert own.url == url
    assert own.get("configmap", "kept")["data"] == {"key": "value"}


def test_a_server_that_hangs_takes_connections_and_answers_nothing(own: Kubernetes) -> None:
    own.hang()
    try:
        assert "exceeded" in own.try_kubectl("get", "namespaces", "--request-timeout=1s").stderr
    finally:
        own.resume()
    assert "default" in own.kubectl("get", "namespaces")


def test_nothing_runs_on_when_the_test_run_is_killed(own: Kubernetes) -> None:
    with killed_run("kubernetes", "kubernetes(find())") as folder:
        assert folder
