"""The real process among hostile receivers, full disks, damaged databases and mistaken commands."""

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Container, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from testbed.jira import jira
from testbed.raw_server import Connection, RawServer, answering
from testbed.receivers import Answer, Incoming, Receiver
from tests.e2e.receivers import SwitchableReceiver, delivery_ids, received_ids
from tests.e2e.sew_agent import Folder
from tests.waiting import eventually

CANARY = "CANARY0123456789"


def hang(connection: Connection) -> None:
    connection.stopped.wait(60)


def drip(connection: Connection) -> None:
    connection.drip(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 10_000)


def cut(connection: Connection) -> bool:
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok")
    return False


FAULTS = {
    "hangs": hang,
    "drips": drip,
    "cuts": cut,
    "redirects": answering(b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"),
    "lies": answering(b"HTTP/1.1 200 OK\r\ncontent-length: nonsense\r\n\r\n"),
    "babbles": answering(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "floods": answering(b"HTTP/1.1 500 x\r\ncontent-length: 99999999\r\n\r\n" + b"x" * 2**20),
}


def test_hostile_receivers_do_not_slow_the_others(folder: Folder, receiver: Receiver) -> None:
    with ExitStack() as stack:
        for name, script in FAULTS.items():
            server = stack.enter_context(RawServer(script))
            folder.webhook(name, f"http://127.0.0.1:{server.port}/")
        folder.webhook("good", receiver.url)
        folder.write(range(500))
        agent = folder.start(SEW_REQUEST_TIMEOUT="2s")
        eventually(lambda: received_ids(receiver).keys() == delivery_ids("good", 500), "the good one gets all", 10)
        eventually(lambda: len({line["webhook"] for line in agent.says("delivery_failed")}) == len(FAULTS), "all fail")
        assert received_ids(receiver).total() == 500


def test_a_jira_issue_created_at_the_moment_of_a_kill_is_found_and_not_duplicated(folder: Folder) -> None:
    with jira(project="P", issue_type="Bug", username="u", token=CANARY) as tracker:
        answer = tracker.receive

        def create_and_kill(incoming: Incoming) -> Answer:
            answered = answer(incoming)
            if agent.running:
                agent.kill()
            return answered

        tracker.receive = create_and_kill  # type: ignore[method-assign]
        config = {"project": "P", "issueType": "Bug", "username": "u", "apiToken": CANARY}
        folder.webhook("w", f"{tracker.url}/rest/api/2/issue", consumer="Jira", **config)
        folder.write(range(1))
        agent = folder.start()
        agent.wait()
        again = folder.start("--once")
        assert again.wait() == 0, again.text()
        assert len(tracker.accepted) == 1
        assert again.says("delivered")[0]["receipt"] == "P-1"


def test_retry_after_is_honoured_over_a_restart(folder: Folder) -> None:
    with Receiver(lambda _: Answer(429, headers={"retry-after": "3600"})) as receiver:
        folder.webhook("w", receiver.url)
        folder.write(range(3))
        agent = folder.start()
        eventually(lambda: agent.says("delivery_failed"), "it is asked to wait")
        agent.kill()
        again = folder.start("--once", "--timeout", "1s")
        assert again.wait() == 124
        assert len(receiver.refused) == 1


def test_requests_in_flight_at_the_timeout_of_a_run_have_a_second_and_are_sent_again_by_the_next(
    folder: Folder,
) -> None:
    ids: list[str] = []

    def first_hangs(connection: Connection) -> bool:
        ids.append(connection.requests[-1].lower().partition(b"webhook-id: ")[2].partition(b"\r\n")[0].decode())
        if len(ids) == 1:
            hang(connection)
            return False
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        return False

    with RawServer(first_hangs) as server:
        folder.webhook("w", f"http://127.0.0.1:{server.port}/")
        folder.write(range(1))
        agent = folder.start("--once", "--timeout", "1s", SEW_REQUEST_TIMEOUT="60s")
        assert agent.wait() == 124
        ((stopping,), (stopped,)) = agent.says("stopping"), agent.says("stopped")
        assert (stopping["in_flight"], stopped["all_finished"]) == (1, False)
        assert agent.says("once_timeout")[0]["waiting"] == {"w": 1}
        assert folder.start("--once").wait() == 0
    assert ids == [*delivery_ids("w", 1)] * 2


def test_a_second_sigterm_ends_the_shutdown_at_once(folder: Folder) -> None:
    with RawServer(hang) as server:
        folder.webhook("w", f"http://127.0.0.1:{server.port}/")
        folder.write(range(1))
        agent = folder.start()
        eventually(lambda: server.requests, "a request is in flight")
        os.kill(agent.pid, signal.SIGTERM)
        eventually(lambda: agent.says("stopping"), "it is asked to stop")
        os.kill(agent.pid, signal.SIGTERM)
        assert agent.wait(2.0) == -signal.SIGTERM


def test_kills_leave_counters_that_match_the_rows(folder: Folder, receiver: Receiver) -> None:
    refused = delivery_ids("bad", 1000, step=10)  # so few that five in a row, which park a webhook, never come
    refusing = SwitchableReceiver(400, delivery_ids("bad", 1000) - refused)
    with refusing.receiver:
        folder.webhook("good", receiver.url)
        folder.webhook("bad", refusing.receiver.url)
        folder.webhook("watched", receiver.url, state="Debug")
        for kill in range(5):
            folder.write(range(kill * 200, (kill + 1) * 200))
            before = received_ids(receiver).total()
            agent = folder.start()
            eventually(lambda before=before: received_ids(receiver).total() >= before + 100, "it delivers")  # type: ignore[misc]
            agent.kill()
            assert_counters_match_rows(folder.state)
        assert folder.start("--once").wait() == 1
        rows = assert_counters_match_rows(folder.state)
    assert {name: (delivered, pending, dead) for name, delivered, pending, dead, _ in rows} == {
        "good": (1000, 0, 0),
        "bad": (900, 0, 100),
        "watched": (0, 0, 0),
    }
    assert received_ids(receiver).keys() == delivery_ids("good", 1000)


def assert_counters_match_rows(state: Path) -> list[tuple[str, int, int, int, int]]:
    """Return each webhook's counters, which are those of its rows. Every event has as many deliveries as it says."""
    rows = "SELECT count(*) FROM deliveries d WHERE d.webhook = w.id AND died_at IS"
    with closing(sqlite3.connect(state / "sew.db")) as database:
        counters = database.execute(
            "SELECT name, delivered, pending, dead, bytes FROM webhooks w ORDER BY name"
        ).fetchall()
        counted = database.execute(
            f"SELECT name, delivered, ({rows} NULL), ({rows} NOT NULL),"
            " (SELECT coalesce(sum(bytes), 0) FROM deliveries d WHERE d.webhook = w.id) FROM webhooks w ORDER BY name"
        ).fetchall()
        owing = "(SELECT count(*) FROM deliveries d WHERE d.event = e.id)"
        released = "(SELECT count(*) FROM released r WHERE r.event = e.id)"
        wrong = f"SELECT count(*) FROM events e WHERE owed != {owing} + {released}"
        assert database.execute(wrong).fetchone() == (0,)
    assert counters == counted
    return counters


@pytest.fixture
def small_disk(folder: Folder) -> Iterator[Path]:
    """The state folder on a file system of 64 MiB."""
    folder.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(folder.state)], check=True)
    yield folder.state
    folder.stop()
    subprocess.run(["umount", "--lazy", str(folder.state)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_is_reported_and_delivery_goes_on_once_there_is_room(
    folder: Folder, small_disk: Path, receiver: Receiver
) -> None:
    folder.webhook("w", receiver.url)
    folder.write(range(10))
    agent = folder.start()
    eventually(lambda: len(received_ids(receiver)) == 10, "it delivers")
    filler = small_disk / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], check=False, capture_output=True)
    folder.write(range(10, 200), padding="x" * 2000)
    eventually(lambda: agent.says("store_failed"), "the full disk is reported")
    eventually(lambda: agent.get("/readyz")[0] == 503, "it is not ready")
    assert agent.get("/healthz")[0] == 200
    filler.unlink()
    eventually(lambda: received_ids(receiver).keys() == delivery_ids("w", 200), "it goes on")
    assert received_ids(receiver).total() == 200
    assert agent.get("/readyz")[0] == 200
    assert len(agent.says("store_failed")) < 10


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_disk_that_is_full_at_the_start_is_a_clear_error(folder: Folder, small_disk: Path) -> None:
    subprocess.run(["dd", "if=/dev/zero", f"of={small_disk / 'filler'}", "bs=4k"], check=False, capture_output=True)
    agent = folder.start()
    assert agent.wait() == 1
    assert "full" in agent.text()
    assert "Traceback" not in agent.text()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: os.truncate(path, path.stat().st_size // 2), "is damaged"),
        (lambda path: os.truncate(path, 0), "it is empty"),
        (lambda path: path.unlink(), "it is gone"),
    ],
)
def test_a_database_that_is_cut_short_empty_or_gone_is_an_error(
    folder: Folder, receiver: Receiver, damage, says: str
) -> None:  # type: ignore[no-untyped-def]
    folder.webhook("w", receiver.url)
    folder.write(range(100))
    assert folder.start("--once").wait() == 0
    damage(folder.state / "sew.db")
    again = folder.start("--once")
    assert again.wait() == 1
    assert says in again.text()
    assert "Traceback" not in again.text()


def test_redaction_leaves_no_secret_in_any_output_of_the_process(folder: Folder) -> None:
    with ExitStack() as stack:
        echoing = stack.enter_context(Receiver(lambda incoming: Answer(400, _echo(incoming))))
        parking = stack.enter_context(Receiver(lambda incoming: Answer(401, _echo(incoming))))
        failing = stack.enter_context(Receiver(lambda incoming: Answer(503, _echo(incoming))))
        moved = stack.enter_context(Receiver(lambda _: Answer(301, headers={"location": f"https://x/{CANARY}"})))
        cutting = stack.enter_context(RawServer(cut))
        for name, url in {
            "echoing": echoing.url,
            "parking": parking.url,
            "failing": failing.url,
            "moved": moved.url,
            "cutting": f"http://127.0.0.1:{cutting.port}",
            "unreachable": "http://127.0.0.1:9",
            "nameless": "http://nowhere.invalid",
            "metadata": "http://169.254.169.254",
        }.items():
            folder.webhook(name, f"{url}/{CANARY}/x?token={CANARY}", headers=f"Authorization: Bearer {CANARY}")
        folder.webhook("userinfo", echoing.url.replace("//", f"//user:{CANARY}@") + "/")
        folder.webhook("watched", f"{failing.url}/{CANARY}", state="Debug")
        folder.webhook("tried", f"{failing.url}/{CANARY}", state="Test")
        folder.webhook("wrong", f"ftp://{CANARY}@host/{CANARY}")
        folder.webhook("signed", f"{failing.url}/", signingSecret=f"whsec_{CANARY}!")
        config = {"project": "P", "issueType": "Bug", "username": "u", "apiToken": CANARY}
        folder.webhook("tracked", f"{echoing.url}/rest/api/2/issue/{CANARY}", consumer="Jira", **config)
        folder.webhook("chatty", f"https://hooks.slack.com.evil.example/services/T0/B0/{CANARY}", consumer="Slack")
        folder.write(range(2))
        agent = folder.start(SEW_PROXY="", SEW_UNKNOWN=CANARY)
        eventually(lambda: agent.says("listening"), "it has begun")
        eventually(lambda: len(dead_letters(folder)) >= 4, "what is rejected is dead")
        eventually(lambda: {line["webhook"] for line in agent.says("webhook_parked")} >= {"parking", "moved"}, "parked")
        eventually(lambda: agent.says("webhook_tested"), "it is tested")
        failing_ones = {"failing", "cutting", "unreachable", "nameless"}
        eventually(lambda: {line["webhook"] for line in agent.says("delivery_failed")} >= failing_ones, "all fail")
        texts = {
            "metrics": agent.scrape(),
            "status": folder.command("status").stdout + folder.command("status", "-o", "json").stdout,
            "dead letters": json.dumps(dead_letters(folder)) + folder.command("dead-letters", "show", "1").stdout,
            "backlog": folder.command("backlog", "list").stdout,
            "report": (folder.state / "agent.json").read_text(),
        }
        agent.terminate()
        assert [name for name, text in (texts | {"log": agent.text()}).items() if CANARY in text] == []


def _echo(incoming: Incoming) -> bytes:
    """Repeat what was sent, as a careless receiver does."""
    return f"{incoming.path} {incoming.headers.get('authorization')}".encode()


def dead_letters(folder: Folder) -> list[dict[str, object]]:
    letters: list[dict[str, object]] = json.loads(folder.command("dead-letters", "list", "-o", "json").stdout)
    return letters


def test_health_and_readiness_are_served(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("w", receiver.url)
    agent = folder.start()
    eventually(lambda: agent.get("/readyz") == (200, "ok\n"), "it is ready")
    assert agent.get("/healthz") == (200, "ok\n")
    folder.events.rename(folder.path / "away")
    folder.events.mkdir()
    eventually(lambda: agent.get("/readyz")[0] == 503, "it says that events cannot be read")
    folder.events.rmdir()
    (folder.path / "away").rename(folder.events)
    eventually(lambda: agent.get("/readyz")[0] == 200, "it recovers")


def test_nothing_listens_with_once_unless_it_is_asked_to(folder: Folder, receiver: Receiver) -> None:
    folder.webhook("w", receiver.url)
    quiet = folder.start("--once")
    assert quiet.wait() == 0
    assert not quiet.says("listening")
    asked = folder.start("--once", "--listen", "127.0.0.1:0")
    assert asked.wait() == 0
    assert asked.says("listening")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["backlog", "drop", "--webhook", "w", "--older-than", "soon"], "a duration such as"),
        (["dead-letters", "show", "7"], "there is no dead letter 7"),
        (["dead-letters", "replay"], "name dead letters by number"),
        (["dead-letters", "replay", "7", "8"], "there is no dead letter 7, 8"),
        (["backlog", "drop", "--webhook", "nobody"], "there is no webhook nobody"),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_why(
    folder: Folder, receiver: Receiver, command: list[str], says: str
) -> None:
    folder.webhook("w", receiver.url)
    assert folder.start("--once").wait() == 0
    ran = folder.command(*command)
    assert ran.returncode in (1, 2)
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_webhook_whose_share_of_the_store_is_full_is_reported_and_catches_up(
    folder: Folder, receiver: Receiver
) -> None:
    refusing = SwitchableReceiver(503)
    with refusing.receiver:
        folder.webhook("stuck", refusing.receiver.url)
        folder.webhook("good", receiver.url)
        agent = folder.start(SEW_STORE_MAX="200KiB", SEW_PAGE_SIZE="10")
        folder.write(range(500), padding="x" * 500)
        eventually(lambda: received_ids(receiver).keys() == delivery_ids("good", 500), "the good one gets all")
        eventually(lambda: agent.says("webhook_room_low"), "a person is warned")
        eventually(lambda: agent.says("webhook_without_room"), "it is reported as full")
        assert 'sew_store_room_ratio{webhook="stuck"} 1' in agent.scrape()
        eventually(lambda: "its share of the store is full" in folder.command("status").stdout, "the status says so")
        refusing.status = 200
        eventually(lambda: len(received_ids(refusing.receiver)) == 500, "it catches up")
        assert received_ids(refusing.receiver).total() == 500


@pytest.mark.parametrize(
    ("status", "accepted", "says"),
    [(400, delivery_ids("w", 500, step=2), "replay or purge"), (400, (), "parked"), (401, (), "parked")],
    ids=["dead letters", "all are rejected", "parked"],
)
def test_once_ends_with_a_problem_where_a_share_of_the_store_stays_full(
    folder: Folder, status: int, accepted: Container[str], says: str
) -> None:
    with SwitchableReceiver(status, accepted).receiver as receiver:
        folder.webhook("w", receiver.url)
        folder.write(range(500), padding="x" * 500)
        agent = folder.start(
            "--once", SEW_STORE_MAX="100KiB", SEW_PAGE_SIZE="10", SEW_RETRY_INITIAL="100ms", SEW_WORKERS="1"
        )
        assert agent.wait(60) == 1  # it takes in a page at a time, as room is made
        assert any(says in line["message"] for line in agent.says("once_trouble"))


def test_dead_letters_replayed_for_a_deleted_webhook_wait_until_it_is_created_again(folder: Folder) -> None:
    refusing = SwitchableReceiver(400)
    with refusing.receiver as receiver:
        folder.webhook("w", receiver.url)
        folder.write(range(1))
        agent = folder.start(SEW_FORGET_AFTER="0s")
        eventually(lambda: agent.says("delivery_dead"), "it is a dead letter")
        (folder.webhooks / "w.json").unlink()
        eventually(lambda: agent.says("webhook_forgotten"), "the webhook is gone")
        assert "sent when it is created again" in folder.command("dead-letters", "replay", "--all").stderr
        refusing.status = 200
        folder.webhook("w", receiver.url)
        eventually(lambda: len(receiver.accepted) == 1, "it is sent")
