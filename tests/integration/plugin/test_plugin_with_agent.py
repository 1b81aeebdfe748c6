"""The plugin beside the real agent, on a real API server. `kubectl exec` needs a kubelet: here the agent runs on this
machine, so what exec would run in its container is run beside it, and all else is kubectl's own."""

import json
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kubectl_sew
from kubectl_sew.text import rfc3339
from testbed.receivers import Answer, Incoming, Receiver
from tests.documented import examples, masked, typed
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import ClusterHarness, secret, webhook
from tests.integration.plugin.conftest import SECRETS, Sew, beside, clock_ahead
from tests.waiting import eventually


class PathReceiver(Receiver):
    """Answers by path: `/ok` takes everything, `/400` is answered 400, and so on; `fixed` takes all."""

    def __init__(self) -> None:
        self.fixed = False
        super().__init__(self._decide)

    def _decide(self, incoming: Incoming) -> Answer:
        path = incoming.path.strip("/")
        return Answer(204 if self.fixed or path == "ok" else int(path))


@pytest.fixture
def receiver() -> Iterator[PathReceiver]:
    with PathReceiver() as made:
        yield made


@pytest.fixture
def agent(here: ClusterHarness, folder: Folder) -> Agent:
    started = here.agent(folder, POD_NAMESPACE="sew-system", POD_NAME="agent-0")
    eventually(lambda: here.server.kubectl("-n", SECRETS, "get", "lease", "sew-agent", "--ignore-not-found"), "a Lease")
    return started


@pytest.fixture
def sew(here: ClusterHarness, folder: Folder, agent: Agent) -> Sew:
    return beside(here, folder)


def row(sew: Sew, name: str) -> dict[str, Any]:
    delivery: dict[str, Any] = json.loads(sew("status", name, "-o", "json").stdout)["delivery"] or {}
    return delivery


def findings(sew: Sew) -> dict[str, list[str]]:
    """Code of a failed check -> its details."""
    checks = json.loads(sew("check", "-o", "json").stdout)["checks"]
    return {check["check"]: check["details"] for check in checks if check["result"] == "failed"}


def test_status_shows_backlog_deliveries_and_failure(
    sew: Sew, here: ClusterHarness, folder: Folder, receiver: PathReceiver
) -> None:
    here.apply(webhook("fine", f"{receiver.url}/ok"), webhook("down", f"{receiver.url}/503"))
    assert sew("status", "fine", "--wait", "--timeout", "30s").returncode == 0
    folder.write(range(3))
    eventually(lambda: row(sew, "fine").get("delivered") == 3, "delivered")
    eventually(lambda: row(sew, "down").get("lastError"), "a failure")
    fine, down = sew("status", "fine").stdout, sew("status", "down").stdout
    assert "Agent:         sew-system/agent-0, version " in fine
    assert "Backlog:       nothing waits\nDelivered:     3, the last 20" in fine
    assert "What to do" not in fine
    assert "Backlog:       3 waiting, the oldest for under a minute\nDelivered:     0, the last never" in down
    assert "Failing:       server_error: " in down
    assert "it is tried again by itself and nothing is lost; `kubectl sew backlog down`" in down
    assert receiver.url not in fine + down


def test_the_backlog_is_shown_and_dropped(
    sew: Sew, here: ClusterHarness, folder: Folder, receiver: PathReceiver
) -> None:
    here.apply(webhook("flood", f"{receiver.url}/503"))
    folder.write(range(5))
    eventually(lambda: row(sew, "flood").get("backlog") == 5, "a backlog")
    (only,) = json.loads(sew("backlog", "flood", "-o", "json").stdout)
    assert (only["webhook"], only["pending"]) == ("flood", 5)
    assert sew("backlog", "flood").stdout.startswith("WEBHOOK")
    wrong = sew("backlog", "flood", "--drop", "--yes", "--older-than", "soon")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith(
        "error: sew-system/agent-0: invalid value for '--older-than': 'soon': must be a duration"
    )
    assert sew("backlog", "flood", "--drop", "--yes", "--older-than", "1h").stdout.startswith("0 of the deliveries")
    assert sew("backlog", "flood", "--drop", "--yes").stdout.startswith("5 of the deliveries")
    eventually(lambda: row(sew, "flood").get("backlog") == 0, "no backlog")


def test_dead_letters_are_listed_shown_replayed_and_purged(
    sew: Sew, here: ClusterHarness, folder: Folder, receiver: PathReceiver
) -> None:
    here.apply(webhook("refusing", f"{receiver.url}/400"))
    folder.write(range(2))
    eventually(lambda: row(sew, "refusing").get("deadLetters") == 2, "dead letters")
    assert "dead letters: `kubectl sew dead-letters refusing list`" in sew("status", "refusing").stdout
    letters = json.loads(sew("dead-letters", "refusing", "-o", "json").stdout)
    first, second = (str(letter["number"]) for letter in letters)
    assert '"severity": 50' in sew("dead-letters", "refusing", "show", first).stdout
    receiver.fixed = True
    assert sew("dead-letters", "refusing", "replay", first).stdout == "1 dead letter replayed\n"
    eventually(lambda: len(receiver.accepted) == 1, "it is sent again")
    assert sew("dead-letters", "refusing", "purge", second, "--yes").stdout == "1 dead letter purged\n"
    assert sew("dead-letters", "refusing").stdout == "no dead letters\n"


def test_a_past_window_is_counted_and_replayed_and_its_last_replay_stays_in_sight(
    sew: Sew, here: ClusterHarness, folder: Folder, receiver: PathReceiver
) -> None:
    here.apply(webhook("late", f"{receiver.url}/ok", state="Disabled"))
    eventually(lambda: row(sew, "late").get("state") == "Disabled", "it is taken up")
    folder.write(range(3), time=rfc3339(time.time() - 3600))
    eventually(lambda: json.loads(folder.command("status", "-o", "json").stdout)["agent"]["eventsRead"] == 3, "read")
    here.apply(webhook("late", f"{receiver.url}/ok"))
    eventually(lambda: row(sew, "late").get("state") == "Enabled", "it is enabled")

    window = ("replay", "late", "--since", "2h")
    assert " match, 3 to send\n" in sew(*window, "--dry-run").stdout
    assert sew("replay", "late", "status").stdout == "no replay\n"
    assert receiver.accepted == []
    assert sew(*window, "--yes").stdout.startswith("late: asked for")
    eventually(lambda: " done, 3 events read" in sew("replay", "late", "status").stdout, "it ends", 60)
    eventually(lambda: len(receiver.accepted) == 3, "all arrive")
    last = sew("replay", "late", "status").stdout
    assert " 0 to send; 3 left out" in sew(*window, "--dry-run").stdout
    assert sew("replay", "late", "status").stdout == last

    assert sew(*window, "--again", "--yes").returncode == 0
    eventually(lambda: len(receiver.accepted) == 6, "all arrive again", 60)
    eventually(lambda: sew("deliveries", "late").stdout.count(" 1 again ") == 3, "they are marked in the log")


def test_what_would_be_sent_of_a_dead_letter_is_shown_by_what_the_cluster_holds(
    sew: Sew, here: ClusterHarness, folder: Folder, receiver: PathReceiver
) -> None:
    here.apply(webhook("told"), secret("told", url=f"{receiver.url}/400"))
    folder.write(range(1))
    eventually(lambda: row(sew, "told").get("deadLetters") == 1, "a dead letter")
    (attempt,) = json.loads(sew("deliveries", "told", "-o", "json").stdout)
    shown = sew("deliveries", "told", "show", attempt["deliveryId"][:12])
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"POST {receiver.url}/[secret]\n" in shown.stdout
    assert f"webhook-id: {attempt['deliveryId']}\n" in shown.stdout
    assert f"{receiver.url}/400" not in shown.stdout


@pytest.mark.parametrize(("path", "code", "said"), [("ok", 0, " delivered: 204"), ("401", 1, " not delivered (")])
def test_a_test_delivery_reports_the_receivers_answer(
    sew: Sew, here: ClusterHarness, receiver: PathReceiver, path: str, code: int, said: str
) -> None:
    here.apply(webhook("tried", f"{receiver.url}/{path}", state="Disabled"))
    ran = sew("test", "tried", "--yes", "--timeout", "30s")
    assert (ran.returncode, ran.stderr) == (code, "")
    assert said in ran.stdout
    assert here.object("tried")["spec"]["state"] == "Enabled"


def test_check_finds_parked_unavailable_and_invalid_webhooks_and_dead_letters(
    sew: Sew, here: ClusterHarness, folder: Folder, receiver: PathReceiver
) -> None:
    eventually(lambda: sew("check").returncode == 0, "all is well", 60)
    paths = {"parked": "401", "down": "503", "refusing": "400"}
    here.apply(*(webhook(name, f"{receiver.url}/{path}") for name, path in paths.items()))
    here.apply(webhook("broken", f"{receiver.url}/ok", query="tpye = waf"))
    folder.write(range(1))

    wanted = {"webhook-parked", "receiver-unavailable", "dead-letters", "webhook-invalid"}
    eventually(lambda: set(findings(sew)) == wanted, "four findings", 60)
    last = findings(sew)
    assert last["webhook-parked"][0].startswith("parked: credential_refused: ")
    assert last["receiver-unavailable"][0].startswith("down: server_error: ")
    assert last["dead-letters"][0].startswith("refusing: 1 dead letter, the last error: ")
    assert last["webhook-invalid"][0].startswith("broken: QueryValidation: ")
    assert receiver.url not in json.dumps(last)


def test_a_webhook_that_no_agent_takes_up_is_found(
    here: ClusterHarness, folder: Folder, receiver: PathReceiver
) -> None:
    here.agent(folder, "--selector", "team=night", POD_NAMESPACE="sew-system", POD_NAME="agent-0")
    here.apply(*(webhook(name, f"{receiver.url}/ok", labels={"team": name}) for name in ("night", "day")))
    sew = beside(here, folder)
    eventually(lambda: "webhook-unserved" in findings(sew), "it is found", 90)
    assert findings(sew) == {"webhook-unserved": ["day: sew-system/agent-0 does not serve it"]}


def test_an_agent_whose_clock_is_wrong_is_found(here: ClusterHarness, folder: Folder, tmp_path: Path) -> None:
    ahead = clock_ahead(tmp_path, 120)
    here.agent(folder, POD_NAMESPACE="sew-system", POD_NAME="agent-0", PYTHONPATH=ahead)
    sew = beside(here, folder, ahead)
    eventually(lambda: set(findings(sew)) == {"agent-clock"}, "it alone is found", 60)
    assert re.match("the agent's clock is 1(19|20|21) s ahead", findings(sew)["agent-clock"][0])


def test_version_tells_that_of_the_agent_and_of_the_server_too(sew: Sew) -> None:
    told = json.loads(sew("version", "-o", "json").stdout)
    version = kubectl_sew.__version__
    assert told["client"] == version
    assert told["agent"] == {"version": version, "pod": "sew-system/agent-0"}
    assert told["server"].startswith("v1.")
    (example,) = examples("docs/commands.md", form="text", section="kubectl sew version")
    *ours, servers = masked(example.shown).replace("POD", "sew-system/agent-0").splitlines()
    assert servers.startswith("Kubernetes v1.")
    assert sew(*shlex.split(example.line)[2:]).stdout.splitlines() == [*ours, f"Kubernetes {told['server']}"]


@pytest.mark.parametrize("page", ["docs/cluster.md", "docs/gitops.md"])
@pytest.mark.usefixtures("agent")
def test_kubectl_waits_for_a_webhook_as_a_page_shows(page: str, here: ClusterHarness, receiver: PathReceiver) -> None:
    (line,) = [one.line for one in typed(Path(page)) if one.line.startswith("kubectl wait ")]
    here.apply(webhook("urgent", f"{receiver.url}/ok"))
    words = shlex.split(line.replace("/NAME ", "/urgent "))[1:]
    assert here.server.kubectl(*words) == "securityeventwebhook.projectcalico.org/urgent condition met\n"


def test_an_agent_of_another_version_is_found(here: ClusterHarness, folder: Folder, tmp_path: Path) -> None:
    metadata = tmp_path / "kubectl_sew-0.0.9.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: kubectl-sew\nVersion: 0.0.9\n")
    older = {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    here.agent(folder, POD_NAMESPACE="sew-system", POD_NAME="agent-0", **older)
    said = [f"the agent is of version 0.0.9, the plugin of {kubectl_sew.__version__}"]
    sew = beside(here, folder)
    eventually(lambda: findings(sew) == {"agent-version": said}, "it alone is found", 60)


def test_a_webhook_that_fills_its_share_of_the_store_is_found(
    here: ClusterHarness, folder: Folder, receiver: PathReceiver
) -> None:
    small = {"SEW_STORE_MAX": "200KiB", "SEW_PAGE_SIZE": "10"}
    here.agent(folder, POD_NAMESPACE="sew-system", POD_NAME="agent-0", **small)
    here.apply(webhook("stuck", f"{receiver.url}/503"))
    sew = beside(here, folder)
    eventually(lambda: sew("status", "stuck", "--wait", "--timeout", "5s").returncode == 0, "it is taken up", 60)
    folder.write(range(500), padding="x" * 500)
    eventually(lambda: set(findings(sew)) == {"backlog-full", "receiver-unavailable"}, "both are found", 60)
    assert re.fullmatch(r"stuck: \d+% of its share of the store is used", findings(sew)["backlog-full"][0])


def test_an_agent_that_was_killed_is_found(sew: Sew, agent: Agent) -> None:
    agent.kill()
    assert set(findings(sew)) == {"agent-answers"}


def test_a_standby_that_the_lease_names_as_leader_is_reported(
    here: ClusterHarness, agent: Agent, receiver: PathReceiver, tmp_path: Path
) -> None:
    here.apply(webhook("any", f"{receiver.url}/ok"))
    (tmp_path / "other").mkdir()
    other = Folder(tmp_path / "other")
    standby = here.agent(other, POD_NAMESPACE="sew-system", POD_NAME="agent-1")
    eventually(lambda: standby.says("standing_by"), "it stands by")
    sew = beside(here, other)
    said = "sew-system/agent-0 holds the Lease and stands by for sew-system/agent-0: one agent takes over from another"
    ran = sew("status", "any")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"Agent:         unknown: {said}" in ran.stdout
    assert findings(sew)["agent-answers"][0].startswith(said)
    other.stop()
