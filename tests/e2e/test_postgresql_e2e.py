"""The real process with its store in PostgreSQL: the server goes away, agents end, and nothing is lost."""

import re
import signal
from collections.abc import Iterator

import pytest

from testbed.receivers import Receiver
from testbed.servers.postgresql import PostgreSQL, find, postgresql, synchronous_standby
from testbed.servers.required import required
from tests.e2e.receivers import delivery_ids, received_ids
from tests.e2e.sew_agent import Agent, Folder
from tests.waiting import eventually

pytestmark = pytest.mark.server
WORKERS = 8


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    """A server that the test may stop."""
    with required(), postgresql(find()) as made:
        yield made


def start(folder: Folder, server: PostgreSQL, name: str = "one") -> Agent:
    """Start an agent with a state folder of its own, over the same webhooks, events and database."""
    url = folder.path / "url"
    url.write_text(server.url)
    state = str(folder.path / name)
    return folder.start("--state", state, SEW_STORE_FILE=str(url), SEW_WORKERS=str(WORKERS), SEW_REQUEST_TIMEOUT="2s")


def test_a_server_that_crashes_and_comes_back_loses_nothing_and_is_told_of(
    folder: Folder, receiver: Receiver, server: PostgreSQL
) -> None:
    folder.webhook("all", receiver.url)
    agent = start(folder, server)
    crashes = 2
    for number in range(crashes):
        folder.write(range(number * 300, (number + 1) * 300))
        eventually(lambda least=number * 300 + 50: len(received_ids(receiver)) >= least, "deliveries go on")  # type: ignore[misc]
        server.stop(signal.SIGKILL)
        eventually(lambda: agent.get("/readyz")[0] == 503, "it says that it is not ready")
        assert f"store: the store in PostgreSQL at 127.0.0.1:{server.port}, database" in agent.get("/readyz")[1]
        server.start()
        eventually(lambda: agent.get("/readyz")[0] == 200, "it goes on by itself")
    eventually(lambda: received_ids(receiver).keys() == delivery_ids("all", 300 * crashes), "all arrive")
    assert received_ids(receiver).total() <= 300 * crashes + crashes * WORKERS
    assert agent.terminate() == 0
    assert server.url not in agent.text()


def test_an_agent_that_starts_while_the_server_is_away_waits_for_it_and_says_so(
    folder: Folder, receiver: Receiver, server: PostgreSQL
) -> None:
    folder.webhook("all", receiver.url)
    folder.write(range(20))
    server.stop()
    agent = start(folder, server)
    eventually(lambda: len(agent.says("store_failed")) == 1, "it says what it waits for")
    assert agent.get("/healthz")[0] == 200
    status, why = agent.get("/readyz")
    assert status == 503
    assert f"the store in PostgreSQL at 127.0.0.1:{server.port}, database postgres cannot be used" in why
    server.start()
    eventually(lambda: agent.says("store_recovered"), "it finds the server")
    eventually(lambda: received_ids(receiver).keys() == delivery_ids("all", 20), "all arrive")
    assert agent.terminate() == 0


def test_an_agent_that_waits_for_a_server_ends_when_it_is_told_to(folder: Folder, server: PostgreSQL) -> None:
    server.stop()
    agent = start(folder, server)
    eventually(lambda: agent.says("store_failed"), "it waits")
    assert agent.terminate() == 0


@pytest.mark.parametrize(
    ("user", "database", "why"),
    [
        ("nobody", "postgres", 'role "nobody" does not exist'),
        ("sew", "nowhere", 'database "nowhere" does not exist'),
        ("powerless", "postgres", "permission denied for schema public: give the agent's user the right"),
        ("locked", "postgres", 'password authentication failed for user "locked"'),
    ],
)
def test_an_agent_that_will_never_get_in_ends_with_the_cause(
    folder: Folder, server: PostgreSQL, user: str, database: str, why: str
) -> None:
    server.run_sql("CREATE ROLE powerless LOGIN; CREATE ROLE locked LOGIN PASSWORD 'right'")
    server.ask_for_passwords_of("locked")
    url = server.url.replace("//sew@", f"//{user}:wrong-one@").replace("/postgres", f"/{database}")
    agent = folder.start(SEW_STORE=url)
    assert agent.wait() == 1
    assert why in agent.text()
    assert "wrong-one" not in agent.text()


def test_a_run_to_an_end_does_not_wait_for_a_server(folder: Folder, receiver: Receiver, server: PostgreSQL) -> None:
    folder.webhook("all", receiver.url)
    server.stop()
    agent = folder.start("--once", SEW_STORE=server.url)
    assert agent.wait() == 1
    assert f"at 127.0.0.1:{server.port}" in agent.text()


def test_while_a_server_hangs_nothing_is_sent_and_it_goes_on_by_itself(
    folder: Folder, receiver: Receiver, server: PostgreSQL
) -> None:
    folder.webhook("all", receiver.url)
    agent = start(folder, server)
    folder.write(range(2000))
    eventually(lambda: len(received_ids(receiver)) >= 50, "deliveries go on")
    server.pause()
    try:
        eventually(lambda: agent.get("/readyz")[0] == 503, "it says that it is not ready")
        # what it says is of its newest try: on an open connection, or to open one
        assert re.search("gave no answer for|connection timeout expired", agent.get("/readyz")[1])
        assert agent.get("/healthz")[0] == 200
        before = received_ids(receiver).total()
        eventually(lambda: len(agent.says("store_failed")) > 1, "it tries again")
        assert received_ids(receiver).total() == before
    finally:
        server.resume()  # one that stands still cannot be stopped
    eventually(lambda: received_ids(receiver).keys() == delivery_ids("all", 2000), "all arrive")
    eventually(lambda: agent.get("/readyz")[0] == 200, "it says so")
    assert received_ids(receiver).total() <= 2000 + WORKERS
    assert agent.terminate() == 0


def replicated(primary: PostgreSQL) -> bool:
    """Return whether the server waits for its standby."""
    return primary.run_sql("SELECT sync_state FROM pg_stat_replication") == "sync"


def test_a_failover_to_a_standby_loses_nothing_and_nothing_was_sent_that_the_standby_does_not_know(
    folder: Folder, receiver: Receiver, server: PostgreSQL
) -> None:
    folder.webhook("all", receiver.url)
    with synchronous_standby(server) as standby:
        eventually(lambda: replicated(server), "the standby has what the primary has")
        url = server.url.replace(f":{server.port}", f":{server.port},127.0.0.1:{standby.port}")
        agent = folder.start(SEW_STORE=url, SEW_WORKERS=str(WORKERS))
        folder.write(range(1500))
        eventually(lambda: len(received_ids(receiver)) >= 200, "deliveries go on")
        server.stop(signal.SIGKILL)
        known = "SELECT delivered + pending FROM webhooks"
        eventually(
            lambda: received_ids(receiver).keys() <= delivery_ids("all", int(standby.run_sql(known))),
            "the standby has applied what it was sent",
        )
        assert int(standby.run_sql("SELECT delivered FROM webhooks")) < 1500
        eventually(lambda: agent.get("/readyz")[0] == 503, "nothing can be written")
        standby.run_sql("SELECT pg_promote()")
        folder.write(range(1500, 1600))
        eventually(lambda: received_ids(receiver).keys() == delivery_ids("all", 1600), "all arrive")
        assert received_ids(receiver).total() <= 1600 + WORKERS
        assert agent.terminate() == 0
        assert standby.run_sql("SELECT delivered, pending FROM webhooks") == "1600|0"


def test_the_commands_find_the_store_where_the_agent_has_it(
    folder: Folder, receiver: Receiver, server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.webhook("all", receiver.url)
    folder.write(range(20))
    agent = start(folder, server)
    eventually(lambda: len(received_ids(receiver)) == 20, "all arrive")
    assert agent.terminate() == 0
    assert sorted(path.name for path in (folder.path / "one").iterdir()) == ["identity", "lock"]
    monkeypatch.setenv("SEW_STORE", server.url)
    for command in (("status",), ("backlog", "list")):
        done = folder.command(*command)
        assert "all" in done.stdout, done.stderr
    missing = folder.command("dead-letters", "list", "--webhook", "none")
    named = f"PostgreSQL at 127.0.0.1:{server.port}, database postgres"
    assert missing.stderr == f"error: there is no webhook none in {named}; it holds: all\n"
