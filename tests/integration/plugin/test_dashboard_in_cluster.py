"""The dashboard of a cluster in a real Chromium: a real API server, Elasticsearch and agent, and a person's own rights.

`kubectl exec` needs a kubelet: what it would run in the agent's container runs beside it.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from testbed.servers.browser import BrowserPage, browser, find
from testbed.servers.indices import connect, index, write
from testbed.servers.kubernetes import Kubernetes
from testbed.servers.required import required
from tests.e2e.dashboards import (
    CANARY,
    HOSTILE,
    Dashboard,
    NamedReceiver,
    ask_to_purge,
    ask_to_send_again,
    assert_sound,
    dashboard,
)
from tests.e2e.sew_agent import Folder
from tests.integration.cluster.in_cluster import ClusterHarness, secret, webhook
from tests.integration.plugin.conftest import environment_beside, installed, webhook_reader
from tests.waiting import eventually

LIMIT = 60.0
DYING = ("refused", "replayed", "purged", "resent")
"""Webhooks whose receivers refuse the event, so that each has one dead letter."""
PAGES = [
    "/",
    "/webhooks/refused",
    "/webhooks/refused/dead-letters",
    "/webhooks/refused/deliveries",
    "/webhooks/down",
    "/webhooks/broken",
    "/webhooks/refused/do/disable",
    "/event?id=hostile",
    "/query?query=type+%3D+waf&on=index",
    "/exceptions",
    "/check",
]


@dataclass(frozen=True)
class Scene:
    """What the tests share: one that changes a webhook has one of its own."""

    here: ClusterHarness
    folder: Folder
    receiver: NamedReceiver
    page: BrowserPage
    index: str
    elasticsearch: str

    @property
    def environment(self) -> dict[str, str]:
        return environment_beside(self.here, self.folder)

    @contextmanager
    def dashboard(self, **settings: str) -> Iterator[Dashboard]:
        """Run a dashboard that can ask the index, and let the browser in."""
        flags = ("--elasticsearch", self.elasticsearch, "--index", self.index)
        with dashboard(*flags, env=self.environment | settings) as made:
            made.enter(self.page)
            yield made

    def sees(self, text: str) -> None:
        eventually(lambda: text in self.page.text, text, LIMIT)

    def state(self, name: str) -> object:
        return self.here.object(name)["spec"]["state"]

    def paths(self) -> list[str]:
        return [incoming.path for incoming in self.receiver.accepted]

    def sent(self, name: str) -> list[str]:
        """Return the ids of all that was sent to a webhook's receiver, those that it refused first."""
        refused = [incoming for incoming, _ in self.receiver.refused]
        asked = [*refused, *self.receiver.accepted]
        return [incoming.headers["webhook-id"] for incoming in asked if incoming.path.startswith(f"/{name}/")]

    def stored(self, name: str) -> dict[str, Any]:
        """Return what the agent's store holds of a webhook."""
        rows = json.loads(self.folder.command("status", "-o", "json").stdout)["webhooks"]
        return next(row for row in rows if row["name"] == name)


@pytest.fixture(scope="module")
def scene(server: Kubernetes, elasticsearch_8: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with required():
        programs = find()
    folder = Folder(tmp_path_factory.mktemp("agent"))
    with (
        browser(programs) as page,
        NamedReceiver() as receiver,
        connect(elasticsearch_8) as client,
        index(client) as name,
        installed(server) as here,
    ):
        made = Scene(here, folder, receiver, page, name, elasticsearch_8)
        for hook, status in {"fine": 204, "down": 503, "waiting": 503, **dict.fromkeys(DYING, 400)}.items():
            here.apply(secret(hook, url=f"{receiver.url}/{hook}/{status}/{CANARY}"), webhook(hook))
        here.apply(webhook("quiet", f"{receiver.url}/quiet/204", query="type = nothing"))
        here.apply(webhook("broken", f"{receiver.url}/broken/204", query="tpye = waf"))
        here.agent(
            folder,
            *("--elasticsearch", elasticsearch_8, "--index", name),
            POD_NAMESPACE="sew-system",
            POD_NAME="agent-0",
            SEW_RETRY_MAX="60s",
        )
        eventually(lambda: here.condition("fine", "Healthy").get("status") == "True", "it is served", LIMIT)
        eventually(lambda: here.condition("waiting", "Healthy").get("status") == "True", "it is served", LIMIT)
        now = int(time.time())
        write(client, name, [{"_id": "hostile", "time": now, "type": "waf", "severity": 90, "name": HOSTILE}])
        eventually(lambda: any("fine" in path for path in made.paths()), "it is delivered", LIMIT)
        eventually(lambda: [made.stored(name)["deadLetters"] for name in DYING] == [1] * 4, "dead letters", LIMIT)
        yield made
        folder.stop()


@pytest.fixture(scope="module")
def started(scene: Scene) -> Iterator[Dashboard]:
    with scene.dashboard() as made:
        yield made


@pytest.fixture
def address(scene: Scene, started: Dashboard) -> str:
    """The address of the dashboard, where the browser was let in."""
    scene.page.resize(1280, 800)
    return started.address


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_barriers_runs_no_script_of_others_and_shows_no_secret(
    address: str, scene: Scene, path: str
) -> None:
    assert_sound(scene.page, address + path)


def test_a_webhook_is_disabled_and_enabled_in_the_cluster_each_after_a_question(address: str, scene: Scene) -> None:
    page = scene.page
    for action, state in (("disable", "Disabled"), ("debug", "Debug"), ("enable", "Enabled")):
        page.open(f"{address}/webhooks/quiet")
        page.click(f"a[href$='do/{action}']")
        assert f"kubectl sew {action} quiet" in page.text
        assert scene.state("quiet") != state
        page.click("form[method=post] button")
        scene.sees(f"quiet is {state}")
        assert scene.state("quiet") == state


def test_a_test_shows_what_the_receiver_said(address: str, scene: Scene) -> None:
    scene.page.open(f"{address}/webhooks/quiet/do/test")
    scene.page.click("form[method=post] button")
    scene.sees("delivered: 204")
    assert any("quiet" in path for path in scene.paths())


def test_a_dead_letter_is_replayed_and_a_backlog_dropped(address: str, scene: Scene) -> None:
    page = scene.page
    page.open(f"{address}/webhooks/waiting/do/drop")
    assert "kubectl sew backlog waiting --drop" in page.text
    page.click("button.grave")
    scene.sees("1 of the deliveries waiting for waiting was dropped")
    page.open(f"{address}/webhooks/replayed/dead-letters")
    page.click("tbody th a")
    assert "onerror" in page.text
    scene.receiver.mended.add("replayed")
    page.click("a[href*='do/replay']")
    assert "kubectl sew dead-letters replayed replay" in page.text
    page.click("form[method=post] button")
    scene.sees("1 dead letter replayed")
    eventually(lambda: any("replayed" in path for path in scene.paths()), "it is sent again", LIMIT)


def test_a_dead_letter_is_given_up_after_a_question_and_never_sent(address: str, scene: Scene) -> None:
    page = scene.page
    assert "kubectl sew dead-letters purged purge" in ask_to_purge(page, f"{address}/webhooks/purged")
    assert scene.stored("purged")["deadLetters"] == 1
    page.click("button.grave")
    scene.sees("1 dead letter purged")
    row = scene.stored("purged")
    assert (row["deadLetters"], row["backlog"], row["delivered"]) == (0, 0, 0)
    assert [(act["what"], act["count"]) for act in row["byHand"]] == [("purged", 1)]
    assert len(scene.sent("purged")) == 1


def test_a_delivery_is_sent_again_after_a_question_with_the_same_id(address: str, scene: Scene) -> None:
    page = scene.page
    (first,) = scene.sent("resent")
    scene.receiver.mended.add("resent")
    question = ask_to_send_again(page, f"{address}/webhooks/resent", "hostile")
    assert f"kubectl sew deliveries resent redeliver {first}" in question
    assert scene.sent("resent") == [first]
    page.click("form[method=post] button")
    scene.sees("Send again: ")
    eventually(lambda: scene.stored("resent")["delivered"] == 1, "it is sent again", LIMIT)
    assert scene.stored("resent")["deadLetters"] == 0
    assert scene.sent("resent") == [first, first]


def test_a_query_is_tried_on_the_index_and_becomes_a_webhook_that_the_agent_serves(address: str, scene: Scene) -> None:
    page = scene.page
    page.open(f"{address}/query?query=severity+%3E%3D+90&on=index")
    scene.sees("1 of 1 events match")
    page.click("button[formaction='/create']")
    page.type("#name", "saved")
    page.type("#variables", "url=secret:fine/url")
    page.click("button[value=check]")
    scene.sees("kubectl sew create saved")
    page.click("button[value=create]")
    scene.sees("saved created")
    assert scene.here.object("saved")["spec"]["query"] == "severity >= 90"
    eventually(lambda: scene.here.condition("saved", "Healthy").get("status") == "True", "it is served", LIMIT)


def test_the_whole_diagnosis_runs_in_the_background_and_names_what_fails(address: str, scene: Scene) -> None:
    scene.page.open(f"{address}/check")
    scene.page.click("form[method=post] button")
    scene.sees("broken: QueryValidation")
    assert "down: server_error" in scene.page.text


def test_a_person_who_may_only_read_webhooks_sees_them_and_is_told_what_is_refused(scene: Scene) -> None:
    reader = webhook_reader(scene.here.server)
    with scene.dashboard(KUBECONFIG=str(reader)) as made:
        scene.sees("quiet")
        scene.page.open(f"{made.address}/webhooks/quiet/do/disable")
        scene.page.click("form[method=post] button")
        scene.sees("It did not work")
        assert "may not" in scene.page.text or "forbidden" in scene.page.text
    assert scene.state("quiet") == "Enabled"
