"""The plugin on the AlertExceptions of a real cluster, with and without the kind."""

import json
from collections.abc import Iterator

import pytest
import yaml

from testbed.servers.kubernetes import Kubernetes
from tests.integration.plugin.conftest import Sew

CRD = "manifests/base/alertexceptions.yaml"


@pytest.fixture
def defined(server: Kubernetes) -> Iterator[Kubernetes]:
    with open(CRD) as file:  # noqa: PTH123 - as pytest's own working folder
        server.apply(yaml.safe_load(file))
    server.kubectl("wait", "--for=condition=Established", "crd/alertexceptions.projectcalico.org")
    yield server
    server.kubectl("delete", "-f", CRD)


def exception(name: str, selector: str, start: str = "2026-01-01T00:00:00Z", end: str = "") -> dict[str, object]:
    spec = {"description": f"why {name}", "selector": selector, "startTime": start} | ({"endTime": end} if end else {})
    return {"apiVersion": "projectcalico.org/v3", "kind": "AlertException", "metadata": {"name": name}, "spec": spec}


def test_without_the_kind_there_are_none(sew: Sew) -> None:
    ran = sew("exceptions")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "No resources found\n")


def test_they_are_listed_with_their_state_previewed_and_checked(sew: Sew, defined: Kubernetes) -> None:
    defined.apply(
        exception("always", "host = a"),
        exception("later", "host = a", start="2999-01-01T00:00:00Z"),
        exception("over", "host = a", end="2026-01-01T00:00:01Z"),
        exception("torn", "host ="),
    )
    heading, *rows = sew("exceptions", "list").stdout.splitlines()
    assert heading.split() == ["NAME", "STATE", "START", "END", "SUPPRESSED", "DESCRIPTION"]
    assert [row.split()[:5] for row in rows] == [
        ["always", "InForce", "2026-01-01T00:00:00Z", "-", "-"],
        ["later", "Pending", "2999-01-01T00:00:00Z", "-", "-"],
        ["over", "Ended", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "-"],
        ["torn", "Broken", "2026-01-01T00:00:00Z", "-", "-"],
    ]
    assert "suppresses nothing: query: the query ends where a value is expected" in rows[3]
    names = sew("exceptions", "list", "-o", "name").stdout.splitlines()
    assert names[0] == "alertexception.projectcalico.org/always"
    dsl = json.loads(sew("preview-query", "type = waf", "--exceptions", "cluster").stdout)
    assert dsl["bool"]["must_not"] == [{"term": {"host": "a"}}]
    checked = sew("check", "-o", "json").stdout
    assert "torn suppresses nothing" in checked
    assert "always suppresses nothing" not in checked
