"""A person operates the agent: starts, changes and stops it, reads its state, and gets its errors."""

import json
import os
import socket
import subprocess
import sys

import pytest

from testbed.receivers import Answer, Incoming, Receiver, generic
from tests.e2e.receivers import SwitchableReceiver, delivery_ids, received_ids
from tests.e2e.sew_agent import Folder, event
from tests.waiting import eventually


def test_files_take_effect_within_two_seconds(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("first", receiver.url)
    folder.write(range(3))
    folder.start()
    eventually(lambda: delivery_ids("first", 3) <= received_ids(receiver).keys(), "the first webhook delivers")
    folder.webhook("second", receiver.url)
    eventually(
        lambda: delivery_ids("second", 3) <= received_ids(receiver).keys(), "the second webhook delivers all", 2.5
    )
    with generic() as other:
        folder.webhook("first", other.url)
        (folder.webhooks / "second.json").unlink()
        eventually(
            lambda: any("deleted" in json.dumps(line) for line in folder.agents[0].says("webhook_deleted")), "", 2.5
        )
        folder.write([3])
        eventually(lambda: len(received_ids(other)) == 1, "the first webhook's new receiver is used")
        assert received_ids(receiver).total() == 6


def test_a_broken_manifest_stops_no_webhook(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("good", receiver.url)
    agent = folder.start()
    eventually(lambda: agent.says("webhook_accepted"), "it is accepted")
    (folder.webhooks / "good.json").write_text("{")
    (folder.webhooks / "bad.yaml").write_text("kind: [")
    eventually(lambda: len(agent.says("webhooks_problem")) >= 2, "both are named")
    folder.write(range(2))
    eventually(lambda: received_ids(receiver).keys() == delivery_ids("good", 2), "what it held before goes on")


def test_dead_letters_can_be_read_and_replayed_beside_a_running_agent(folder: Folder) -> None:
    refusing = SwitchableReceiver(400)
    with refusing.receiver as receiver:
        folder.webhook("w", receiver.url)
        folder.write(range(2))
        folder.start()
        eventually(lambda: len(receiver.refused) == 2, "both are refused")
        eventually(lambda: len(dead_letters(folder)) == 2, "both are dead letters")
        shown = folder.command("dead-letters", "show", str(dead_letters(folder)[0]["number"]))
        assert '"severity": 50' in shown.stdout
        refusing.status = 200
        replayed = folder.command("dead-letters", "replay", "--all")
        assert replayed.stdout == "2 dead letters replayed\n"
        eventually(lambda: len(receiver.accepted) == 2, "the running agent takes them up", 3.0)
        assert received_ids(receiver).keys() == delivery_ids("w", 2)
        assert folder.command("dead-letters", "list").stdout == "no dead letters\n"


def dead_letters(folder: Folder) -> list[dict[str, object]]:
    letters: list[dict[str, object]] = json.loads(folder.command("dead-letters", "list", "-o", "json").stdout)
    return letters


def test_a_backlog_can_be_seen_and_dropped(folder: Folder) -> None:
    refusing = SwitchableReceiver(503)
    with refusing.receiver as receiver:
        folder.webhook("w", receiver.url)
        folder.write(range(20))
        folder.start()
        eventually(lambda: receiver.refused, "it is tried")
        assert json.loads(folder.command("backlog", "list", "-o", "json").stdout)[0]["pending"] == 20
        dropped = folder.command("backlog", "drop", "--webhook", "w", "--yes")
        assert dropped.returncode == 0
        assert json.loads(folder.command("backlog", "list", "-o", "json").stdout)[0]["pending"] <= 1


def test_status_shows_health_backlog_and_last_error(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("good", receiver.url)
    folder.webhook("secretive", "http://127.0.0.1:9/SECRET-PATH")
    folder.webhook("wrong", receiver.url, query="severity >")
    folder.write(range(3))
    agent = folder.start()
    eventually(lambda: len(received_ids(receiver)) == 3, "the good one delivers")
    eventually(lambda: status(folder)["secretive"]["lastError"], "the other one fails")
    rows = status(folder)
    assert (rows["good"]["healthy"], rows["good"]["delivered"], rows["good"]["backlog"]) == (True, 3, 0)
    assert (rows["secretive"]["backlog"], rows["secretive"]["delivering"]) == (3, False)
    assert (rows["wrong"]["healthy"], rows["wrong"]["reason"]) == (False, "QueryParsing")
    readable = folder.command("status")
    assert "agent: running" in readable.stdout
    assert "SECRET-PATH" not in readable.stdout + json.dumps(rows) + agent.text()
    agent.terminate()
    assert "agent: not running" in folder.command("status").stdout


def status(folder: Folder) -> dict[str, dict[str, object]]:
    report = json.loads(folder.command("status", "-o", "json").stdout)
    return {row["name"]: row for row in report["webhooks"]}


def test_shutdown_by_sigterm_finishes_what_is_in_flight_and_exits_0(folder: Folder) -> None:
    started = []

    def slow(incoming: Incoming) -> Answer:
        started.append(incoming)
        eventually(lambda: agent.says("stopping"), "the agent is asked to stop")
        return Answer(200)

    with Receiver(slow) as receiver:
        folder.webhook("w", receiver.url)
        folder.write(range(1))
        agent = folder.start()
        eventually(lambda: started, "a request is in flight")
        assert agent.terminate() == 0
        assert folder.start("--once").wait() == 0
        assert len(receiver.accepted) == 1


@pytest.mark.parametrize(
    ("answer", "query", "flags", "code", "named"),
    [
        (400, "severity >= 0", (), 1, "dead letter"),
        (401, "severity >= 0", (), 1, "parked"),
        (200, "severity >", (), 1, "webhook_refused"),
        (503, "severity >= 0", ("--timeout", "1s"), 124, "timeout"),
        (200, "severity > 99", (), 0, ""),
    ],
)
def test_the_exit_code_of_once_reports_how_it_went(
    folder: Folder, answer: int, query: str, flags: tuple[str, ...], code: int, named: str
) -> None:
    with SwitchableReceiver(answer).receiver as receiver:
        folder.webhook("w", receiver.url, query=query)
        folder.write(range(2))
        agent = folder.start("--once", *flags)
        assert agent.wait() == code, agent.text()
        assert named in agent.text()


def test_bad_lines_are_named_and_the_rest_is_delivered(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("w", receiver.url)
    folder.events.write_text(event(0) + "oops\n" + event(1).strip())
    agent = folder.start("--once")
    assert agent.wait() == 0
    assert received_ids(receiver).keys() == delivery_ids("w", 2)
    assert "line 2: not JSON" in agent.says("bad_line")[0]["message"]


def test_events_may_come_from_standard_input(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("w", receiver.url)
    reading, writing = os.pipe()
    agent = folder.start("--once", events="-", stdin=reading)
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        pipe.writelines(event(number) for number in range(200))
    assert agent.wait() == 0
    assert received_ids(receiver).keys() == delivery_ids("w", 200)


def test_once_reads_on_at_once_whatever_the_poll_interval(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("w", receiver.url)
    reading, writing = os.pipe()
    agent = folder.start("--once", events="-", stdin=reading, SEW_POLL_INTERVAL="1h")
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as pipe:
        pipe.write(event(0))
        eventually(lambda: received_ids(receiver).keys() == delivery_ids("w", 1), "the first one arrives")
        pipe.write(event(1))
    assert agent.wait() == 0
    assert received_ids(receiver).keys() == delivery_ids("w", 2)


def test_a_state_that_was_used_with_other_events_is_a_clear_error(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("w", receiver.url)
    folder.write(range(2))
    assert folder.start("--once").wait() == 0
    reading, writing = os.pipe()
    os.close(writing)
    agent = folder.start("--once", events="-", stdin=reading)
    os.close(reading)
    assert agent.wait() == 1
    assert "name another --state" in agent.text()
    assert "Traceback" not in agent.text()


def test_a_second_agent_on_the_same_state_folder_is_refused(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("w", receiver.url)
    first = folder.start()
    eventually(lambda: first.says("listening"), "the first one runs")
    second = folder.start()
    assert second.wait() == 1
    assert "error: " in second.text()
    assert "Traceback" not in second.text()
    assert first.running


def test_a_port_that_is_taken_is_a_clear_error(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("w", receiver.url)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        agent = folder.start("--listen", address)
        assert agent.wait() == 1
    assert "error: " in agent.text()
    assert address in agent.text()


def test_a_damaged_store_is_an_error_and_never_replaced(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("w", receiver.url)
    folder.write(range(100))
    assert folder.start("--once").wait() == 0
    database = max(folder.state.iterdir(), key=lambda path: path.stat().st_size)
    damaged = os.urandom(4096) + database.read_bytes()[4096:]
    database.write_bytes(damaged)
    again = folder.start("--once")
    assert again.wait() == 1
    assert "error: " in again.text()
    assert database.read_bytes()[:4096] == damaged[:4096]
    assert received_ids(receiver).total() == 100


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--events", "/nowhere/events", "--once"], "there is no events file"),
        (["--webhooks", "/nowhere"], "there are no webhooks at"),
        (["--timeout", "soon"], "soon"),
    ],
)
def test_a_setting_that_cannot_work_is_an_error_in_one_line(folder: Folder, flags: list[str], says: str) -> None:
    agent = folder.start(*flags)
    assert agent.wait() in (1, 2)
    assert says in agent.text()
    assert "Traceback" not in agent.text()


def test_version_names_the_program() -> None:
    ran = subprocess.run([sys.executable, "-m", "sew_agent", "version"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("sew-agent ")
