"""Several agents on one PostgreSQL, without a word to each other: each webhook is one agent's, and so is reading."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sew_agent.store.postgresql.schema import MIGRATIONS
from sew_agent.store.postgresql.store import identity
from testbed.receivers import Answer, Incoming, Receiver
from testbed.servers.postgresql import PostgreSQL, find, postgresql
from testbed.servers.required import required
from testbed.servers.running import slowness
from testbed.tcp_proxy import TcpProxy
from tests.e2e.receivers import delivery_ids, received_ids
from tests.e2e.several_agents import TAKEN_OVER_WITHIN, WORKERS, Agents
from tests.e2e.sew_agent import Agent, Folder, counters
from tests.waiting import eventually

pytestmark = pytest.mark.server


@pytest.fixture
def agents(folder: Folder, postgresql_server: PostgreSQL) -> Agents:
    made = Agents(folder, postgresql_server)
    identity(made.url)  # makes the tables
    return made


def reads(agent: Agent) -> bool:
    return bool(agent.says("reading"))


def all_ids(webhooks: int, events: int) -> set[str]:
    return set().union(*(delivery_ids(f"w{number}", events) for number in range(webhooks)))


def test_three_agents_share_three_hundred_webhooks_and_each_event_is_delivered_once(
    agents: Agents, receiver: Receiver
) -> None:
    for number in range(300):
        agents.folder.webhook(f"w{number}", receiver.url)
    three = [agents.start(name, SEW_WORKERS="64", SEW_REQUEST_TIMEOUT="10s") for name in ("one", "two", "three")]
    eventually(lambda: agents.loads() == [100, 100, 100], "each has its share", 60)
    agents.folder.write(range(3))
    eventually(lambda: received_ids(receiver).keys() == all_ids(300, 3), "all arrive", 60)
    eventually(lambda: agents.sql("SELECT sum(delivered) FROM webhooks") == "900", "all are counted")
    assert received_ids(receiver).total() == 900
    pages = [agent.scrape() for agent in three]
    assert [counters(page, "sew_attempts_total", "outcome")["delivered"] for page in pages] == [300, 300, 300]
    assert sum(map(reads, three)) == 1
    assert sorted(len(counters(page, "sew_deliveries", "webhook")) for page in pages) == [0, 0, 300]
    assert sum(counters("".join(pages), "sew_events_seen_total", "webhook").values()) == 900


def stop(agent: Agent, _: TcpProxy) -> None:
    os.kill(agent.pid, signal.SIGSTOP)


def cut(_: Agent, proxy: TcpProxy) -> None:
    proxy.cut()


def kill(agent: Agent, _: TcpProxy) -> None:
    agent.kill()


def come_back(agent: Agent, proxy: TcpProxy) -> None:
    proxy.mend()
    if agent.running:
        os.kill(agent.pid, signal.SIGCONT)


@pytest.mark.parametrize("fault", [kill, stop, cut])
def test_the_others_take_over_what_an_agent_had_and_it_writes_nothing_more(
    agents: Agents, receiver: Receiver, fault: Callable[[Agent, TcpProxy], None]
) -> None:
    for number in range(12):
        agents.folder.webhook(f"w{number}", receiver.url)
    with TcpProxy(agents.server.port) as proxy:
        first = agents.start("one", port=proxy.port)
        eventually(lambda: reads(first), "the first one reads")
        others = [agents.start(name) for name in ("two", "three")]
        eventually(lambda: agents.loads() == [4, 4, 4], "each has its share")
        agents.folder.write(range(40))
        eventually(lambda: received_ids(receiver).total() >= 100, "deliveries go on")
        fault(first, proxy)
        eventually(lambda: agents.loads() == [6, 6], "the others have all", TAKEN_OVER_WITHIN)
        eventually(lambda: any(map(reads, others)), "one of them reads", TAKEN_OVER_WITHIN)
        agents.folder.write(range(40, 60))
        eventually(lambda: received_ids(receiver).keys() == all_ids(12, 60), "all arrive", 60)
        come_back(first, proxy)
        if first.running:
            eventually(lambda: first.says("store_taken_over"), "it learns of it")
            eventually(lambda: agents.loads() == [4, 4, 4], "it has a share again", 30)
        agents.folder.write(range(60, 70))
        eventually(lambda: received_ids(receiver).keys() == all_ids(12, 70), "all arrive", 60)
        assert received_ids(receiver).total() <= 12 * 70 + WORKERS


def test_agents_are_replaced_one_by_one_and_nothing_is_sent_twice(agents: Agents, receiver: Receiver) -> None:
    for number in range(10):
        agents.folder.webhook(f"w{number}", receiver.url)
    running = [agents.start(f"old-{number}") for number in range(2)]
    eventually(lambda: agents.loads() == [5, 5], "each has its share")
    for number in range(2):
        agents.folder.write(range(number * 50, number * 50 + 50))
        running.append(agents.start(f"new-{number}"))
        eventually(lambda: len(agents.loads()) == 3, "it has joined")
        asked = time.monotonic()
        assert running[number].terminate() == 0
        assert time.monotonic() - asked < TAKEN_OVER_WITHIN / 2 * slowness()
        eventually(lambda: agents.loads() == [5, 5], "all was handed over", TAKEN_OVER_WITHIN / 2)
    eventually(lambda: received_ids(receiver).keys() == all_ids(10, 100), "all arrive", 60)
    eventually(lambda: agents.sql("SELECT sum(pending) FROM webhooks") == "0", "all are counted")
    assert received_ids(receiver).total() == 1000


def patched(folder: Path, code: str) -> str:
    """Return the PYTHONPATH with which an agent runs this before all else."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    return str(folder)


def test_an_agent_goes_on_beside_one_whose_schema_has_a_step_more_and_refuses_to_start_again(
    folder: Folder, receiver: Receiver, postgresql_server: PostgreSQL
) -> None:
    step = "ALTER TABLE deliveries ADD COLUMN of_the_next_version text NOT NULL DEFAULT ''"
    code = f"from sew_agent.store.postgresql import schema\nschema.MIGRATIONS += ({step!r},)\n"
    newer = {"PYTHONPATH": patched(folder.path / "newer", code)}
    agents = Agents(folder, postgresql_server)
    for number in range(6):
        folder.webhook(f"w{number}", receiver.url)
    first = agents.start("old-0")
    eventually(lambda: first.says("started"), "it has made the tables")
    second = agents.start("old-1")
    eventually(lambda: agents.loads() == [3, 3], "each has its share")
    folder.write(range(30))
    agents.start("new-0", **newer)
    eventually(lambda: agents.loads() == [2, 2, 2], "all have their share")
    assert agents.sql("SELECT version FROM store_schema") == str(len(MIGRATIONS) + 1)
    folder.write(range(30, 60))
    eventually(lambda: received_ids(receiver).keys() == all_ids(6, 60), "all arrive")
    assert first.terminate() == 0
    again = agents.start("old-0")
    assert again.wait() == 1
    versions = f"schema {len(MIGRATIONS) + 1}, this one knows {len(MIGRATIONS)}"
    assert f"was written by a newer agent ({versions})" in again.text()
    agents.start("new-1", **newer)
    eventually(lambda: agents.loads() == [2, 2, 2], "the new one has its share")
    assert second.terminate() == 0
    folder.write(range(60, 90))
    eventually(lambda: received_ids(receiver).keys() == all_ids(6, 90), "all arrive")
    eventually(lambda: agents.sql("SELECT sum(pending) FROM webhooks") == "0", "all are counted")
    assert received_ids(receiver).total() == 6 * 90


def test_an_agent_that_cannot_reach_its_events_lets_another_one_read_and_reads_where_nobody_else_is(
    agents: Agents, receiver: Receiver
) -> None:
    for number in range(4):
        agents.folder.webhook(f"w{number}", receiver.url)
    sooner = patched(agents.folder.path / "sooner", "from sew_agent import reading_turn\nreading_turn.PATIENCE = 1.0\n")
    mounted = agents.folder.path / "mounted"
    one = agents.start("one", events=str(mounted / agents.folder.events.name), PYTHONPATH=sooner)
    eventually(lambda: one.says("source_failed"), "it reads, and has no events")
    two = agents.start("two", PYTHONPATH=sooner)
    agents.folder.write(range(10))
    eventually(lambda: received_ids(receiver).keys() == all_ids(4, 10), "all arrive")
    (passed_on,) = one.says("reading_passed_on")
    assert "another agent is to read, since this one cannot: there is no events file" in passed_on["message"]
    assert (reads(two), agents.loads()) == (True, [2, 2])
    assert one.get("/readyz")[0] == 200
    mounted.symlink_to(agents.folder.path)
    assert two.terminate() == 0
    agents.folder.write(range(10, 20))
    eventually(lambda: received_ids(receiver).keys() == all_ids(4, 20), "all arrive")
    assert received_ids(receiver).total() == 4 * 20


class Waiting:
    """A receiver that asks for a pause once, and notes when requests came."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self.times: list[float] = []

    def __call__(self, _: Incoming) -> Answer:
        self.times.append(time.monotonic())
        if len(self.times) == 1:
            return Answer(429, headers={"Retry-After": str(self._seconds)})
        return Answer(200)


def ahead(folder: Path, seconds: float) -> str:
    """Return the PYTHONPATH with which an agent finds its machine's clock set wrong."""
    return patched(folder, f"import time\nreal = time.time\ntime.time = lambda: real() + {seconds}\n")


@pytest.mark.parametrize("skew", [-600, 600])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_pause_that_a_receiver_asked_for_holds_for_the_next_owner_whatever_its_clock_shows(
    agents: Agents, number: signal.Signals, skew: int
) -> None:
    pause = 20 if number is signal.SIGKILL else 10
    waiting = Waiting(pause)
    with Receiver(waiting) as receiver:
        agents.folder.webhook("w0", receiver.url)
        clocks = {"one": ahead(agents.folder.path / "ahead", skew), "two": ahead(agents.folder.path / "behind", -skew)}
        two = [agents.start(name, PYTHONPATH=clock) for name, clock in clocks.items()]
        eventually(lambda: agents.loads() == [0, 1], "both have joined, and one has it")
        agents.folder.write(range(3))
        eventually(lambda: any(map(outcomes, two)), "the receiver has asked for a pause")
        owner, other = sorted(two, key=outcomes, reverse=True)
        assert (outcomes(owner), outcomes(other)) == ([("wait", 1)], [])
        os.kill(owner.pid, number)
        owner.wait()
        eventually(lambda: len(receiver.accepted) == 3, "all arrive", pause + 20.0)
        eventually(lambda: outcomes(other) == [("delivered", 3)], "the other one has sent them")
        assert waiting.times[1] - waiting.times[0] >= pause
        assert other.terminate() == 0


def outcomes(agent: Agent) -> list[tuple[str, float]]:
    """Return the outcomes of an agent's attempts, and how many there were."""
    return sorted(counters(agent.scrape(), "sew_attempts_total", "outcome").items())


def test_a_rate_holds_over_a_move(agents: Agents) -> None:
    times: list[float] = []

    def noted(_: Incoming) -> Answer:
        times.append(time.monotonic())
        return Answer(200)

    rate = 4.0
    with Receiver(noted) as receiver:
        agents.folder.webhook("w0", receiver.url, rate=f"{rate:g}/s")
        agents.folder.write(range(2000))
        running = agents.start("agent-0")
        for number in range(1, 4):
            before = len(times)
            eventually(lambda: len(times) > before + 3, "deliveries go on")  # noqa: B023 - in this turn alone
            following = agents.start(f"agent-{number}")
            eventually(lambda: len(agents.loads()) == 2, "it has joined")
            assert running.terminate() == 0
            running = following
        assert running.terminate() == 0
    assert len(delivered := received_ids(receiver)) == delivered.total()
    for begin in range(len(times)):
        for end in range(begin + 1, len(times)):
            assert end - begin + 1 <= rate + rate * (times[end] - times[begin]) * 1.05 + 1


@pytest.fixture
def own_server() -> Iterator[PostgreSQL]:
    with required(), postgresql(find()) as made:
        yield made


def test_several_agents_go_on_after_the_server_was_away(
    folder: Folder, receiver: Receiver, own_server: PostgreSQL
) -> None:
    agents = Agents(folder, own_server)
    identity(agents.url)
    for number in range(6):
        folder.webhook(f"w{number}", receiver.url)
    for name in ("one", "two"):
        agents.start(name)
    eventually(lambda: agents.loads() == [3, 3], "each has its share")
    folder.write(range(50))
    eventually(lambda: received_ids(receiver).total() >= 50, "deliveries go on")
    own_server.stop(signal.SIGKILL)
    own_server.start()
    folder.write(range(50, 60))
    eventually(lambda: received_ids(receiver).keys() == all_ids(6, 60), "all arrive", 60)
    assert received_ids(receiver).total() <= 360 + 2 * WORKERS
