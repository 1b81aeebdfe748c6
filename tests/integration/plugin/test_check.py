"""`kubectl sew check` on a real API server. Without a kubelet: pods are objects, and their state is written here."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubectl_sew.check.checks import GROUPS
from kubectl_sew.pages import page
from testbed.servers.kubernetes import Kubernetes, find, kubernetes
from testbed.servers.required import required
from tests.integration.plugin.conftest import SECRETS, agent_pod, clock_ahead, run_plugin, set_agent_status, webhook

ACCOUNT = "system:serviceaccount:sew-system:sew-agent"
ADMIN_ONLY = {"your-rights-webhooks", "your-rights-secrets", "your-rights-agent"}


@pytest.fixture(scope="module")
def installed() -> Iterator[Kubernetes]:
    """Install what `install` puts there, and a pod that no kubelet starts but that says it is ready."""
    with required(), kubernetes(find()) as server:
        ran = run_plugin(server, "install", "--apply", "--create-namespace")
        assert ran.returncode == 0, ran.stderr
        server.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        server.apply(agent_pod())
        set_agent_status(server, ready=True)
        server.apply(lease("sew-system/agent-0"))
        yield server


def lease(holder: str) -> dict[str, Any]:
    metadata = {"name": "sew-agent", "namespace": SECRETS}
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def check(server: Kubernetes, *flags: str) -> dict[str, dict[str, Any]]:
    """Code of a check -> what it found."""
    ran = run_plugin(server, "check", "-o", "json", *flags)
    assert ran.stderr == ""
    report = json.loads(ran.stdout)
    failed = any(check["result"] == "failed" for check in report["checks"])
    assert (ran.returncode, report["ok"]) == ((1, False) if failed else (0, True))
    return {check["check"]: check for check in report["checks"]}


def failed(server: Kubernetes, *flags: str) -> dict[str, str]:
    """Code of a failed check -> its details; without what the missing kubelet fails."""
    failures = {code: outcome for code, outcome in check(server, *flags).items() if outcome["result"] == "failed"}
    return {code: "\n".join(outcome["details"]) for code, outcome in failures.items() if code != "agent-answers"}


def test_on_an_empty_cluster_it_says_what_to_install() -> None:
    with required(), kubernetes(find()) as empty:
        ran = run_plugin(empty, "check")
        assert ran.returncode == 1
        assert set(failed(empty)) == {"api-served", "agent-running", "agent-rights", "secrets-namespace"}
    assert ran.stdout.startswith("Kubernetes API\n--------------\n✓ the API server answers\n")
    assert "✗ SecurityEventWebhooks are served\n" in ran.stdout
    install = "kubectl sew install --apply --image IMAGE --elasticsearch URL --create-namespace"
    assert f"    what to do: install it: `{install}`\n" in ran.stdout
    assert f"    see {page('troubleshooting', 'api-served')}\n" in ran.stdout
    assert ran.stdout.endswith(f"4 of {sum(map(len, GROUPS.values()))} checks failed\n")


def test_an_installation_is_good_but_for_the_kubelet(installed: Kubernetes) -> None:
    checks = check(installed)
    assert failed(installed) == {}
    assert "does not have a host assigned" in checks["agent-answers"]["details"][0]
    assert checks["agent-rights"]["result"] == checks["clock-skew"]["result"] == "ok"


def test_a_clock_that_is_wrong_here_is_found_and_spoils_nothing_else(installed: Kubernetes, tmp_path: Path) -> None:
    env = {"PYTHONPATH": clock_ahead(tmp_path, 120)}
    checks = json.loads(run_plugin(installed, "check", "-o", "json", env=env).stdout)["checks"]
    (wrong,) = (outcome for outcome in checks if outcome["result"] == "failed" and outcome["check"] != "agent-answers")
    assert (wrong["check"], wrong["hint"]) == ("clock-skew", "set this machine's clock by NTP")
    assert re.fullmatch("this machine's clock is 1(19|20|21) s ahead of the API server's", wrong["details"][0])


def test_missing_rights_of_the_agent_are_named(installed: Kubernetes) -> None:
    installed.kubectl("delete", "clusterrolebinding", "sew-agent")
    try:
        said = failed(installed)["agent-rights"]
        assert "the service account sew-system/sew-agent may not get, list, watch, patch securityeventwebhooks" in said
        assert "secrets" not in said
    finally:
        installed.kubectl("create", "clusterrolebinding", "sew-agent", "--clusterrole=sew-agent", f"--user={ACCOUNT}")


def test_a_missing_right_in_one_namespace_is_named_with_it(installed: Kubernetes) -> None:
    installed.kubectl("-n", "default", "delete", "rolebinding", "sew-agent-events")
    try:
        said = failed(installed)["agent-rights"]
        assert said == "the service account sew-system/sew-agent may not create events.events.k8s.io in default"
    finally:
        role = ("--role=sew-agent-events", "--serviceaccount=sew-system:sew-agent")
        installed.kubectl("-n", "default", "create", "rolebinding", "sew-agent-events", *role)


def test_missing_rights_of_a_person_are_named(installed: Kubernetes) -> None:
    installed.as_account("nobody")
    ran = run_plugin(installed, "check", "-o", "json", "--as=system:serviceaccount:default:nobody")
    assert (ran.returncode, ran.stderr) == (1, "")
    checks = {check["check"]: check for check in json.loads(ran.stdout)["checks"]}
    assert {code for code, outcome in checks.items() if outcome["result"] == "failed"} == ADMIN_ONLY
    assert checks["your-rights-webhooks"]["details"] == [
        "you may not get, list, create, patch securityeventwebhooks.projectcalico.org"
    ]
    assert "create pods/exec in sew-system" in "\n".join(checks["your-rights-agent"]["details"])
    assert checks["agent-running"]["result"] == "unknown"


def test_a_container_that_does_not_run_is_reported_with_its_reason(installed: Kubernetes) -> None:
    try:
        set_agent_status(installed, ready=False, waiting={"reason": "ImagePullBackOff", "message": "no such image"})
        said = "sew-system/agent-0: its container is waiting, restarted 3 times (ImagePullBackOff: no such image)"
        assert failed(installed) == {"agent-ready": said}
        set_agent_status(installed, ready=False)
        assert failed(installed) == {"agent-ready": "sew-system/agent-0: it runs, but is not ready"}
    finally:
        set_agent_status(installed, ready=True)


def test_a_lease_that_nobody_renews_is_no_agent(installed: Kubernetes) -> None:
    old = lease("sew-system/agent-0")
    installed.apply({**old, "spec": {**old["spec"], "renewTime": "2026-01-02T03:04:05.000000Z"}})
    try:
        assert "sew-system/agent-0 has not renewed its Lease for" in failed(installed)["agent-running"]
    finally:
        installed.kubectl("-n", SECRETS, "delete", "lease", "sew-agent")
        installed.apply(lease("sew-system/agent-0"))


def test_references_webhooks_and_conditions_are_judged(installed: Kubernetes) -> None:
    installed.kubectl("-n", SECRETS, "create", "secret", "generic", "held", "--from-literal=there=CANARY")
    for name, secret, key in (("no-object", "gone", "k"), ("no-key", "held", "k")):
        url = {"name": "url", "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        installed.apply(webhook(name, config=[url]))
    installed.apply(webhook("no-query", query="type = "))
    try:
        details = failed(installed)
        assert details["missing-object"] == "no-object: url: Secret gone, key k: the object does not exist"
        assert details["missing-key"] == "no-key: url: Secret held, key k: the object has no such key: it holds there"
        assert "no-query: QueryParsing: " in details["webhook-invalid"]
        assert "CANARY" not in json.dumps(details)
    finally:
        installed.kubectl("delete", "securityeventwebhooks.projectcalico.org", "--all")


def test_an_older_definition_is_found(installed: Kubernetes) -> None:
    crd = ("crd", "securityeventwebhooks.projectcalico.org")
    version = installed.get(*crd)["metadata"]["labels"]["app.kubernetes.io/version"]
    installed.kubectl("label", *crd, "app.kubernetes.io/version=0.0.1", "--overwrite")
    try:
        assert failed(installed)["crd-version"].startswith("the definition is of version 0.0.1, the plugin of ")
    finally:
        installed.kubectl("label", *crd, f"app.kubernetes.io/version={version}", "--overwrite")


def test_webhooks_in_the_group_that_is_not_read_are_found(installed: Kubernetes) -> None:
    definition = installed.get("crd", "securityeventwebhooks.projectcalico.org")
    definition["metadata"] = {"name": "securityeventwebhooks.crd.projectcalico.org"}
    definition["spec"]["group"], definition["spec"]["versions"][0]["name"] = "crd.projectcalico.org", "v1"
    installed.apply(definition)
    other = "crd/securityeventwebhooks.crd.projectcalico.org"
    installed.kubectl("wait", "--for=condition=Established", other, "--timeout=20s")
    try:
        installed.apply({**webhook("astray"), "apiVersion": "crd.projectcalico.org/v1"})
        said = "1 webhooks are in crd.projectcalico.org, and the agent reads projectcalico.org: astray"
        assert failed(installed) == {"api-group": said}
    finally:
        installed.kubectl("delete", other)


def test_calicos_own_processor_is_found(installed: Kubernetes) -> None:
    container = {"name": "webhooks-processor", "image": "x"}
    metadata = {"name": "intrusion-detection-controller", "namespace": SECRETS}
    installed.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
    try:
        said = f"pod/intrusion-detection-controller in {SECRETS} is Calico's own processor: each event is sent twice"
        assert failed(installed) == {"calico-processor": said}
    finally:
        installed.kubectl("-n", SECRETS, "delete", "pod", metadata["name"], "--now")


def test_a_missing_namespace_is_found(installed: Kubernetes) -> None:
    assert failed(installed, "--secrets-namespace=elsewhere")["secrets-namespace"] == "there is no namespace elsewhere"


@pytest.mark.parametrize("flags", [("--server", "http://127.0.0.1:1"), ("--context", "nope")])
def test_a_server_out_of_reach_is_one_failed_check(installed: Kubernetes, flags: tuple[str, ...]) -> None:
    ran = run_plugin(installed, "check", *flags)
    assert (ran.returncode, ran.stderr) == (1, "")
    assert ran.stdout.count("✗") == 1
    assert ran.stdout.endswith(f"see {page('troubleshooting', 'api-reachable')}\n\n1 of 1 checks failed\n")
