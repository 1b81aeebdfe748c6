"""The store in a real PostgreSQL: what only a server can do to it, and what it does to a server."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg
import pytest

from kubectl_sew.event import Event
from sew_agent.store.postgresql import connections, schema
from sew_agent.store.postgresql.store import PostgresqlStore
from sew_agent.store.postgresql.store import open_store as opened
from sew_agent.store.records import (
    DeliveryResult,
    DeliveryState,
    EnqueueBatch,
    NewDelivery,
    ReceiverState,
    StoreError,
    StoreHeldError,
    WebhookRecord,
)
from testbed.servers.postgresql import PostgreSQL, find, postgresql
from testbed.servers.required import required
from tests.databases import own_schema
from tests.waiting import eventually

pytestmark = pytest.mark.server
NOW = 1_800_000_000.0


@pytest.fixture
def url(postgresql_server: PostgreSQL) -> str:
    return own_schema(postgresql_server)


@pytest.fixture
def own_server() -> Iterator[PostgreSQL]:
    """A server that the test may stop."""
    with required(), postgresql(find()) as server:
        yield server


def open_store(url: str, owner: str | None = "one") -> PostgresqlStore:
    return opened(url, owner=owner)


def owe(store: PostgresqlStore, *names: str, webhooks: tuple[str, ...] = ("hook",)) -> None:
    store.enqueue(EnqueueBatch([NewDelivery(Event("", name, {}), webhooks) for name in names], {}, NOW))


def delivered(store: PostgresqlStore, webhook: str = "hook") -> None:
    due = store.due(webhook, now=NOW, limit=100)
    store.record_results([DeliveryResult(one, DeliveryState.DELIVERED, NOW, 1) for one in due], ())


def pending(store: PostgresqlStore) -> list[str]:
    return [delivery.event.id for delivery in store.due("hook", now=NOW, limit=100)]


def refused(url: str, **more: None) -> str:
    with pytest.raises(StoreError) as error:
        open_store(url, **more)
    return str(error.value)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_it_goes_on_by_itself_when_the_server_is_back(own_server: PostgreSQL, number: signal.Signals) -> None:
    with closing(open_store(own_server.url)) as store:
        owe(store, "a")
        own_server.stop(number)
        with pytest.raises(StoreError, match=rf"^the store in PostgreSQL at 127.0.0.1:{own_server.port}, database p"):
            store.counters()
        own_server.start()
        owe(store, "b")
        assert pending(store) == ["a", "b"]


def test_connections_that_the_server_ended_are_replaced_without_a_word(url: str) -> None:
    with closing(open_store(url)) as store:
        for name in ("a", "b"):
            owe(store, name)
            end_connections(url)
        assert pending(store) == ["a", "b"]


def end_connections(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sew-agent%'"
        assert admin.execute(ended).fetchall()


def test_each_new_connection_logs_in_as_the_url_says_then(own_server: PostgreSQL) -> None:
    now = [own_server.url]
    with closing(opened(own_server.url, owner="one", reread=lambda: now[0])) as store:
        owe(store, "a")
        with psycopg.connect(own_server.url, autocommit=True) as admin:
            admin.execute("CREATE ROLE renewed LOGIN SUPERUSER")
        now[0] = own_server.url.replace("//sew@", "//renewed:secret@")
        assert pending(store) == ["a"]
        end_connections(own_server.url)
        assert pending(store) == ["a"]
        with psycopg.connect(own_server.url) as admin:
            users = "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name LIKE 'sew-agent%'"
            assert admin.execute(users).fetchall() == [("renewed",)]
        now[0] = own_server.url.replace("/postgres", "/template1")
        end_connections(own_server.url)
        with pytest.raises(StoreError, match="changed in more than user, password and certificates: restart the agent"):
            pending(store)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds for an answer of the server."""
    monkeypatch.setattr(connections, "ANSWER_WITHIN", 2.0)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_hangs_is_told_within_seconds_and_used_again_when_it_goes_on(own_server: PostgreSQL) -> None:
    silent = r"the server is there, and gave no answer for 2 s$"
    with closing(open_store(f"{own_server.url}?connect_timeout=2")) as store:
        owe(store, "a")
        (delivery,) = store.due("hook", now=NOW, limit=1)
        result = DeliveryResult(delivery, DeliveryState.PENDING, NOW, 1, NOW)
        for work in (lambda: pending(store), lambda: store.record_results([result], ())):
            own_server.pause()
            with pytest.raises(StoreError, match=silent):
                work()
            with pytest.raises(StoreError, match="timeout expired"):
                store.counters()
            own_server.resume()
            assert store.counters()
        store.record_results([result], ())  # as the agent does: whether the server made the one before is unknown
        owe(store, "b")
        assert pending(store) == ["b", "a"]


@contextmanager
def without_its_standby(server: PostgreSQL) -> Iterator[None]:
    """The server commits, and does not answer, as long as a standby that must have it is missing."""
    with psycopg.connect(server.url, autocommit=True) as admin:

        def require(standby: str) -> None:
            admin.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
            admin.execute("SELECT pg_reload_conf()")
            eventually(lambda: admin.execute("SHOW synchronous_standby_names").fetchall() == [(standby,)], "it is set")

        require("missing")
        yield
        require("")


@pytest.mark.usefixtures("impatient")
def test_a_commit_that_a_standby_must_have_does_not_count_as_made_without_it(own_server: PostgreSQL) -> None:
    with closing(open_store(own_server.url)) as store:
        owe(store, "a")
        with without_its_standby(own_server):
            with pytest.raises(StoreError, match="gave no answer for 2 s"):
                owe(store, "b")
            assert pending(store) == ["a"]
        eventually(lambda: pending(store) == ["a", "b"], "it is made once nobody is missing")


@pytest.mark.usefixtures("impatient")
def test_a_commit_whose_answer_was_lost_is_made_again_and_changes_nothing(own_server: PostgreSQL) -> None:
    with closing(open_store(own_server.url)) as store:
        owe(store, "a", "b")
        first, second = store.due("hook", now=NOW, limit=2)
        failed = DeliveryResult(first, DeliveryState.PENDING, NOW, 1, NOW)
        store.record_results([failed], ())
        results = [failed._replace(at=NOW + 60, attempts=2), DeliveryResult(second, DeliveryState.DELIVERED, NOW, 1)]

        def work() -> None:
            store.record_results(results, [ReceiverState("hook")], [("hook", 20.0), ("hook", 40.0)])

        with without_its_standby(own_server), pytest.raises(StoreError):
            work()
        with psycopg.connect(own_server.url, autocommit=True) as admin:
            shifted = "SELECT shifted FROM webhooks"
            eventually(lambda: admin.execute(shifted).fetchall() == [(60.0,)], "it was made")
        store.save_webhook(WebhookRecord("hook", "Enabled", None), shift=5.0)
        work()
        (left,) = store.due("hook", now=NOW, limit=2)
        assert (left.first_attempt, left.attempts) == (NOW + 65, 2)
        (counters,) = store.counters()
        assert (counters.delivered, counters.pending) == (1, 1)
        store.record_results((), (), [("hook", 7.0)])
        assert store.due("hook", now=NOW, limit=2)[0].first_attempt == NOW + 72


def read_so_far(url: str) -> tuple[int, int]:
    """Deliveries, and pages of their indices, that all connections which have ended have read."""
    others = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    rows = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relid = 'deliveries'::regclass"
    pages = "SELECT idx_blks_hit + idx_blks_read FROM pg_statio_user_tables WHERE relid = 'deliveries'::regclass"
    with psycopg.connect(url, autocommit=True) as admin:
        eventually(lambda: not admin.execute(others).fetchall(), "the last connection counts what it has read")
        return admin.execute(rows).fetchall()[0][0], admin.execute(pages).fetchall()[0][0]


@pytest.mark.parametrize("analysed", [False, True])
def test_no_statement_of_the_hot_path_reads_through_all_that_is_pending(url: str, *, analysed: bool) -> None:
    with closing(open_store(url)) as store:
        owe(store, "a", "b")
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            "INSERT INTO deliveries (webhook, event, bytes, read_at, time, attempts, due)"
            " SELECT 1, 1, 300, 0, 0, n % 2, 5e9 FROM generate_series(1, 100000) AS n"
        )
        if analysed:
            admin.execute("ANALYZE")
    before = read_so_far(url)
    with closing(open_store(url)) as store:
        owe(store, "c", webhooks=("late",))
        for _ in range(8):  # from the sixth time on with a plan for whatever values come
            for webhook in ("late", "hook"):
                store.due(webhook, now=NOW, limit=32, skip=[1, 2], longest=1e9)
                store.next_due(webhook)
            store.oldest_times()
            store.counters()
            delivered(store, "late")
    after = read_so_far(url)
    assert 0 < after[0] - before[0] < 2_000
    assert 0 < after[1] - before[1] < 2_000


def test_two_processes_in_each_others_way_both_come_to_an_end(url: str) -> None:
    webhooks = tuple(f"hook-{number}" for number in range(6))
    with closing(open_store(url)) as one, closing(open_store(url, None)) as other, ThreadPoolExecutor(8) as pool:

        def work(store: PostgresqlStore, part: str) -> None:
            for number in range(5):
                owe(store, f"{part}-{number}", webhooks=webhooks if part < "b" else webhooks[::-1])
                for webhook in webhooks:
                    delivered(store, webhook)

        list(pool.map(work, (one, other, one, other), "abcd"))
        for webhook in webhooks:
            delivered(one, webhook)
        assert [(row.delivered, row.pending) for row in other.counters()] == [(20, 0)] * 6
        for _ in range(3):
            one.forget(NOW)
    with psycopg.connect(url) as admin:
        assert admin.execute("SELECT count(*) FROM events").fetchall() == [(0,)]


def test_texts_with_any_letter_are_kept(url: str) -> None:
    odd = Event("\0", "\ud800\0", {"text": "\0\ud800"})
    with closing(open_store(url)) as store:
        store.enqueue(EnqueueBatch([NewDelivery(odd, ("hook",))], {}, NOW))
        (delivery,) = store.due("hook", now=NOW, limit=1)
        assert delivery.event == odd
        store.record_results([DeliveryResult(delivery, DeliveryState.DEAD, NOW, 1, detail="a\0b\ud800")], ())
        assert [(letter.event, letter.detail) for letter in store.dead_letters()] == [(odd, "a�b?")]


def test_agents_that_start_at_the_same_time_make_one_schema_and_one_has_it(url: str) -> None:
    def start(owner: str) -> PostgresqlStore | str:
        try:
            return open_store(url, owner)
        except StoreHeldError as error:
            return error.holder

    with ThreadPoolExecutor(6) as pool:
        started = dict(zip("abcdef", pool.map(start, "abcdef"), strict=True))
    ((name, store),) = [(name, store) for name, store in started.items() if isinstance(store, PostgresqlStore)]
    assert {holder for holder in started.values() if holder is not store} == {name}
    store.close()
    with psycopg.connect(url) as admin:
        assert admin.execute("SELECT version FROM store_schema").fetchall() == [(len(schema.MIGRATIONS),)]


def test_an_older_schema_is_brought_up_to_date_and_keeps_what_it_has(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_store(url)) as store:
        owe(store, "a")
    more = (*schema.MIGRATIONS, "ALTER TABLE readers ADD COLUMN note text; INSERT INTO readers VALUES ('new', '7', '')")
    monkeypatch.setattr(schema, "MIGRATIONS", more)
    with closing(open_store(url)) as store:
        assert (pending(store), store.positions()) == (["a"], {"new": "7"})


def test_a_newer_schema_is_refused_and_left_as_it_is(url: str) -> None:
    open_store(url).close()
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("UPDATE store_schema SET version = 99")
    assert "was written by a newer agent (schema 99, this one knows 6)" in refused(url)


def test_a_command_finds_no_store_where_no_agent_has_been(url: str) -> None:
    assert refused(url, owner=None).endswith("no agent has used it yet")


def test_tables_of_others_are_left_alone(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE TABLE events (theirs int)")
    assert "other tables have the names of ours" in refused(url)
    with psycopg.connect(url, autocommit=True) as admin:
        assert admin.execute("SELECT to_regclass('webhooks'), count(theirs) FROM events").fetchall() == [(None, 0)]


def test_a_user_without_rights_is_told_which(url: str, postgresql_server: PostgreSQL) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE ROLE powerless LOGIN")
        ((schema_name,),) = admin.execute("SELECT current_schema()").fetchall()
        admin.execute(f"GRANT USAGE ON SCHEMA {schema_name} TO powerless")
    assert "permission denied for schema" in refused(url.replace("//sew@", "//powerless@"))


def test_a_database_that_is_missing_or_cannot_hold_every_text_is_told(postgresql_server: PostgreSQL) -> None:
    with psycopg.connect(postgresql_server.url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    base = postgresql_server.url.removesuffix("postgres")
    assert "its encoding is LATIN1: make the database with ENCODING 'UTF8'" in refused(f"{base}latin")
    assert 'database "nowhere" does not exist' in refused(f"{base}nowhere")


def test_a_server_that_only_reads_is_told_and_another_host_is_taken(postgresql_server: PostgreSQL) -> None:
    url = own_schema(postgresql_server)
    hosts = url.replace("@127.0.0.1:", "@127.0.0.1:1,127.0.0.1:")
    with closing(open_store(hosts)) as store:
        assert store.counters() == []
    assert "session is read-only" in refused(f"{url}%20-cdefault_transaction_read_only%3Don")


@pytest.mark.usefixtures("impatient")
def test_a_transaction_that_waits_for_another_one_ends_with_words(url: str) -> None:
    with closing(open_store(f"{url}")) as store, psycopg.connect(url) as other:
        owe(store, "a")
        other.execute("LOCK TABLE deliveries")
        with pytest.raises(StoreError, match="canceling statement due to lock timeout"):
            delivered(store)
