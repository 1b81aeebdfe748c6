"""The agent on a whole node, as its users run it: installed, fed, watched, killed."""

import json
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from testbed.receivers import Receiver
from testbed.servers import helm as helms
from testbed.servers.elasticsearch import V9, elasticsearch
from testbed.servers.helm import Helm
from testbed.servers.images import base_image
from testbed.servers.indices import CALICO_MAPPINGS, CALICO_SETTINGS
from testbed.servers.node import find, node
from testbed.servers.required import required
from tests.documented import examples, masked
from tests.e2e.helm_release import (
    AS_OPENSHIFT_CHOOSES,
    OPENSHIFTS_USER,
    RELEASE,
    HelmRelease,
    chart_on_the_host_network,
    private_volume,
)
from tests.e2e.in_node import ALONE, INDEX, SECRETS, SIDECAR, NodeHarness, host_manifests, volume
from tests.e2e.receivers import SwitchableReceiver
from tests.waiting import eventually

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def installed(agent_archive: Path) -> Iterator[NodeHarness]:
    with required(), node(find()) as made, elasticsearch(V9) as server:
        for image in (base_image(), agent_archive):
            made.load(image)
        with Elasticsearch(server.url) as events:
            events.indices.create(index=INDEX, mappings=CALICO_MAPPINGS, settings=CALICO_SETTINGS)
            made.kubernetes.kubectl("create", "namespace", SECRETS)
            made.kubernetes.apply(*host_manifests(), volume(made))
            before = made.kubernetes.get("deployment", SIDECAR.name, "-n", SIDECAR.namespace)["spec"]
            here = NodeHarness(made, events, server.url, before)
            here.wait_until_ready()
            here.install(SIDECAR)
            yield here


@pytest.fixture
def switch() -> Iterator[SwitchableReceiver]:
    made = SwitchableReceiver(200)
    with made.receiver:
        yield made


def names(receiver: Receiver) -> set[str]:
    return {incoming.json()["name"] for incoming in receiver.accepted}


def test_the_agent_runs_as_a_native_sidecar_of_a_pod_that_is_ready(installed: NodeHarness) -> None:
    pod = installed.pod()
    (agent,) = pod["spec"]["initContainers"]
    (status,) = pod["status"]["initContainerStatuses"]
    assert (agent["name"], agent["restartPolicy"]) == ("sew-agent", "Always")
    assert status["started"]
    assert status["ready"]


def test_an_event_in_elasticsearch_arrives_at_a_receiver_and_status_shows_it(
    installed: NodeHarness, switch: SwitchableReceiver
) -> None:
    installed.webhook("arrives", switch.receiver.url)
    installed.do("status", "arrives", "--wait", "--timeout", "60s")
    installed.write("arrives", range(3))
    eventually(lambda: names(switch.receiver) == {"0", "1", "2"}, "all events arrive", 60)
    delivery = json.loads(installed.do("status", "arrives", "-o", "json"))["delivery"]
    assert (delivery["delivered"], delivery["backlog"]) == (3, 0)
    installed.forget("arrives")


def test_a_pod_killed_with_a_backlog_loses_no_event(installed: NodeHarness, switch: SwitchableReceiver) -> None:
    installed.webhook("killed", switch.receiver.url)
    installed.write("killed", [0])
    eventually(lambda: names(switch.receiver) == {"0"}, "the first event arrives", 60)
    switch.status = 503
    installed.write("killed", range(1, 21))
    eventually(lambda: switch.receiver.refused, "the receiver refuses", 30)
    old = installed.pod()["metadata"]["name"]
    installed.node.kubernetes.kubectl("delete", "pod", old, "-n", SIDECAR.namespace, "--force", "--grace-period=0")
    switch.status = 200
    installed.wait_until_active()
    assert installed.pod()["metadata"]["name"] != old
    eventually(lambda: names(switch.receiver) == set(map(str, range(21))), "every event arrives", 120)
    installed.forget("killed")


def test_check_finds_no_problem(installed: NodeHarness) -> None:
    done = installed.sew("check", "-o", "json")
    complaints = [check for check in json.loads(done.stdout)["checks"] if check["result"] != "ok"]
    assert (done.returncode, complaints) == (0, [])


def test_the_first_event_is_delivered_as_the_installation_page_shows(
    installed: NodeHarness, switch: SwitchableReceiver
) -> None:
    switch.status = 204
    for typed in examples("docs/install.md", section="The first event"):
        words = shlex.split(typed.line.replace("https://receiver.example", switch.receiver.url))[1:]
        if words == ["sew", "list"]:
            installed.write("any", [1], severity=95)
        assert_printed(installed, words, typed.shown)
    assert names(switch.receiver) == {"1", "WAF Event"}
    installed.forget("urgent", secret="receiver")


def assert_printed(installed: NodeHarness, words: list[str], shown: str) -> None:
    """Run a command again where it only reads, since a condition is written at most every 10 s."""
    said = []

    def prints() -> bool:
        done = installed.kubectl(*words)
        said.append(masked(done.stdout + done.stderr))
        return said[-1] == masked(shown) or not set(words) & {"list", "status"}

    with suppress(AssertionError):
        eventually(prints, "it is printed", 60)
    assert said[-1] == masked(shown)


def test_uninstall_restores_the_host_and_the_next_agent_goes_on_wherever_it_is(
    installed: NodeHarness, switch: SwitchableReceiver
) -> None:
    installed.webhook("moves", switch.receiver.url)
    installed.write("moves", [0])
    eventually(lambda: names(switch.receiver) == {"0"}, "the event arrives", 60)
    installed.uninstall(SIDECAR)
    assert installed.spec(SIDECAR) == installed.host
    lease = installed.node.kubernetes.get("lease", "sew-agent", "-n", SECRETS)["spec"]
    assert lease["leaseDurationSeconds"] == 1  # it could let go of it: it had its rights until it ended
    installed.write("moves", [1])
    installed.install(ALONE)
    eventually(lambda: names(switch.receiver) == {"0", "1"}, "what came without an agent arrives", 60)
    installed.uninstall(ALONE)
    kubernetes = installed.node.kubernetes
    assert kubernetes.get("deployments", "-n", ALONE.namespace)["items"] == []
    (claim,) = kubernetes.get("persistentvolumeclaims", "-n", ALONE.namespace)["items"]
    assert claim["status"]["phase"] == "Bound"
    installed.write("moves", [2])
    installed.install(SIDECAR)
    eventually(lambda: names(switch.receiver) == {"0", "1", "2"}, "the next one goes on", 60)
    installed.forget("moves")


@pytest.fixture
def release(installed: NodeHarness, tmp_path: Path) -> HelmRelease:
    """Helm, and a cluster without agent and API."""
    with required():
        helm = Helm(helms.find(helms.V4), tmp_path)
    installed.do("uninstall", "--apply", *SIDECAR.options, "--crd")
    installed.node.kubernetes.apply(private_volume(installed.node))
    return HelmRelease(helm, installed, chart_on_the_host_network(tmp_path))


def test_helm_waits_until_the_agent_is_ready_and_another_user_goes_on_with_its_state(
    installed: NodeHarness, release: HelmRelease, switch: SwitchableReceiver
) -> None:
    """The last one, since it leaves no agent. On OpenShift the agent runs as a user of the namespace's own."""
    release.install()
    assert release.is_ready()
    assert release.user() == (65532, {65532})
    installed.webhook("helm", switch.receiver.url)
    installed.write("helm", [0])
    eventually(lambda: names(switch.receiver) == {"0"}, "the event arrives", 60)
    release.upgrade(AS_OPENSHIFT_CHOOSES)
    assert release.is_ready()
    assert release.user() == (OPENSHIFTS_USER, {0, OPENSHIFTS_USER})
    installed.write("helm", [1])
    eventually(lambda: names(switch.receiver) == {"0", "1"}, "the next one arrives", 60)
    release.rollback()
    assert release.is_ready()
    assert release.user() == (65532, {65532})
    release.uninstall()
    assert installed.node.kubernetes.get("deployments", "-n", RELEASE.namespace)["items"] == []
    assert release.claim() == "Bound"
    installed.forget("helm")
