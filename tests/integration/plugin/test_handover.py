"""`kubectl sew takeover` and `handback` on a real API server and a real Elasticsearch, beside a stand-in that does what
Calico's processor is documented to do, while events flow: nothing is lost, and doubles are of the margins alone."""

import json
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from kubectl_sew.event import read_time
from testbed.calico_processor import CalicoProcessor
from testbed.receivers import Answer, Receiver
from testbed.servers.indices import index, write
from testbed.servers.running import slowness
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import ClusterHarness, webhook
from tests.integration.plugin.conftest import Sew, beside, calicos_processor
from tests.waiting import eventually

pytestmark = pytest.mark.server

NAMES = [f"w{number}" for number in range(20)]


class Flow:
    """Events that are written all the time, each visible at once, dated to the millisecond."""

    def __init__(self, client: Elasticsearch, url: str, name: str) -> None:
        self.url, self.name = url, name
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.times: dict[str, float] = {}

    def add(self, *times: float) -> None:
        written = {f"e{len(self.times) + number}": moment for number, moment in enumerate(times)}
        dated = ({"_id": key, "severity": 50, "time": stamp(moment)} for key, moment in written.items())
        write(self._client, self.name, dated)
        self.times |= written

    def _run(self) -> None:
        while not self._stop.wait(0.25):
            self.add(time.time())

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()


def stamp(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment * 1000) % 1000:03d}Z"


@pytest.fixture
def flow(elasticsearch_8: str) -> Iterator[Flow]:
    name = f"sew-handover-{uuid.uuid4().hex[:8]}"
    with Elasticsearch(elasticsearch_8, request_timeout=60) as client, index(client, name=name):
        made = Flow(client, elasticsearch_8, name)
        yield made
        made.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(lambda _: Answer(204)) as made:
        yield made


@pytest.fixture
def installed(here: ClusterHarness) -> Iterator[ClusterHarness]:
    """A cluster in which Calico's processor is deployed; the stand-in runs on this machine."""
    with calicos_processor(here.server):
        yield here


def start(here: ClusterHarness, folder: Folder, flow: Flow, **settings: str) -> Agent:
    own = {"POD_NAMESPACE": "sew-system", "POD_NAME": "agent-0", "SEW_BESIDE_CALICO": "true", **settings}
    agent = here.agent(folder, "--elasticsearch", flow.url, "--index", flow.name, **own)
    eventually(lambda: agent.says("lease_taken"), "it is active", 60)
    return agent


class Tally:
    """How often each event arrived for each webhook; each request is read once."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._read = 0
        self._counts: Counter[tuple[str, str]] = Counter()

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        new = self._receiver.accepted[self._read :]
        self._read += len(new)
        self._counts.update((incoming.path.strip("/"), incoming.json()["id"]) for incoming in new)
        return self._counts


def annotation(obj: dict[str, Any], name: str) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(f"kubectl-sew/{name}", ""))


def test_twenty_webhooks_are_taken_over_and_handed_back_while_events_flow(
    installed: ClusterHarness, folder: Folder, flow: Flow, receiver: Receiver
) -> None:
    now = time.time()
    flow.add(*(now - 90 + number for number in range(86)))
    installed.apply(*(webhook(name, f"{receiver.url}/{name}") for name in NAMES))
    sew, tally = beside(installed, folder), Tally(receiver)
    agent = start(installed, folder, flow)
    pace = {"interval": min(2.0 * slowness(), 10.0), "lag": min(2.0 * slowness(), 10.0)}
    calico = CalicoProcessor(installed.server.admin, flow.url, flow.name, since=now - 91, **pace)
    with calico:
        flow.start()
        eventually(lambda: len(calico.sent) >= 95 * len(NAMES), "Calico's processor delivers", 60)
        assert "webhook_accepted" not in agent.text()

        taken = sew("takeover", "--all")
        assert (taken.returncode, taken.stderr) == (0, "")
        assert len(re.findall(r"^securityeventwebhook\S+/w\d+ taken over: Enabled$", taken.stdout, re.MULTILINE)) == 20
        taken_at = time.time()
        begins = [read_time(annotation(installed.object(name), "begin")) or 0.0 for name in NAMES]
        assert all(installed.object(name)["spec"]["state"] == "Disabled" for name in NAMES)
        by_calico = len(calico.sent)
        eventually(lambda: len(receiver.accepted) > by_calico + 40 * len(NAMES), "the agent delivers", 60)
        assert len(calico.sent) <= by_calico + len(NAMES)

        back = sew("handback", "--all")
        assert (back.returncode, back.stderr) == (0, "")
        ends = [read_time(annotation(installed.object(name), "end")) or 0.0 for name in NAMES]
        by_calico = len(calico.sent)
        eventually(lambda: len(calico.sent) > by_calico + 20 * len(NAMES), "Calico's processor delivers again", 60)
        flow.stop()
        due = {(name, key) for name in NAMES for key in flow.times}
        eventually(lambda: due <= tally.counts.keys(), "all arrive", 60)

    counts = tally.counts
    margins = {
        name: ((begin - 1.0, taken_at), (end - 31.0, end)) for name, begin, end in zip(NAMES, begins, ends, strict=True)
    }
    doubles = [(name, flow.times[key]) for (name, key), count in counts.items() if count > 1]
    outside = [
        (name, moment) for name, moment in doubles if not any(first <= moment <= last for first, last in margins[name])
    ]
    assert outside == []
    old = [key for key, moment in flow.times.items() if moment < min(begins) - 1.0]
    assert len(old) > 20
    assert {count for (_, key), count in counts.items() if key in old} == {1}


@pytest.fixture
def agent(installed: ClusterHarness, folder: Folder) -> Agent:
    """An agent beside Calico's processor, with events from a file."""
    settings = {"POD_NAMESPACE": "sew-system", "POD_NAME": "agent-0", "SEW_BESIDE_CALICO": "true"}
    started = installed.agent(folder, **settings)
    eventually(lambda: started.says("lease_taken"), "it is active", 60)
    return started


@pytest.fixture
def sew(installed: ClusterHarness, folder: Folder, agent: Agent) -> Sew:
    return beside(installed, folder)


def ran(done: Any) -> str:
    """Return what a command printed that succeeded."""
    assert (done.returncode, done.stderr) == (0, "")
    return str(done.stdout)


def shown(name: str) -> str:
    return f"securityeventwebhook.projectcalico.org/{name}"


def set_status(here: ClusterHarness, name: str, *conditions: dict[str, Any]) -> None:
    resource = "securityeventwebhooks.v3.projectcalico.org"
    patch = json.dumps({"status": list(conditions)})
    here.server.kubectl("patch", resource, name, "--subresource=status", "--type=merge", "-p", patch)


def calicos(reason: str, at: str, status: str = "True") -> dict[str, Any]:
    return {"type": "Healthy", "status": status, "reason": reason, "message": "m", "lastTransitionTime": at}


def test_every_command_goes_by_the_effective_state_and_says_who_delivers(
    installed: ClusterHarness, sew: Sew, folder: Folder, receiver: Receiver
) -> None:
    installed.apply(webhook("mine", f"{receiver.url}/mine"), webhook("theirs", f"{receiver.url}/theirs"))
    set_status(installed, "mine", calicos("SecurityEventsProcessing", "2026-01-01T00:01:00Z"))
    planned = ran(sew("takeover", "mine", "--dry-run=server"))
    assert planned.startswith(
        f"{shown('mine')} taken over: Enabled (server dry run)\n  begins with events dated 2026-01-01"
    )
    assert installed.object("mine")["spec"]["state"] == "Enabled"

    said = ran(sew("takeover", "mine"))
    assert "  begins with events dated 2026-01-01T00:00:30Z, 30 s before where Calico's processor has read to: " in said
    assert annotation(installed.object("mine"), "begin") == "2026-01-01T00:00:30Z"
    assert ran(sew("takeover", "mine")) == f"{shown('mine')} is taken over: Enabled (no change)\n"

    heading, mine, theirs = ran(sew("list")).splitlines()
    assert heading.split()[:5] == ["NAME", "CONSUMER", "STATE", "BY", "HEALTHY"]
    assert mine.split()[:5] == ["mine", "Generic", "Enabled", "sew-agent", "True"]
    assert theirs.split()[:4] == ["theirs", "Generic", "Enabled", "Calico"]
    status = ran(sew("status", "mine"))
    assert "State:         Enabled, by the annotation kubectl-sew/state: `spec.state` is Disabled" in status
    assert "Delivered by:  sew-agent\n" in status
    assert "taken over: this agent delivers it" in status
    assert "Delivered by:  Calico's processor\n" in ran(sew("status", "theirs"))
    assert "none of the agent's: Calico's processor delivers it" in ran(sew("status", "theirs"))

    assert ran(sew("debug", "mine")) == f"{shown('mine')} set to Debug, logged by sew-agent\n"
    assert ran(sew("disable", "mine", "theirs")) == f"{shown('mine')} disabled\n{shown('theirs')} disabled\n"
    assert installed.object("mine")["spec"]["state"] == "Disabled"
    assert annotation(installed.object("mine"), "state") == "Disabled"
    assert ran(sew("enable", "mine")) == f"{shown('mine')} enabled, delivered by sew-agent\n"
    enabled = ran(sew("enable", "theirs"))
    assert enabled.startswith(
        f"{shown('theirs')} enabled, delivered by Calico's processor: `kubectl sew takeover theirs`"
    )
    assert (installed.object("theirs")["spec"]["state"], annotation(installed.object("theirs"), "state")) == (
        "Enabled",
        "",
    )

    tested = ran(sew("test", "mine", "--timeout", "60s"))
    assert " delivered: 204" in tested
    assert (installed.object("mine")["spec"]["state"], annotation(installed.object("mine"), "state")) == (
        "Disabled",
        "Enabled",
    )
    folder.write(range(3))
    eventually(lambda: len(receiver.accepted) == 4, "the agent delivers, and not what is Calico's", 60)
    assert {incoming.path for incoming in receiver.accepted} == {"/mine"}
    assert installed.object("theirs").get("status") is None


def test_what_would_leave_a_webhook_without_anybody_is_refused(
    installed: ClusterHarness, sew: Sew, receiver: Receiver
) -> None:
    missing = webhook("missing")
    installed.apply(
        webhook("fine", f"{receiver.url}/fine"), missing, webhook("wrong", f"{receiver.url}/x", query="a >=")
    )
    refused = sew("takeover", "wrong", "gone", "missing", "fine")
    assert refused.returncode == 1
    assert "error: wrong was not taken over, since the agent would refuse it: SEW030" in refused.stderr
    assert '"gone" not found' in refused.stderr
    assert "missing was not taken over, since the agent would refuse it: SEW040: variable `url`: " in refused.stderr
    assert refused.stdout.startswith(f"{shown('fine')} taken over: Enabled\n  begins with events dated 20")
    assert "Calico's processor has written no condition yet" in refused.stdout
    assert installed.object("wrong")["spec"]["state"] == "Enabled"

    late = sew("handback", "fine", "--timeout", "2s")
    assert late.returncode == 124
    assert "fine: Calico's processor has written no condition 2 s after it was handed back" in late.stderr
    assert "`kubectl sew takeover fine` takes it over again" in late.stderr
    assert ran(sew("handback", "fine")) == f"{shown('fine')} was not taken over (no change)\n"
    assert sew("handback", "--all").stderr == "No webhook is meant: none was taken over\n"
    for words in (("takeover",), ("handback",), ("takeover", "fine", "--all")):
        assert sew(*words).returncode == 2


def test_a_state_that_is_set_beside_the_annotation_leaves_the_webhook_to_calicos_processor_and_is_told(
    installed: ClusterHarness, sew: Sew, agent: Agent, folder: Folder, receiver: Receiver
) -> None:
    installed.apply(webhook("w", f"{receiver.url}/w"))
    ran(sew("takeover", "w"))
    installed.patch("w", {"spec": {"state": "Enabled"}})
    eventually(lambda: agent.says("webhook_contested"), "the agent says so", 60)
    eventually(lambda: agent.says("webhook_handed_back"), "it ends", 60)
    told = "it was taken over, but its `spec.state` was set since, so Calico's processor delivers it"
    assert told in ran(sew("list", "-o", "wide"))
    status = ran(sew("status", "w"))
    assert "Delivered by:  Calico's processor" in status
    assert told in status
    checks = {check["check"]: check for check in json.loads(sew("check", "-o", "json").stdout)["checks"]}
    assert checks["webhook-contested"]["details"] == [
        f"w: {told}: `kubectl sew takeover w` takes it over again, `kubectl sew handback w` leaves it there"
    ]
    ran(sew("takeover", "w"))
    assert installed.object("w")["spec"]["state"] == "Disabled"
    folder.write(range(2))
    eventually(lambda: len(receiver.accepted) == 2, "the agent delivers again", 60)
    installed.patch("w", {"metadata": {"annotations": {"kubectl-sew/state": "on"}}})
    eventually(lambda: "must be Enabled, Disabled, Debug or Test, but is `on`" in ran(sew("status", "w")), "told", 60)


def before_each_patch(folder: Folder, command: str) -> None:
    """Have a shell command run before each patch of the plugin's kubectl."""
    kubectl = folder.path / "kubectl"
    meanwhile = f'case "$*" in *patch*) {command} ;; esac'
    kubectl.write_text(kubectl.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{meanwhile}\n", 1))


def test_what_is_edited_while_it_is_taken_over_is_judged_again(
    installed: ClusterHarness, sew: Sew, folder: Folder, receiver: Receiver
) -> None:
    installed.apply(webhook("w", f"{receiver.url}/w"))
    edit = """patch securityeventwebhooks.v3.projectcalico.org w --type=merge -p '{"spec":{"query":"a >="}}'"""
    before_each_patch(folder, f'"$REAL_KUBECTL" {edit} >/dev/null')
    refused = sew("takeover", "w")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "error: w was not taken over, since the agent would refuse it: SEW030" in refused.stderr
    assert installed.object("w")["spec"]["state"] == "Enabled"


def test_each_webhook_begins_and_ends_by_the_moment_of_its_own_patch(
    installed: ClusterHarness, sew: Sew, folder: Folder, receiver: Receiver
) -> None:
    installed.apply(webhook("v", f"{receiver.url}/v"), webhook("w", f"{receiver.url}/w"))
    before_each_patch(folder, "sleep 3")
    for words, name in ((("takeover", "v", "w"), "begin"), (("handback", "v", "w", "--timeout", "1s"), "end")):
        sew(*words)
        first, second = (read_time(annotation(installed.object(key), name)) or 0.0 for key in ("v", "w"))
        assert second - first >= 2.0


def test_an_agent_that_is_not_beside_calicos_processor_takes_nothing_over(
    installed: ClusterHarness, folder: Folder, receiver: Receiver
) -> None:
    installed.apply(webhook("w", f"{receiver.url}/w"))
    sew = beside(installed, folder)
    said = "error: no agent is known that would deliver what is taken over: no agent has ever held the Lease"
    assert said in sew("takeover", "w").stderr
    started = installed.agent(folder, POD_NAMESPACE="sew-system", POD_NAME="agent-0")
    eventually(lambda: started.says("lease_taken"), "it is active", 60)
    refused = sew("takeover", "--all")
    assert refused.returncode == 1
    assert "delivers by `spec.state` as Calico's processor does" in refused.stderr
    assert installed.object("w")["spec"]["state"] == "Enabled"

    taken = {"kubectl-sew/state": "Enabled"}
    installed.apply(webhook("w", f"{receiver.url}/w", state="Disabled", annotations=taken))
    restored = sew("handback", "w")
    assert restored.stdout == f"{shown('w')} restored: Enabled, and the agent goes on with it\n"
    assert restored.stderr == (
        "warning: Calico's own processor, deployment/controller, delivers what is handed back, too, so that each event "
        "arrives twice: "
        "`kubectl sew install --beside-calico` has the agent leave that to it\n"
    )
    assert (installed.object("w")["spec"]["state"], annotation(installed.object("w"), "state")) == ("Enabled", "")
