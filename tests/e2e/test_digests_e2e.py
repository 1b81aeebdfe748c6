"""Digests by the real agent: over kills, each event is in a digest that was taken, and the books balance."""

import json
import re
import time
from collections import Counter
from typing import Any

from kubectl_sew.event import Event, delivery_id
from testbed.jira import jira
from testbed.receivers import Answer, Incoming, Receiver
from tests.e2e.sew_agent import Folder
from tests.waiting import eventually

KILLS = 3


def row(folder: Folder) -> dict[str, Any]:
    (only,) = json.loads(folder.command("status", "-o", "json").stdout)["webhooks"]
    return only


def members(incoming: Incoming) -> list[str]:
    """Return the ids of the events in a message."""
    body = json.loads(incoming.body)
    return body["digest"]["ids"] if "digest" in body else [body["id"]]


def test_a_storm_over_kills_is_in_digests_of_which_each_kill_doubles_at_most_one(folder: Folder) -> None:
    def answer(_: Incoming) -> Answer:
        time.sleep(0.3)  # so that a kill finds one in flight
        return Answer(200)

    receiver = Receiver(answer)
    folder.webhook("hook", receiver.url, digest="2s", groupBy="host")
    agent = folder.start()
    eventually(lambda: agent.says("webhook_accepted"), "accepted")
    total = 0
    for _ in range(KILLS):
        folder.write(range(total, total + 400), host="a")
        folder.write(range(total + 400, total + 500), host="b")
        total += 500
        taken = len(receiver.accepted)
        eventually(lambda taken=taken: len(receiver.accepted) > taken, "some arrive", 30)  # type: ignore[misc]
        folder.agents[-1].kill()
        agent = folder.start()
    eventually(lambda: row(folder)["delivered"] == total, "all of it is delivered", 60)
    state = row(folder)
    assert (state["seen"], state["delivered"], state["backlog"], state["deadLetters"]) == (total, total, 0, 0)
    messages = receiver.accepted
    by_id: dict[str, list[str]] = {}
    for incoming in messages:
        identity = incoming.headers["webhook-id"]
        assert by_id.setdefault(identity, members(incoming)) == members(incoming)
    times = Counter(incoming.headers["webhook-id"] for incoming in messages)
    assert sum(count - 1 for count in times.values()) <= 2 * KILLS  # two groups, each with one in flight
    named = Counter(name for names in by_id.values() for name in names)
    assert named == Counter({f"e{number}": 1 for number in range(total)})
    assert len(by_id) < 40
    log = json.loads(folder.command("deliveries", "list", "-o", "json").stdout)
    digests = {entry["digest"] for entry in log if entry["digest"]}
    assert digests <= by_id.keys()
    assert all(entry["deliveryId"] == delivery_id("hook", Event("", entry["event"], {})) for entry in log)
    receiver.close()


def test_a_run_that_ends_waits_for_no_digest_once_all_is_read(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("hook", receiver.url, digest="24h", groupBy="host")
    folder.write(range(1200), host="a")
    folder.write(range(1200, 2500), host="b")
    assert folder.start("--once").wait() == 0
    assert sum(len(members(incoming)) for incoming in receiver.accepted) == 2500
    assert len(receiver.accepted) <= 8


def test_a_quiet_group_has_its_first_event_at_once_and_a_storm_two_messages(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("hook", receiver.url, digest="3s")
    agent = folder.start()
    eventually(lambda: agent.says("webhook_accepted"), "accepted")
    folder.write([0])
    eventually(lambda: receiver.accepted, "the first one is there")
    folder.write(range(1, 300))
    eventually(lambda: row(folder)["delivered"] == 300, "all of it is delivered", 30)
    sizes = [len(members(incoming)) for incoming in receiver.accepted]
    assert (sizes[0], sum(sizes)) == (1, 300)
    assert len(sizes) <= 3
    assert "in digest " in folder.command("deliveries", "list").stdout


def test_comments_over_kills_say_each_event_once_in_one_issue_until_that_is_done(folder: Folder) -> None:
    with jira(project="P", issue_type="Bug", username="u", token="t") as tracker:
        answer = tracker.receive

        def slowly(incoming: Incoming) -> Answer:
            answered = answer(incoming)
            time.sleep(0.1)  # so that a kill finds one in flight that has arrived
            return answered

        tracker.receive = slowly  # type: ignore[method-assign]
        config = {"project": "P", "issueType": "Bug", "username": "u", "apiToken": "t", "groupInto": "open"}
        folder.webhook("hook", f"{tracker.url}/rest/api/2/issue", consumer="Jira", digest="1s", **config)
        total = 0
        for _ in range(2):
            folder.start(SEW_RATE_JIRA="100/s")
            folder.write(range(total, total + 30))
            total += 30
            taken = len(tracker.accepted)
            eventually(lambda taken=taken: len(tracker.accepted) > taken, "one arrives", 30)  # type: ignore[misc]
            folder.agents[-1].kill()
        folder.start(SEW_RATE_JIRA="100/s")
        eventually(lambda: row(folder)["delivered"] == total, "all of it is delivered", 60)
        (issue,) = tracker.issues.values()
        assert mentioned([issue.description, *issue.comments]) == Counter(f"e{number}" for number in range(total))
        issue.done = True
        folder.write([total])
        eventually(lambda: row(folder)["delivered"] == total + 1, "the next one is delivered", 30)
        assert list(tracker.issues) == ["P-1", "P-2"]


def mentioned(texts: list[str]) -> Counter[str]:
    """Return how many of the texts name each event."""
    return Counter(name for text in texts for name in set(re.findall(r"\be[0-9]+\b", text)))
