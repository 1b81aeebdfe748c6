"""Digests of several agents: the one that sends a storm is killed, and another one goes on where it was."""

import threading
from collections import Counter

import pytest

from sew_agent.store.postgresql.store import identity
from testbed.receivers import Answer, Incoming, Receiver
from testbed.servers.postgresql import PostgreSQL
from tests.e2e.several_agents import TAKEN_OVER_WITHIN, Agents
from tests.e2e.sew_agent import Agent, Folder
from tests.waiting import DEADLINE, eventually

pytestmark = pytest.mark.server
GROUPS = ("a", "b")


class Holding:
    """A receiver that keeps the first digest waiting until it is let go, and takes it all the same."""

    def __init__(self) -> None:
        self.held, self.let_go = threading.Event(), threading.Event()

    def __call__(self, incoming: Incoming) -> Answer:
        if len(members(incoming)) > 1 and not self.held.is_set():
            self.held.set()
            self.let_go.wait(DEADLINE)
        return Answer(200)


def members(incoming: Incoming) -> list[str]:
    """Return the ids of the events in a message."""
    body = incoming.json()
    return body["digest"]["ids"] if "digest" in body else [body["id"]]


def owns(agent: Agent) -> bool:
    return any(moved["owned"] for moved in agent.says("webhooks_moved")[-1:])


def books(agents: Agents) -> tuple[int, ...]:
    (row,) = agents.status()
    return row["seen"], row["delivered"], row["backlog"], row["deadLetters"]


def test_a_storm_goes_on_where_its_owner_was_killed_and_one_message_of_each_group_comes_twice_at_most(
    folder: Folder, postgresql_server: PostgreSQL
) -> None:
    agents, holding = Agents(folder, postgresql_server), Holding()
    identity(agents.url)  # makes the tables
    with Receiver(holding) as receiver:
        folder.webhook("hook", receiver.url, digest="2s", groupBy="host")
        two = [agents.start(name, SEW_REQUEST_TIMEOUT="20s") for name in ("one", "two")]
        eventually(lambda: agents.loads() == [0, 1], "both have joined, and one has it")
        folder.write(range(300), host="a")
        folder.write(range(300, 400), host="b")
        eventually(holding.held.is_set, "a digest is in flight")
        folder.write(range(400, 600), host="a")
        eventually(lambda: books(agents)[0] == 600, "more of its group waits", 60)
        (owner,) = filter(owns, two)
        owner.kill()
        holding.let_go.set()
        eventually(lambda: agents.loads() == [1], "the other one has it", TAKEN_OVER_WITHIN)
        folder.write(range(600, 650), host="b")
        eventually(lambda: books(agents) == (650, 650, 0, 0), "all of it is delivered, and the books balance", 60)
    by_id: dict[str, list[str]] = {}
    for incoming in receiver.accepted:
        assert by_id.setdefault(incoming.headers["webhook-id"], members(incoming)) == members(incoming)
    assert Counter(name for names in by_id.values() for name in names) == Counter(f"e{n}" for n in range(650))
    twice = [
        name for name, count in Counter(one.headers["webhook-id"] for one in receiver.accepted).items() if count > 1
    ]
    first = next(one.headers["webhook-id"] for one in receiver.accepted if len(members(one)) > 1)
    assert first in twice
    assert len({group_of(by_id[name]) for name in twice}) == len(twice) <= len(GROUPS)
    assert len(receiver.accepted) - len(by_id) == len(twice)
    assert len(by_id) < 30


def group_of(names: list[str]) -> str:
    """Return the one group of these events."""
    (group,) = {"b" if 300 <= int(name[1:]) < 400 or int(name[1:]) >= 600 else "a" for name in names}
    return group
