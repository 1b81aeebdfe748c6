"""Installing beside Calico's aggregated API server, for which a second real API server stands that the first asks."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from kubectl_sew.install import InstallPlan, render
from testbed.servers.kubernetes import Kubernetes, find, kubernetes
from testbed.servers.required import required
from tests.integration.install.conftest import DEFINITIONS, EXCEPTIONS, Person
from tests.waiting import eventually

pytestmark = pytest.mark.server
API_SERVICE = "v3.projectcalico.org"
READERS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "all-may-discover"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:discovery"},
    "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:unauthenticated"}],
}


def networksets() -> Any:
    """Define another kind of the same group, as open-source Calico serves it."""
    definition = next(obj for obj in render(InstallPlan()) if obj["kind"] == "CustomResourceDefinition")
    names = {"kind": "NetworkSet", "listKind": "NetworkSetList", "plural": "networksets", "singular": "networkset"}
    definition["metadata"] = {"name": "networksets.projectcalico.org"}
    definition["spec"]["names"] = names
    return definition


@pytest.fixture(scope="module")
def calico() -> Iterator[Kubernetes]:
    with required(), kubernetes(find()) as server:
        server.apply(READERS, networksets())
        yield server


@pytest.fixture
def beside(person: Person, calico: Kubernetes) -> Iterator[Person]:
    """A person at a cluster that asks Calico's server for the group `projectcalico.org`."""
    reference = {"name": "calico-api", "namespace": "default", "port": calico.port}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "calico-api"},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": calico.port}]},
    }
    aggregated = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": API_SERVICE},
        "spec": {
            "group": "projectcalico.org",
            "version": "v3",
            "service": reference,
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 1500,
            "versionPriority": 200,
        },
    }
    person.server.apply(service, aggregated)
    answers = ("get", "--raw", "/apis/projectcalico.org/v3")
    eventually(lambda: person.server.try_kubectl(*answers).returncode == 0, "the group is served by the other", 60)
    yield person
    person.server.kubectl("delete", "apiservice", API_SERVICE)
    person.server.kubectl("delete", "service", "calico-api")


def test_where_calico_s_server_does_not_have_the_kind_the_other_group_serves_it(beside: Person) -> None:
    done = beside.tries("sew", "install", "--apply")
    assert done.returncode == 0, done.stderr
    assert "crd.projectcalico.org/v1 is used instead" in done.stderr
    assert beside.names("crds") == [EXCEPTIONS[1], DEFINITIONS[1]]
    eventually(lambda: beside.tries("get", "securityeventwebhooks.v1.crd.projectcalico.org").returncode == 0, "served")
    beside.runs("sew", "uninstall", "--apply", "--crd")
    assert beside.names("crds") == []


def test_check_finds_a_definition_that_calico_s_server_hides(beside: Person) -> None:
    definition = next(obj for obj in render(InstallPlan()) if obj["kind"] == "CustomResourceDefinition")
    beside.server.apply(definition)
    checks = check(beside)
    hidden = (
        "the definition in the group projectcalico.org is not reachable, since default/calico-api serves that group"
    )
    assert (checks["api-group"]["result"], checks["api-group"]["details"]) == ("failed", [hidden])
    assert checks["api-served"]["result"] == "failed"
    forbidden = check(beside, "--as=system:serviceaccount:default:nobody")
    for code in ("api-group", "crd-version"):
        assert forbidden[code]["result"] == "unknown"
        assert "customresourcedefinitions" in forbidden[code]["details"][0]


def check(person: Person, *words: str) -> dict[str, Any]:
    """Code -> what `kubectl sew check` says of it."""
    report = json.loads(person.tries("sew", "check", "-o", "json", *words).stdout)
    return {check["check"]: check for check in report["checks"]}


def test_where_calico_s_server_has_the_kind_no_definition_is_installed(beside: Person, calico: Kubernetes) -> None:
    ours = next(obj for obj in render(InstallPlan()) if obj["kind"] == "CustomResourceDefinition")
    calico.apply(ours)
    served = ("get", "--raw", "/apis/projectcalico.org/v3")
    eventually(lambda: "securityeventwebhooks" in beside.server.kubectl(*served), "the kind is served", 60)
    done = beside.tries("sew", "install")
    assert "serves SecurityEventWebhooks already" in done.stderr
    kinds = {obj["kind"] for obj in yaml.safe_load_all(done.stdout)}
    assert "CustomResourceDefinition" not in kinds
    assert "ClusterRole" in kinds
    calico.kubectl("delete", "-f", "-", stdin=json.dumps(ours))
