"""What each of several agents that share a store may write, and how what one had becomes another one's."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count

import psycopg
import pytest

from kubectl_sew.event import Event
from sew_agent.store.balance import READING, Owned, may_pass_reading_on, moves
from sew_agent.store.contract import Sharing
from sew_agent.store.postgresql import membership, schema
from sew_agent.store.postgresql.store import PostgresqlStore, identity, open_store
from sew_agent.store.records import (
    DeliveryResult,
    DeliveryState,
    EnqueueBatch,
    Member,
    NewDelivery,
    Ownership,
    ReceiverState,
    StoreError,
    StoreHeldError,
)
from testbed.servers.postgresql import PostgreSQL
from tests.databases import own_schema

pytestmark = pytest.mark.server
NOW = 1_800_000_000.0
WEBHOOKS = ("a", "b", "c", "d")

Join = Callable[..., PostgresqlStore]


@pytest.fixture
def url(postgresql_server: PostgreSQL) -> str:
    return own_schema(postgresql_server)


@pytest.fixture
def join(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Join]:
    """Let an agent join, which renews only when it is told to."""
    monkeypatch.setattr(membership.AgentMembership, "keep", lambda _: None)
    with ExitStack() as stack:

        def joined(name: str, **more: Callable[[], float]) -> PostgresqlStore:
            store = open_store(url, owner=name, alone=False, **more)
            stack.callback(store.close)
            return store

        yield joined


def sharing(store: PostgresqlStore) -> Sharing:
    part = store.sharing()
    assert part
    return part


def take_turn(store: PostgresqlStore) -> None:
    """Claim and release what this agent should, with nothing in flight."""
    part = sharing(store)
    planned = moves(part.me, part.shares(), part.held)
    part.release(planned.release)
    part.claim(planned.claim)


def settle(*stores: PostgresqlStore) -> None:
    for _ in range(3):
        for store in stores:
            take_turn(store)


def held(store: PostgresqlStore) -> set[str]:
    return set(sharing(store).held) - {READING}


def reader(join: Join, name: str = "one") -> PostgresqlStore:
    """An agent that reads, owns all webhooks, and has read an event for each."""
    store = join(name)
    take_turn(store)
    sharing(store).want(WEBHOOKS)
    store.enqueue(EnqueueBatch([NewDelivery(Event("", "x", {}), WEBHOOKS)], {"common": "1"}, NOW))
    take_turn(store)
    return store


def end(url: str, name: str) -> None:
    """Let an agent's row end, as after ten seconds without a word."""
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("UPDATE agents SET until = now() - interval '1 second' WHERE name = %s", (name,))


def deliver(store: PostgresqlStore, webhook: str) -> None:
    (due,) = store.due(webhook, now=NOW, limit=1)
    store.record_results([DeliveryResult(due, DeliveryState.DELIVERED, NOW, 1)], [ReceiverState(webhook)])


def test_each_has_an_even_share_and_writes_results_of_its_own_webhooks_alone(join: Join) -> None:
    one, two = reader(join), join("two")
    settle(one, two)
    assert (len(held(one)), len(held(two))) == (2, 2)
    assert held(one) | held(two) == set(WEBHOOKS)
    for store, other in ((one, two), (two, one)):
        for webhook in held(other):
            with pytest.raises(StoreError, match="does not own what it would change"):
                deliver(store, webhook)
    for store in (one, two):
        for webhook in held(store):
            deliver(store, webhook)
    assert one.pending_counts() == {}


def test_the_one_that_reads_writes_all_else(join: Join) -> None:
    one, two = reader(join), join("two")
    settle(one, two)
    with pytest.raises(StoreError, match="does not own"):
        two.enqueue(EnqueueBatch([], {"common": "2"}, NOW))
    one.enqueue(EnqueueBatch([], {"common": "2"}, NOW))
    assert two.positions() == {"common": "2"}


def test_what_an_agent_had_that_was_silent_for_too_long_is_anothers_and_it_writes_nothing_more(
    url: str, join: Join
) -> None:
    silent, after = reader(join), join("two")
    end(url, "one")
    take_turn(after)
    assert held(after) == set(WEBHOOKS)
    for write in (
        lambda: deliver(silent, "a"),
        lambda: silent.begin_attempts(silent.due("b", now=NOW, limit=1)),
        lambda: silent.enqueue(EnqueueBatch([], {"common": "3"}, NOW)),
        lambda: sharing(silent).want(()),
    ):
        with pytest.raises(StoreError, match="another agent has taken over"):
            write()
    part = sharing(silent)
    assert isinstance(part, membership.AgentMembership)
    part.renew()
    assert silent.ownership() is Ownership.LOST
    assert (after.positions(), after.pending_counts()) == ({"common": "1"}, dict.fromkeys(WEBHOOKS, 1))


def test_nobody_takes_what_one_that_is_alive_has_and_what_it_gives_up_is_anothers_at_once(join: Join) -> None:
    one, two = reader(join), join("two")
    number = sharing(one).me
    sharing(two).claim([Owned(READING, number), Owned("a", number), Owned("a", None)])
    assert not sharing(two).held
    sharing(one).release(["a", READING])
    sharing(two).claim([Owned(READING, None), Owned("a", None)])
    assert sharing(two).reads
    assert held(two) == {"a"}
    assert two.members() == [Member("one", False, ("b", "c", "d")), Member("two", True, ("a",))]


def test_an_agent_that_cannot_read_leaves_that_to_another_one_for_a_while(url: str, join: Join) -> None:
    one, two = reader(join), join("two")
    assert may_pass_reading_on(sharing(one).me, sharing(one).shares())
    sharing(one).back_off(60.0)
    sharing(one).release([READING])
    settle(one, two)
    assert (sharing(one).reads, sharing(two).reads) == (False, True)
    assert not may_pass_reading_on(sharing(two).me, sharing(two).shares()), "the other one has just failed"
    two.enqueue(EnqueueBatch([], {"common": "2"}, NOW))
    with pytest.raises(StoreError, match="does not own"):
        one.enqueue(EnqueueBatch([], {"common": "3"}, NOW))
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("UPDATE agents SET backs_off_until = now() - interval '1 second'")
    assert may_pass_reading_on(sharing(two).me, sharing(two).shares())
    sharing(one).back_off(60.0)
    two.close()
    take_turn(one)
    assert sharing(one).reads, "nobody else is there"


def test_an_agent_that_starts_again_has_at_once_what_it_had(join: Join) -> None:
    reader(join)
    again = join("one")
    take_turn(again)
    assert held(again) == set(WEBHOOKS)
    assert sharing(again).reads


def test_one_that_ends_leaves_all_at_once(join: Join) -> None:
    one, two = reader(join), join("two")
    one.close()
    take_turn(two)
    assert held(two) == set(WEBHOOKS)


def test_a_webhook_that_is_not_wanted_is_given_up_and_nobodys_until_it_is_wanted_again(join: Join) -> None:
    one = reader(join)
    sharing(one).want(["a"])
    take_turn(one)
    assert held(one) == {"a"}
    sharing(one).want(["a", "b"])
    take_turn(one)
    assert held(one) == {"a", "b"}


def test_a_transaction_of_one_that_is_paused_within_it_holds_up_nobody(url: str, join: Join) -> None:
    paused, after = reader(join), join("two")
    with psycopg.connect(url) as held_up:
        ((store,),) = held_up.execute("SELECT identity::text FROM store_schema").fetchall()
        held_up.execute(
            "SELECT set_config('application_name', %s, false)", (f"sew-agent {store} {sharing(paused).me}",)
        )
        held_up.execute("SELECT 1 FROM owned FOR KEY SHARE")
        end(url, "one")
        take_turn(after)
        assert held(after) == set(WEBHOOKS)
        with pytest.raises(psycopg.OperationalError):
            held_up.execute("SELECT 1")


def test_agents_that_are_alone_and_those_that_share_wait_for_each_other(url: str, join: Join) -> None:
    with closing(open_store(url, owner="once")), pytest.raises(StoreHeldError, match=r"another agent, once$"):
        join("one")
    store = join("one")
    with pytest.raises(StoreHeldError, match=r"another agent, one$"):
        open_store(url, owner="once")
    store.close()
    open_store(url, owner="once").close()


def test_an_agent_of_the_first_version_is_waited_for_and_writes_nothing_more(
    url: str, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        identity(url)
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("INSERT INTO leases VALUES ('agent', 7, 'older', now() + interval '1 hour')")
    with pytest.raises(StoreHeldError, match=r"another agent, older$"):
        join("one")
    with psycopg.connect(url, autocommit=True) as admin:
        assert admin.execute("SELECT token FROM leases").fetchall() == [(8,)], "its token is not its own any more"
        admin.execute("UPDATE leases SET until = now() - interval '1 second'")
    take_turn(store := join("one"))
    assert sharing(store).reads


def test_all_agents_have_the_clock_of_the_server(join: Join) -> None:
    slow = count(0.0, 0.001)
    one, two = join("one"), join("two", steady=lambda: 1e9 + next(slow))
    assert abs(one.clock() - two.clock()) < 5.0
