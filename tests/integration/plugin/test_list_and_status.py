"""The plugin reports a cluster's webhooks."""

import json
import re
import subprocess
import threading

import pytest
import yaml

from testbed.servers.kubernetes import Kubernetes
from tests.integration.plugin.conftest import SECRETS, Make, Sew, environment, webhook_reader, write_status

HEALTHY = {"type": "Healthy", "status": "True", "reason": "WebhookValidation", "observedGeneration": 1}


def test_list_says_so_where_there_is_nothing(sew: Sew) -> None:
    ran = sew("list")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "No resources found\n")


def test_list_shows_consumer_state_health_reason_and_message(sew: Sew, server: Kubernetes, make: Make) -> None:
    write_status(server, make("seen"), {**HEALTHY, "status": "False", "message": "the query is \x1b[31m wrong"})
    make("unseen", state="Disabled")
    heading, seen, unseen = sew("list").stdout.splitlines()
    assert heading.split() == ["NAME", "CONSUMER", "STATE", "HEALTHY", "REASON", "WAITING", "DEAD", "MESSAGE"]
    assert seen.split(maxsplit=5)[:5] == ["seen", "Generic", "Enabled", "False", "WebhookValidation"]
    assert seen.endswith("the query is \ufffd[31m wrong")
    assert unseen.split() == ["unseen", "Generic", "Disabled", "-", "-", "-", "-", "-"]


def test_list_wide_adds_delivery_reading_age_and_query(sew: Sew, server: Kubernetes, make: Make) -> None:
    waits = "401; about 1,200 events wait, the oldest for 2 h"
    delivering = {"type": "Delivering", "status": "False", "reason": "ReceiverRefuses", "message": waits}
    progress = {"type": "EventsFetched", "status": "True", "reason": "EventsRead", "message": "read to 2026-01-02"}
    write_status(server, make("wide"), HEALTHY, delivering, progress)
    heading, row = sew("list", "-o", "wide").stdout.splitlines()
    assert heading.split()[7:] == ["DELIVERING", "EVENTS", "AGE", "QUERY", "MESSAGE"]
    assert "about 1,200   -      False        read to 2026-01-02   " in row
    assert re.search(r"read to 2026-01-02 +\d+s +type = waf", row)


def test_list_takes_kubectls_own_formats(sew: Sew, make: Make) -> None:
    name = make("formats")
    assert sew("list", "-o", "name").stdout == f"securityeventwebhook.projectcalico.org/{name}\n"
    assert sew("list", "-o", "jsonpath={.items[*].spec.consumer}").stdout == "Generic"
    assert json.loads(sew("list", "-o", "json").stdout)["items"][0]["metadata"]["name"] == name
    assert yaml.safe_load(sew("list", "-o", "yaml").stdout)["items"][0]["spec"]["query"] == "type = waf"
    wrong = sew("list", "-o", "nonsense")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("error: unable to match a printer")


def test_status_shows_conditions_and_why_the_agent_is_unknown(sew: Sew, server: Kubernetes, make: Make) -> None:
    write_status(server, make("plain"), {**HEALTHY, "message": "accepted"})
    ran = sew("status", "plain")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Webhook:       plain (Generic)\n" in ran.stdout
    assert "Healthy:       True (WebhookValidation): accepted\n" in ran.stdout
    assert "Agent:         unknown: no agent has ever held the Lease sew-agent in the namespace tigera-" in ran.stdout
    assert "`kubectl sew check`" in ran.stdout


def test_redaction_status_shows_which_references_resolve_and_never_a_value(
    sew: Sew, server: Kubernetes, make: Make
) -> None:
    server.kubectl("-n", SECRETS, "create", "secret", "generic", "held", "--from-literal=there=CANARY")
    server.kubectl("-n", SECRETS, "create", "configmap", "plain", "--from-literal=other=CANARY")
    config = [
        {"name": "url", "valueFrom": {"secretKeyRef": {"name": "held", "key": "there"}}},
        {"name": "headers", "valueFrom": {"configMapKeyRef": {"name": "plain", "key": "absent"}}},
        {"name": "template", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "k"}}},
        {"name": "ca.crt", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "k", "optional": True}}},
    ]
    ran = sew("status", make("references", config=config))
    assert "url: Secret held, key there: found: it holds there\n" in ran.stdout
    assert "headers: ConfigMap plain, key absent: the object has no such key: it holds other\n" in ran.stdout
    assert "template: Secret gone, key k: the object does not exist\n" in ran.stdout
    assert "ca.crt: Secret gone, key k, optional: the object does not exist\n" in ran.stdout
    assert f"`kubectl -n {SECRETS} create secret generic gone --from-file=k=FILE`" in ran.stdout
    assert f"`kubectl -n {SECRETS} edit configmap plain`" in ran.stdout
    whole = json.loads(sew("status", "references", "-o", "json").stdout)
    assert [reference["found"] for reference in whole["references"]] == [True, False, False, False]
    assert "CANARY" not in ran.stdout + json.dumps(whole)


def test_status_is_an_object_for_programs(sew: Sew, make: Make) -> None:
    name = make("program")
    status = json.loads(sew("status", name, "-o", "json").stdout)
    assert status == yaml.safe_load(sew("status", name, "-o", "yaml").stdout)
    assert (status["state"], status["healthy"], status["delivery"]) == ("Enabled", False, None)
    assert status["agent"]["unknown"].startswith("no agent has ever held the Lease")


def test_status_without_a_kubelet_says_that_the_pod_cannot_be_asked(sew: Sew, server: Kubernetes, make: Make) -> None:
    server.apply(*lease_held_by("default/agent-0"))
    try:
        gone = sew("status", make("asked"))
        assert (gone.returncode, gone.stderr) == (0, "")
        assert "Agent:         unknown: the pod default/agent-0, which holds the Lease, is gone" in gone.stdout
        containers = [{"name": "sew-agent", "image": "none"}]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "agent-0", "namespace": "default"}}
        server.apply({**pod, "spec": {"containers": containers}})
        ran = sew("status", "asked")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "Agent:         unknown: default/agent-0 cannot be asked: " in ran.stdout
        assert "does not have a host assigned" in ran.stdout
    finally:
        server.kubectl("-n", SECRETS, "delete", "lease", "sew-agent")
        server.kubectl("delete", "pod", "agent-0", "--ignore-not-found", "--now")


def lease_held_by(holder: str) -> list[dict[str, object]]:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": "2026-01-02T03:04:05.000000Z"}
    metadata = {"name": "sew-agent", "namespace": SECRETS}
    return [{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}]


def test_status_without_rights_to_secrets_and_lease_says_unknown(sew: Sew, server: Kubernetes, make: Make) -> None:
    config = [{"name": "url", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}]
    name, env = make("rights", config=config), {"KUBECONFIG": str(webhook_reader(server))}
    ran = sew("status", name, env=env)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "it could not be read: secrets" in ran.stdout
    assert "Agent:         unknown: leases.coordination.k8s.io" in ran.stdout
    assert "is forbidden" in ran.stdout
    assert json.loads(sew("status", name, "-o", "json", env=env).stdout)["references"][0]["found"] is None


def test_wait_ends_when_the_webhook_is_healthy_as_it_is_now(sew: Sew, server: Kubernetes, make: Make) -> None:
    name = make("awaited")
    write_status(server, name, {**HEALTHY, "status": "False"})
    agent = threading.Timer(1.5, write_status, (server, name, HEALTHY))
    agent.start()
    ran = sew("status", name, "--wait", "--timeout", "30s")
    agent.join()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Healthy:       True (WebhookValidation)" in ran.stdout


def test_wait_ignores_conditions_of_an_earlier_generation(sew: Sew, server: Kubernetes, make: Make) -> None:
    name = make("changed")
    write_status(server, name, HEALTHY)
    assert sew("status", name, "--wait", "--timeout=1s").returncode == 0
    server.kubectl(
        "patch", "securityeventwebhooks.projectcalico.org", name, "--type=merge", "-p", '{"spec":{"query":"x"}}'
    )
    ran = sew("status", name, "--wait", "--timeout=1s")
    assert ran.returncode == 124
    assert "[of an earlier version of the resource]" in ran.stdout
    assert ran.stderr == f"error: {name} did not become healthy within 1 s\n"


def test_watch_prints_each_change(server: Kubernetes, make: Make) -> None:
    name = make("watched")
    command = [server.programs.kubectl, "sew", "status", name, "--watch", "--wait", "--timeout", "60s"]
    with subprocess.Popen(command, env=environment(server), stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        said = ""
        while "unknown: no agent has written" not in said:
            line = watching.stdout.readline()
            assert line, said
            said += line
        write_status(server, name, HEALTHY)
        said += watching.stdout.read()
    assert watching.returncode == 0
    assert said.count("Webhook:       watched") == 2
    assert re.search(r"^\d\d:\d\d:\d\d\nWebhook: ", said, re.MULTILINE)
    assert said.index("unknown: no agent has written") < said.index("True (WebhookValidation)")


@pytest.mark.parametrize("name", ["absent", "Not_A_Name", ".."])
def test_a_name_that_is_not_there_is_an_error_that_says_how_to_find_names(sew: Sew, name: str) -> None:
    ran = sew("status", name)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f'error: securityeventwebhooks.projectcalico.org "{name}" not found: ')
