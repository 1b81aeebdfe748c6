"""A person on call meets each fault on real servers. The first command names the cause, since when, how much waits, how
old it is, and what to do; nothing that is printed contradicts it."""

import json
import os
import re
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from kubectl_sew.pages import page
from testbed.receivers import Answer, Incoming, Receiver
from testbed.servers.indices import index, write
from testbed.servers.kubernetes import Kubernetes
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import ClusterHarness, cluster_harness, secret, webhook
from tests.integration.elasticsearch.faults import Proxy, proxy, refuse
from tests.integration.plugin.conftest import Sew, agent_pod, beside, set_agent_status
from tests.waiting import eventually

pytestmark = pytest.mark.server

POD = {"POD_NAMESPACE": "sew-system", "POD_NAME": "agent-0"}
EVENTS = 300
SINCE = r"since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
GREEN = ("nothing is waiting", "nothing waits", "events are delivered", "accepted for", "True (Delivering)")
"""Texts that are wrong for a webhook for which something waits and nothing is accepted."""


@dataclass
class OnCallHarness:
    """The plugin, and the servers, agent and receivers that it acts upon."""

    here: ClusterHarness
    folder: Folder
    sew: Sew
    start: Callable[[], Agent]
    agent: Agent
    front: Proxy
    receiver: Receiver

    def status(self, name: str) -> str:
        return self.sew("status", name).stdout

    def row(self, name: str) -> dict[str, str]:
        """Return the line of `list`, by its headings."""
        heading, *rows = self.sew("list").stdout.splitlines()
        starts = [match.start() for match in re.finditer(r"\S+", heading)]
        cut = {row[: starts[1]].strip(): row for row in rows}[name]
        cells = [cut[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
        return dict(zip(heading.split(), cells, strict=True))

    def check(self) -> str:
        return self.sew("check").stdout


def answer_by_path(incoming: Incoming) -> Answer:
    """Answer by path: `/ok` accepts everything, `/401` is answered 401, and so on."""
    path = incoming.path.strip("/")
    return Answer(200, b"ok") if path == "ok" else Answer(int(path))


@pytest.fixture(scope="module")
def night(
    cluster: Kubernetes, elasticsearch_8: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OnCallHarness]:
    """One agent with a webhook for each problem, and events that all of them match but one."""
    name = f"sew-night-{uuid.uuid4().hex[:8]}"
    folder = Folder(tmp_path_factory.mktemp("night"))
    with (
        cluster_harness(cluster) as here,
        Elasticsearch(elasticsearch_8, request_timeout=60) as client,
        index(client, name=name),
        proxy(elasticsearch_8) as front,
        Receiver(answer_by_path) as receiver,
    ):
        cluster.apply(agent_pod())
        set_agent_status(cluster, ready=True)
        here.apply(secret("wrongkey", other="x"), *webhooks(receiver.url))
        settings = {**POD, "SEW_SLACK_URL_PREFIXES": receiver.url, "SEW_START": "1h"}
        flags = ("--elasticsearch", front.url, "--index", name)

        def start() -> Agent:
            return here.agent(folder, *flags, **settings)

        made = OnCallHarness(here, folder, beside(here, folder), start, start(), front, receiver)
        now = int(time.time())
        write(client, name, ({"_id": f"e{n}", "type": "waf", "severity": 50, "time": now} for n in range(EVENTS)))
        eventually(lambda: f"{EVENTS} waiting" in made.status("down"), "events are read", 60)
        yield made
        folder.stop()
        cluster.kubectl("-n", "sew-system", "delete", "pod", "agent-0", "--now")


def webhooks(url: str) -> list[dict[str, Any]]:
    return [
        webhook("fine", f"{url}/ok"),
        webhook("revoked", f"{url}/401"),
        webhook("down", f"{url}/503"),
        webhook("flooded", f"{url}/ok", consumer="Slack"),
        webhook("gone"),
        webhook("wrongkey"),
        webhook("typo", f"{url}/ok", query="tpye = waf"),
        webhook("narrow", f"{url}/ok", query="type = waf AND severity > 99"),
    ]


def says(say: Callable[[], str], *patterns: str) -> str:
    """Return what is printed once it has all of these."""
    said: list[str] = [""]

    def complete() -> bool:
        said[0] = say()
        return all(re.search(pattern, said[0]) for pattern in patterns)

    try:
        eventually(complete, "it is said", 40)
    except AssertionError:
        missing = [pattern for pattern in patterns if not re.search(pattern, said[0])]
        raise AssertionError(f"{missing} are missing in:\n{said[0]}") from None
    return said[0]


def assert_no_green(text: str, *but: str) -> None:
    assert [word for word in GREEN if word in text and word not in but] == [], text


@pytest.mark.parametrize(
    ("name", "cause", "help_"),
    [
        ("revoked", "Parked: +credential_refused.*, since ", "fix its variables, or the webhook"),
        ("down", "Failing: +server_error.*, since ", "at once: `kubectl sew test down`"),
    ],
)
def test_a_receiver_that_refuses_or_is_down(night: OnCallHarness, name: str, cause: str, help_: str) -> None:
    waiting = rf"{EVENTS} waiting, the oldest for"
    said = says(lambda: night.status(name), "Healthy: +False", "Delivering: +False", cause, SINCE, waiting, help_)
    assert_no_green(said)
    row = says(lambda: str(night.row(name)), "'HEALTHY': 'False'", rf"'WAITING': '{EVENTS}'", "not delivered: ")
    assert_no_green(row)


WHEN = "at most 1 a second are sent, so the last is sent in [0-9]+ min at the earliest"


def test_a_receiver_whose_rate_limit_is_exceeded(night: OnCallHarness) -> None:
    said = says(
        lambda: night.status("flooded"),
        r"True \(FallingBehind\)",
        rf"Backlog: +\d+ waiting: .*{WHEN}",
        "narrow the query",
    )
    assert_no_green(said, "events are delivered")
    assert "Healthy:       True (SecurityEventsProcessing): events are delivered, and late: " in said
    says(lambda: str(night.row("flooded")), "'WAITING': '2[0-9][0-9]'", "and late: ")


@pytest.mark.parametrize(
    ("name", "cause", "help_"),
    [
        ("gone", "ConfigurationParsing", r"create secret generic gone --from-file=url=FILE"),
        ("wrongkey", "ConfigurationParsing", r"edit secret wrongkey"),
        ("typo", "QueryValidation", r"kubectl sew preview-query"),
    ],
)
def test_a_webhook_that_cannot_run(night: OnCallHarness, name: str, cause: str, help_: str) -> None:
    later = "what matches meanwhile is read when the webhook runs"
    said = says(lambda: night.status(name), rf"Healthy: +False \({cause}\).*{SINCE}", later, help_)
    assert_no_green(said, "nothing waits", "nothing is waiting")
    says(lambda: str(night.row(name)), "'HEALTHY': 'False'", cause)


def test_a_query_that_is_too_narrow(night: OnCallHarness) -> None:
    said = says(lambda: night.status("narrow"), "Healthy: +True", r"Matched: +0 events since .*, where it began")
    assert "accepted for Generic" in said


def test_check_names_every_problem_with_its_backlog_and_since_when(night: OnCallHarness) -> None:
    waiting = rf"{EVENTS} waiting, the oldest for .*{SINCE}"
    causes = {
        "webhook-parked": f"revoked: .*{waiting}",
        "receiver-unavailable": f"down: .*{waiting}",
        "webhook-behind": f"flooded: .*{WHEN}",
        "missing-object": "gone: url: Secret gone, key url: the object does not exist",
        "missing-key": "wrongkey: url: Secret wrongkey, key url: the object has no such key: it holds other",
        "webhook-invalid": "typo: QueryValidation: ",
    }
    report = says(night.check, *causes.values(), *(page("troubleshooting", code) for code in causes))
    assert "Nothing is wrong" not in report
    assert f"{len(causes)} of " in report
    assert [name for name in ("fine", "narrow") if f"{name}: " in report] == []


def test_a_healthy_webhook_stays_healthy_beside_all_of_them(night: OnCallHarness) -> None:
    said = says(lambda: night.status("fine"), rf"Delivered: +{EVENTS}, the last .* ago\)", "Backlog: +nothing waits")
    assert "What to do" not in said
    says(lambda: str(night.row("fine")), "'HEALTHY': 'True'", "'WAITING': '0', 'DEAD': '0'")


@pytest.mark.parametrize(
    ("status", "cause"), [(401, "refuses our credentials"), (403, "does not let us"), (502, "502")]
)
def test_an_elasticsearch_that_refuses_or_is_unavailable(night: OnCallHarness, status: int, cause: str) -> None:
    night.front.fault = lambda *_: refuse(status, "security_exception")
    try:
        said = says(
            lambda: night.status("fine"),
            f"EventsFetched: +False.*{cause}.*{SINCE}",
            f"Healthy: +False.*{cause}",
            f"! .*{cause}",
        )
        assert_no_green(said, "nothing waits", "nothing is waiting", "True (Delivering)")
        says(lambda: str(night.row("fine")), "'HEALTHY': 'False'", cause)
    finally:
        night.front.fault = None
    says(lambda: night.status("fine"), "Healthy: +True", "EventsFetched: +True")


def test_an_api_server_that_hangs(night: OnCallHarness) -> None:
    night.here.server.hang()
    try:
        for command in (("list",), ("status", "fine"), ("check",)):
            ran = night.sew(*command, "--request-timeout=2s")
            assert "no answer within 2 s" in ran.stdout + ran.stderr
            assert ran.returncode == 1
        inside = says(lambda: night.folder.command("status").stdout, "agent: running", "! .*cannot be reached")
        assert "revoked: parked: credential_refused" in inside
    finally:
        night.here.server.resume()


def test_an_agent_that_was_killed(night: OnCallHarness) -> None:
    night.agent.kill()
    said = night.status("fine")
    silent = r"agent sew-system/agent-0 has been silent for \d+s: what follows is what it last wrote"
    at_once = "! the program of the agent sew-system/agent-0 reports nothing: what follows is what it last wrote"
    assert at_once in said or re.search(silent, said)  # a busy machine asks late
    assert "the agent: `kubectl sew check`" in said
    assert night.row("fine")["HEALTHY"] == "Unknown"
    says(lambda: night.sew("list").stderr, silent)
    says(lambda: night.status("fine"), silent)
    pod = {"name": "sew-agent", "ready": False, "restartCount": 4, "image": "x", "imageID": "x"}
    ended = {
        "terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": time.strftime("%FT%TZ", time.gmtime())}
    }
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    set_agent_status(night.here.server, ready=False, **waiting)
    patch = {"status": {"containerStatuses": [{**pod, "state": waiting, "lastState": ended}]}}
    patch_pod(night.here.server, patch)
    report = says(night.check, "OOMKilled", "raise the memory limit", "--previous", "has not renewed its Lease for")
    assert "✓ it reports no problem" not in report
    set_agent_status(night.here.server, ready=True)
    night.agent = night.start()
    says(lambda: night.status("fine"), "Agent: +sew-system/agent-0, version ")


def patch_pod(server: Kubernetes, patch: dict[str, Any]) -> None:
    arguments = ("patch", "pod", "agent-0", "--subresource=status", "--type=merge", "-p", json.dumps(patch))
    server.kubectl("-n", "sew-system", *arguments)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Folder]:
    """A folder whose state is on a file system of 64 MiB."""
    folder = Folder(tmp_path)
    folder.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(folder.state)], check=True)
    yield folder
    folder.stop()
    subprocess.run(["umount", "--lazy", str(folder.state)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk(small_disk: Folder) -> None:
    with Receiver(answer_by_path) as receiver:
        small_disk.webhook("fine", f"{receiver.url}/ok")
        small_disk.write(range(10))
        agent = small_disk.start()
        eventually(lambda: len(receiver.accepted) == 10, "it delivers")
        filler = small_disk.state / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], check=False, capture_output=True)
        small_disk.write(range(10, 200), padding="x" * 2000)
        said = says(
            lambda: small_disk.command("status").stdout,
            "agent: running",
            "! store: the disk of .* is full: make room",
            "fine: events cannot be read: .*is full",
        )
        assert re.search(r"fine +Generic +Enabled +no ", said)
        filler.unlink()
        eventually(lambda: agent.says("store_recovered"), "the recovery has its line")
        says(lambda: small_disk.command("status").stdout, r"fine +Generic +Enabled +yes ")
