"""Replays by the real agent and its commands: counted, confirmed, over kills, beside live events."""

import json
import re
import shlex
import time
from pathlib import Path
from typing import Any

from kubectl_sew.event import Event, delivery_id
from kubectl_sew.text import rfc3339
from testbed.receivers import Receiver
from tests.documented import examples, masked
from tests.e2e.receivers import received_ids
from tests.e2e.sew_agent import Folder
from tests.waiting import eventually

HOUR = 3600.0


def missed(folder: Folder, receiver: Receiver, numbers: range, **config: str) -> None:
    """Let events pass while a webhook is disabled, and enable it."""
    folder.webhook("hook", receiver.url, state="Disabled", **config)
    agent = folder.start()
    eventually(lambda: agent.says("webhook_accepted"), "accepted")
    folder.write(numbers, time=rfc3339(time.time() - HOUR))
    eventually(lambda: json.loads(folder.command("status", "-o", "json").stdout)["agent"]["eventsRead"], "read")
    folder.webhook("hook", receiver.url, **config)
    eventually(lambda: row(folder)["state"] == "Enabled", "enabled")


def row(folder: Folder) -> dict[str, Any]:
    (only,) = json.loads(folder.command("status", "-o", "json").stdout)["webhooks"]
    return only


def ended(folder: Folder) -> bool:
    return (row(folder)["replay"] or {}).get("phase") == "done"


def test_a_replay_goes_on_after_kills_beside_live_events_and_the_books_balance(
    folder: Folder, receiver: Receiver
) -> None:
    missed(folder, receiver, range(300), rate="100/s")
    assert folder.command("replay", "start", "--webhook", "hook", "--since", "2h", "--yes").returncode == 0
    for kill in range(3):
        eventually(lambda kill=kill: len(receiver.accepted) > 20 * (kill + 1), "some arrive")  # type: ignore[misc]
        folder.agents[-1].kill()
        folder.write(range(1000 + kill, 1001 + kill), time=rfc3339(time.time()))
        folder.start()
    eventually(lambda: ended(folder) and not row(folder)["backlog"], "it ends", 60)
    numbers = [*range(300), *range(1000, 1003)]
    assert received_ids(receiver).keys() == {delivery_id("hook", Event("", f"e{number}", {})) for number in numbers}
    state = row(folder)
    assert (state["seen"], state["delivered"], state["deadLetters"]) == (303, 303, 0)
    again = folder.command("replay", "start", "--webhook", "hook", "--since", "2h", "--dry-run").stdout
    assert " match, 0 to send; 303 left out: known to the agent already" in again


def test_again_sends_each_event_once_more_and_marked_but_for_what_was_in_flight_at_a_kill(
    folder: Folder, receiver: Receiver
) -> None:
    folder.webhook("hook", receiver.url, rate="50/s")
    agent = folder.start()
    eventually(lambda: agent.says("webhook_accepted"), "accepted")
    folder.write(range(100), time=rfc3339(time.time() - HOUR))
    eventually(lambda: len(receiver.accepted) == 100, "all were delivered", 30)
    assert folder.command("replay", "start", "--webhook", "hook", "--since", "2h", "--again", "--yes").returncode == 0
    eventually(lambda: len(receiver.accepted) > 120, "some arrive", 30)
    folder.agents[-1].kill()
    folder.start()
    eventually(lambda: ended(folder) and not row(folder)["backlog"], "it ends", 60)
    times = receiver.ids(lambda incoming: incoming.headers["webhook-id"])
    assert len(times) == 100
    assert {*times.values()} <= {2, 3}
    marks = [incoming.headers.get("webhook-replay") for incoming in receiver.accepted]
    assert (marks[:100], {*marks[100:]}) == ([None] * 100, {"again"})
    state = row(folder)
    assert (state["seen"], state["delivered"]) == (200, 200)


def test_a_replay_is_counted_and_not_sent_unless_it_is_confirmed(folder: Folder, receiver: Receiver) -> None:
    missed(folder, receiver, range(5))
    command = ("replay", "start", "--webhook", "hook", "--since", "2h")
    counted = folder.command(*command, "--dry-run")
    assert (counted.returncode, counted.stderr) == (0, "")
    assert " 5 to send" in counted.stdout
    refused = folder.command(*command)
    assert refused.returncode == 2
    assert "add --yes" in refused.stderr
    assert folder.command("replay", "status").stdout == "no replay\n"
    assert receiver.accepted == []


def test_the_page_shows_what_is_printed(folder: Folder, receiver: Receiver) -> None:
    missed(folder, receiver, range(5))
    for typed in examples("docs/replay.md"):
        words = [word for word in shlex.split(typed.line)[1:] if word not in ("--state", "state")]
        if words[1] == "status":
            eventually(lambda: ended(folder), "it ends")
        ran = folder.command(*words)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert re.sub(r"by \S+:", "by WHO:", masked(ran.stdout)) == re.sub(r"by \S+:", "by WHO:", masked(typed.shown))


def test_a_replay_is_seen_in_the_status_and_stopped(folder: Folder, receiver: Receiver) -> None:
    missed(folder, receiver, range(500), rate="5/s")
    assert folder.command("replay", "start", "--webhook", "hook", "--since", "2h", "--yes").returncode == 0
    eventually(lambda: receiver.accepted, "it begins")
    second = folder.command("replay", "start", "--webhook", "hook", "--since", "2h", "--yes")
    assert second.returncode == 1
    assert "hook has a replay of" in second.stderr
    assert "replay of " in folder.command("status").stdout
    stopped = folder.command("replay", "stop", "--webhook", "hook")
    assert stopped.stdout.startswith("hook: stopped the replay of ")
    eventually(lambda: not row(folder)["backlog"], "what was ready is sent")
    assert len(receiver.accepted) < 500
    assert folder.command("replay", "stop", "--webhook", "hook").stderr == "error: hook has no replay to stop\n"


def test_a_window_that_is_none_is_refused(folder: Folder, receiver: Receiver, tmp_path: Path) -> None:
    missed(folder, receiver, range(1))
    wrong = {
        ("--since", "1h", "--until", "2h"): "must be before --until",
        ("--since", "2100-01-01T00:00:00Z"): "must be before --until",
        ("--since", "1h", "--until", "2100-01-01T00:00:00Z"): "still to come",
        ("--since", "soon"): "write how long ago, such as 6h",
        ("--since", "1h", "--query", "severity >="): "--query: ",
        ("--since", "1h", "--query", "nonsense = 1", "--dry-run"): "cannot be counted: ",
    }
    for flags, words in wrong.items():
        refused = folder.command("replay", "start", "--webhook", "hook", *flags)
        assert refused.returncode in (1, 2)
        assert words in refused.stderr
        assert refused.stderr.count("\n") <= 2
    unknown = folder.command("replay", "start", "--webhook", "other", "--since", "1h", "--yes")
    assert "there is no webhook other" in unknown.stderr
