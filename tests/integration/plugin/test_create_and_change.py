"""The plugin changes a cluster's webhooks. Where an agent must answer, the test writes what an agent writes."""

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from testbed.servers.kubernetes import Kubernetes
from tests.integration.plugin.conftest import Make, Sew, webhook, write_status
from tests.waiting import eventually

RESOURCE = "securityeventwebhooks.projectcalico.org"


def spec(server: Kubernetes, name: str) -> Any:
    return server.get(RESOURCE, name)["spec"]


@pytest.mark.parametrize(
    ("command", "states", "said"),
    [
        ("enable", ("Disabled", "Enabled"), "enabled"),
        ("disable", ("Enabled", "Disabled"), "disabled"),
        ("debug", ("Enabled", "Debug"), "set to Debug"),
    ],
)
def test_the_state_and_nothing_else_changes(
    sew: Sew, server: Kubernetes, make: Make, command: str, states: tuple[str, str], said: str
) -> None:
    before, after = states
    name = make(f"to-{command}", state=before)
    was = spec(server, name)
    for flag, note in (("client", " (dry run)"), ("server", " (server dry run)")):
        ran = sew(command, name, f"--dry-run={flag}")
        assert ran.stdout == f"securityeventwebhook.projectcalico.org/{name} {said}{note}\n"
        assert spec(server, name) == was
    ran = sew(command, name)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"securityeventwebhook.projectcalico.org/{name} {said}\n"
    assert spec(server, name) == {**was, "state": after}
    assert sew(command, name).stdout == f"securityeventwebhook.projectcalico.org/{name} {said} (no change)\n"
    managers = [
        entry["manager"] for entry in server.get(RESOURCE, name, "--show-managed-fields")["metadata"]["managedFields"]
    ]
    assert "kubectl-sew" in managers


def test_a_state_cannot_be_changed_without_the_right(sew: Sew, server: Kubernetes, make: Make) -> None:
    env = {"KUBECONFIG": str(server.as_account("nobody"))}
    ran = sew("enable", make("guarded", state="Disabled"), env=env)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith('error: securityeventwebhooks.projectcalico.org "guarded" is forbidden: User "system:')
    assert "`kubectl sew check`" in ran.stderr
    assert spec(server, "guarded")["state"] == "Disabled"


class Answering(threading.Thread):
    """Waits for state Test, and then writes what the agent writes."""

    def __init__(
        self, server: Kubernetes, name: str, result: str = "", condition: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self._server, self._name, self._result, self._condition = server, name, result, condition
        self.start()

    def run(self) -> None:
        eventually(lambda: spec(self._server, self._name)["state"] == "Test", "state Test")
        if self._condition:
            write_status(self._server, self._name, self._condition)
        if self._result:
            self._write("2026-11-25T14:59:59Z the sample is being sent", "Test")
            self._write(self._result, "Enabled")

    def _write(self, result: str, state: str) -> None:
        annotations = {"webhooks.projectcalico.org/testResult": result}
        patch = {"metadata": {"annotations": annotations}, "spec": {"state": state}}
        self._server.kubectl("patch", RESOURCE, self._name, "--type=merge", "-p", json.dumps(patch))


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ("2026-11-25T15:00:00Z delivered: 200 OK", 0),
        ("2026-11-25T15:00:00Z not delivered (credential_refused): 401 Unauthorized", 1),
    ],
)
def test_a_test_delivery_prints_its_result(sew: Sew, server: Kubernetes, make: Make, result: str, code: int) -> None:
    agent = Answering(server, make("tested"), result)
    ran = sew("test", "tested", "--timeout", "20s")
    agent.join()
    assert (ran.returncode, ran.stderr) == (code, "")
    assert ran.stdout == f"securityeventwebhook.projectcalico.org/tested tested: {result}\n"


def test_a_test_of_a_webhook_that_cannot_work_says_why(sew: Sew, server: Kubernetes, make: Make) -> None:
    refused = {"type": "Healthy", "status": "False", "reason": "QueryParsing", "observedGeneration": 2}
    agent = Answering(server, make("broken"), condition={**refused, "message": "the query ends too early"})
    ran = sew("test", "broken", "--timeout", "20s")
    agent.join()
    assert ran.returncode == 1
    assert ran.stdout.endswith("broken tested: not sent: QueryParsing: the query ends too early\n")
    assert (
        "the sample is sent once broken can run, unless `kubectl sew enable broken` takes the test back" in ran.stderr
    )


def test_a_test_that_nobody_makes_times_out(sew: Sew, make: Make) -> None:
    ran = sew("test", make("alone"), "--timeout", "1s")
    assert (ran.returncode, ran.stdout) == (124, "")
    assert ran.stderr.startswith("error: no agent tested alone within 1 s: `kubectl sew check` says why")


def test_a_test_that_would_enable_a_disabled_webhook_asks_first(sew: Sew, server: Kubernetes, make: Make) -> None:
    name = make("asleep", state="Disabled")
    ran = sew("test", name)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "asleep is Disabled, and a test leaves it Enabled: add --yes if that is meant" in ran.stderr
    assert spec(server, name)["state"] == "Disabled"
    assert sew("test", name, "--yes", "--timeout", "1s").returncode == 124
    assert spec(server, name)["state"] == "Test"


@pytest.mark.parametrize("command", [("backlog", "any"), ("dead-letters", "any", "list")])
def test_backlog_and_dead_letters_without_an_agent_are_an_error(sew: Sew, command: tuple[str, ...]) -> None:
    ran = sew(*command)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("error: no agent has ever held the Lease sew-agent in the namespace")
    assert "`kubectl sew check`" in ran.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("backlog", "any", "--older-than", "1h"),
        ("backlog", "any", "--drop", "-o", "json"),
        ("dead-letters", "any", "show"),
        ("dead-letters", "any", "list", "1"),
        ("dead-letters", "any", "purge", "-o", "json"),
        ("dead-letters", "any", "purge", "1", "--all"),
        ("test", "any", "--timeout", "soon"),
    ],
)
def test_flags_that_do_not_go_together_are_a_usage_error(sew: Sew, command: tuple[str, ...]) -> None:
    ran = sew(*command)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: ")
    assert "--help' for usage." in ran.stderr


def test_the_fallback_group_is_found_and_named_in_full(sew: Sew, server: Kubernetes, make: Make) -> None:
    """Serve the second group beside the first, by the flag: no short name could tell the two apart."""
    definition = server.get("customresourcedefinition", RESOURCE)
    definition["metadata"] = {"name": "securityeventwebhooks.crd.projectcalico.org"}
    definition["spec"]["group"] = "crd.projectcalico.org"
    definition["spec"]["versions"][0]["name"] = "v1"
    server.apply(definition)
    other = "customresourcedefinition/securityeventwebhooks.crd.projectcalico.org"
    server.kubectl("wait", "--for=condition=Established", other, "--timeout=20s")
    try:
        server.apply({**webhook("both", state="Disabled"), "apiVersion": "crd.projectcalico.org/v1"})
        make("both", state="Disabled")
        ran = sew("enable", "both", "--api-group", "crd.projectcalico.org")
        assert (ran.returncode, ran.stdout) == (0, "securityeventwebhook.crd.projectcalico.org/both enabled\n")
        assert spec(server, "both")["state"] == "Disabled"
        assert sew("list").stdout.splitlines()[1].split()[2] == "Disabled"
    finally:
        server.kubectl("delete", other)


FLAGS = ("--consumer", "Generic", "--query", "type = waf", "--config", "url=https://receiver.example/CANARY")


def test_create_makes_the_webhook_and_an_existing_name_is_an_error(sew: Sew, server: Kubernetes) -> None:
    dry = sew("create", "made", *FLAGS, "--dry-run=server")
    assert (dry.returncode, dry.stdout) == (0, "securityeventwebhook.projectcalico.org/made created (server dry run)\n")
    assert server.try_kubectl("get", RESOURCE, "made").returncode == 1
    try:
        ran = sew("create", "made", *FLAGS, "--label", "cluster:production", "--state", "Disabled")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout == "securityeventwebhook.projectcalico.org/made created\n"
        made = server.get(RESOURCE, "made", "--show-managed-fields")
        assert (made["spec"]["state"], made["spec"]["query"]) == ("Disabled", "type = waf")
        assert made["metadata"]["annotations"] == {"webhooks.projectcalico.org/labels": "cluster:production"}
        assert [entry["manager"] for entry in made["metadata"]["managedFields"]] == ["kubectl-sew"]
        again = sew("create", "made", *FLAGS)
        assert (again.returncode, again.stdout) == (1, "")
        assert again.stderr == f'error: {RESOURCE} "made" already exists\n'
        assert spec(server, "made") == made["spec"]
    finally:
        server.kubectl("delete", RESOURCE, "made")


def test_create_prints_what_the_server_made_of_it(sew: Sew, server: Kubernetes) -> None:
    ran = sew("create", "shown", *FLAGS, "--dry-run=server", "-o", "json")
    metadata = json.loads(ran.stdout)["metadata"]
    assert (metadata["name"], metadata["generation"]) == ("shown", 1)
    assert "managedFields" not in metadata


def test_redaction_a_refusal_of_the_server_is_reported_without_a_value(sew: Sew, server: Kubernetes) -> None:
    """A rule that only the server knows: the plugin's own checks come before it."""
    rules = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations/0"
    stricter = {"rule": "self.query != 'type = waf'", "message": "house rules", "fieldPath": ".config"}
    change_definition(server, {"op": "add", "path": rules, "value": stricter})
    try:
        eventually(lambda: sew("create", "ruled", *FLAGS, "--dry-run=server").returncode == 1, "the rule holds")
        ran = sew("create", "ruled", *FLAGS)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert ran.stderr.startswith('error: The SecurityEventWebhook "ruled" is invalid: spec.config: Invalid value: ')
        assert "house rules" in ran.stderr
        assert "CANARY" not in ran.stderr
    finally:
        change_definition(server, {"op": "remove", "path": rules})
        eventually(lambda: sew("create", "ruled", *FLAGS, "--dry-run=server").returncode == 0, "the rule is gone")


def change_definition(server: Kubernetes, change: dict[str, Any]) -> None:
    """Use a patch: what `apply` and `replace` note of an object that was read is in the way of the next `apply`."""
    server.kubectl("patch", "crd", RESOURCE, "--type=json", "-p", json.dumps([change]))


def test_create_needs_the_right(sew: Sew, server: Kubernetes) -> None:
    ran = sew("create", "forbidden", *FLAGS, env={"KUBECONFIG": str(server.as_account("nobody"))})
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith('error: securityeventwebhooks.projectcalico.org is forbidden: User "system:')
