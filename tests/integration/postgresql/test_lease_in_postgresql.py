"""One agent at a time writes, whatever the others do that were away: paused, cut off, or slow."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from kubectl_sew.event import Event
from sew_agent.base.log import Log
from sew_agent.base.settings import from_environment
from sew_agent.reporter import Reporter
from sew_agent.status.report import read_report
from sew_agent.store.postgresql import membership
from sew_agent.store.postgresql.store import PostgresqlStore, open_store
from sew_agent.store.records import (
    DropReason,
    EnqueueBatch,
    NewDelivery,
    Ownership,
    StoreAwayError,
    StoreError,
    StoreHeldError,
    WebhookRecord,
)
from sew_agent.wiring import assemble, open_environment
from sew_agent.wiring import open_store as open_by_settings
from testbed.servers.postgresql import PostgreSQL, find, postgresql
from testbed.servers.required import required
from tests.databases import own_schema
from tests.waiting import eventually

pytestmark = pytest.mark.server
NOW = 1_800_000_000.0
ONE = EnqueueBatch([NewDelivery(Event("", "a", {}), ("hook",))], {"common": "1"}, NOW)

Start = Callable[..., PostgresqlStore]


@pytest.fixture
def url(postgresql_server: PostgreSQL) -> str:
    return own_schema(postgresql_server)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts an agent of a name on a store; it renews its lease all the time."""
    monkeypatch.setattr(membership, "RENEWED_EVERY", 0.05)
    with ExitStack() as stack:

        def started(url: str, owner: str, **more: Callable[[], float]) -> PostgresqlStore:
            store = open_store(url, owner=owner, **more)
            stack.callback(store.close)
            return store

        yield started


def let_it_end(url: str) -> None:
    """Let the lease end, as after ten seconds without a word."""
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("UPDATE agents SET until = now() - interval '1 second'")


def taken_over(url: str, start: Start) -> tuple[PostgresqlStore, PostgresqlStore]:
    """An agent that was silent for too long, and the one that came after it."""
    silent = start(url, "silent")
    silent.enqueue(ONE)
    while True:
        let_it_end(url)
        try:
            return silent, start(url, "next")
        except StoreHeldError:  # it renewed its lease in between
            continue


def write_when_connected(store: PostgresqlStore, write: Callable[[PostgresqlStore], object]) -> None:
    """Write as an agent does, once more where its connection was ended: the next agent ends those of a silent one."""
    while True:
        try:
            write(store)
        except StoreAwayError:
            continue
        return


def test_another_agent_is_told_whose_it_is_and_gets_it_at_once_when_that_one_ends(url: str, start: Start) -> None:
    first = start(url, "first")
    with pytest.raises(StoreHeldError, match=r"is used by another agent, first$") as refused:
        start(url, "second")
    assert refused.value.holder == "first"
    first.close()
    assert start(url, "second").ownership() is Ownership.HELD


def test_an_agent_that_starts_again_has_its_own_lease_at_once(url: str, start: Start) -> None:
    start(url, "killed")
    assert start(url, "killed").ownership() is Ownership.HELD


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.enqueue(EnqueueBatch([], {"common": "2"}, NOW)),
        lambda store: store.record_results([], [], [("hook", 1.0)]),
        lambda store: store.begin_attempts(store.due("hook", now=NOW, limit=1)),
        lambda store: store.save_webhook(WebhookRecord("hook", "Enabled", None)),
        lambda store: store.drop("hook", DropReason.DELETED),
        lambda store: store.drop_readers(["common"]),
        lambda store: store.first_used(NOW),
        lambda store: store.forget(NOW),
        lambda store: store.expire(NOW),
    ],
)
def test_an_agent_that_was_silent_for_too_long_writes_nothing_more(
    url: str, start: Start, write: Callable[[PostgresqlStore], object]
) -> None:
    silent, after = taken_over(url, start)
    with pytest.raises(StoreError, match=r"^another agent has taken over the store in PostgreSQL at"):
        write_when_connected(silent, write)
    eventually(lambda: silent.ownership() is Ownership.LOST, "it learns that another agent has taken over")
    assert (after.positions(), after.pending_counts(), after.webhook_records()) == ({"common": "1"}, {"hook": 1}, {})


def test_an_agent_that_ends_late_takes_nothing_from_the_one_after_it(url: str, start: Start) -> None:
    silent, after = taken_over(url, start)
    silent.close()
    after.enqueue(EnqueueBatch([], {"common": "3"}, NOW))
    assert after.ownership() is Ownership.HELD


def test_a_change_that_has_begun_ends_before_another_agent_takes_over(url: str, start: Start) -> None:
    start(url, "first").close()
    with psycopg.connect(url) as slow, psycopg.connect(url, autocommit=True) as admin:
        slow.execute("INSERT INTO agents (name, until, alone) VALUES ('first', now() - interval '1 second', true)")
        slow.commit()
        slow.execute("SELECT 1 FROM agents FOR KEY SHARE")
        begun = threading.Thread(target=start, args=(url, "second"))
        begun.start()
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        eventually(lambda: admin.execute(waiting).fetchall(), "the other agent waits for the change")
        slow.commit()
        begun.join()
        assert admin.execute("SELECT name FROM agents").fetchall() == [("second",)]


def test_nothing_may_be_sent_while_the_server_is_away_for_longer_than_the_lease(start: Start) -> None:
    now = [0.0]
    with required(), postgresql(find()) as server:
        store = start(server.url, "agent", steady=lambda: now[0])
        server.stop()
        now[0] += membership.LASTS - 0.1
        assert store.ownership() is Ownership.HELD
        now[0] += 0.1
        assert store.ownership() is Ownership.UNSURE
        server.start()
        eventually(lambda: store.ownership() is Ownership.HELD, "nobody has taken over, so it goes on")
        store.enqueue(ONE)
        store.close()


def test_a_renewal_that_hangs_is_late(url: str, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    now, hangs, end = [0.0], threading.Event(), threading.Event()

    def hang(_: membership.AgentMembership) -> None:
        hangs.set()
        end.wait(60.0)

    monkeypatch.setattr(membership.AgentMembership, "renew", hang)
    heartbeat = start(url, "agent", steady=lambda: now[0]).heartbeats()["store-lease"]
    assert hangs.wait(60.0)
    now[0] += 120.0
    assert heartbeat.late == ""
    now[0] += 1.0
    assert heartbeat.late == "no progress for 121 s"
    end.set()
    eventually(lambda: not heartbeat.late, "it goes on")


def test_a_mistake_in_the_thread_that_renews_is_told_by_health_and_status(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: membership.AgentMembership) -> None:
        int("secret")

    monkeypatch.setattr(membership, "RENEWED_EVERY", 0.05)
    monkeypatch.setattr(membership.AgentMembership, "renew", fail)
    (tmp_path / "webhooks").mkdir()
    (tmp_path / "events").touch()
    flags = {name: str(tmp_path / name) for name in ("state", "webhooks", "events")}
    settings, _ = from_environment({}, flags | {"store": url, "listen": "off"})
    log = Log(io.StringIO(), lambda: NOW)
    with ExitStack() as stack:
        environment = open_environment(settings, log, stack)
        runtime = assemble(settings, environment, open_by_settings(settings, stack), log, stack)
        stack.callback(runtime.dispatcher.stop, 0.0)
        eventually(runtime.health.stalled, "the thread has ended")
        problem = runtime.health.stalled()["store-lease"]
        Reporter(runtime).update(NOW, 0.0, "")
        report = read_report(tmp_path / "state", NOW)
        assert report
        assert report.problems == (f"store-lease: {problem}",)
    assert problem.startswith("ended by a mistake of this program, please report it: ValueError at test_lease")
