"""A store moves from its folder into PostgreSQL whole, and once."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kubectl_sew.event import Event
from sew_agent.__main__ import main
from sew_agent.store.contract import Store
from sew_agent.store.moving import move
from sew_agent.store.postgresql.store import open_store as open_in_postgresql
from sew_agent.store.records import (
    DeliveryResult,
    DeliveryState,
    DropReason,
    EnqueueBatch,
    LoggedAttempt,
    ManualAction,
    NewDelivery,
    ReceiverState,
    StoreError,
    StoreHeldError,
    WebhookRecord,
)
from sew_agent.store.sqlite.store import open_store
from testbed.servers.postgresql import PostgreSQL
from tests.databases import own_schema

pytestmark = pytest.mark.server
NOW = 1_800_000_000.0
HOOKS = ("hook", "other")


@pytest.fixture
def url(postgresql_server: PostgreSQL) -> str:
    return own_schema(postgresql_server)


def enqueue(store: Store, *names: str) -> int:
    new = [NewDelivery(Event("index", name, {"id": name, "text": "ü\0"}), HOOKS) for name in names]
    return store.enqueue(EnqueueBatch(new, {"common": names[-1]}, NOW)).new


def logged(result: DeliveryResult) -> LoggedAttempt:
    one = result.delivery
    return LoggedAttempt(
        one.webhook, one.seq, one.delivery_id, one.event.id, one.event.index, None, "waf", 80, 1, NOW, 12,
        result.state.value, "reason", f"said ü\U0001f525 {one.seq}", 200, "https://host", 9, "",
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with something of everything."""
    with closing(open_store(tmp_path)) as store:
        store.first_used(NOW - 9)
        enqueue(store, *(f"early-{number}" for number in range(5)))
        store.drop("other", DropReason.BACKLOG_DROPPED)
        enqueue(store, *map(str, range(40)))
        states = (DeliveryState.DELIVERED, DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.PENDING)
        for webhook in HOOKS:
            due = store.due(webhook, now=NOW, limit=30)
            results = [
                DeliveryResult(
                    one, states[seq % 4], NOW + 1, 1, NOW + seq, "reason", f"detail {seq}", in_doubt=seq == 3
                )
                for seq, one in enumerate(due)
            ]
            receiver = ReceiverState(webhook, failures=2, refused=(1, 2))
            store.record_results(results, [receiver], [(webhook, 60.0)], attempts=[logged(one) for one in results])
            store.save_webhook(WebhookRecord(webhook, "Enabled", NOW, tested="x"))
        for name in ("gone", "left"):
            store.save_webhook(WebhookRecord(name, "", None, deleted_at=NOW - 10_000))
        store.forget(NOW)
        store.record_action(ManualAction(0, NOW, "ann", "purged", "hook", 3))
    return tmp_path


def content(store: Store) -> list[Any]:
    """All that a store says."""
    keys = [Event("index", str(number), {}).key for number in range(50)]
    due = [store.due(webhook, now=NOW + 100, limit=100) for webhook in HOOKS]
    said: list[Callable[[], Any]] = [
        store.counters, store.room, store.positions, store.receivers, store.webhook_records, store.pending_counts,
        store.oldest_times, store.manual_actions, store.attempts,
    ]  # fmt: skip
    return [due, list(store.dead_letters()), store.seen_by(keys), store.first_used(NOW), *(ask() for ask in said)]


def test_all_of_it_is_there_afterwards_and_goes_on_where_it_was(folder: Path, url: str) -> None:
    with closing(open_store(folder)) as store:
        before = content(store)
        assert len(store.attempts()) == 60
    assert move(folder, url)["deliveries"] == sum(map(len, before[0])) + len(before[1])
    with closing(open_in_postgresql(url, owner="agent")) as store:
        assert content(store) == before
        assert enqueue(store, "39", "new") == 2
        more = logged(DeliveryResult(store.due("hook", now=NOW + 100, limit=1)[0], DeliveryState.PENDING, NOW, 2))
        store.record_results((), [ReceiverState("hook")], attempts=[more])
        assert store.attempts("hook")[-1] == more
        assert len(store.attempts("hook")) == 31
        new = [delivery.seq for page in content(store)[0] for delivery in page if delivery.event.id == "new"]
        assert sorted(new) == [91, 92]
        store.record_action(ManualAction(0, NOW, "bob", "purged", "hook", 1))
        assert [action.number for action in store.manual_actions()] == [1, 2]
        store.save_webhook(WebhookRecord("brand-new", "Enabled", None))
        assert store.replay(None) == len(before[1])
        for webhook in (*HOOKS, "brand-new"):
            store.drop(webhook, DropReason.DELETED)
        for _ in range(2):
            store.forget(NOW)
    with psycopg.connect(url) as admin:
        assert admin.execute("SELECT count(*) FROM events").fetchall() == [(0,)]


def test_it_runs_once_and_no_agent_begins_anew_in_the_folder(folder: Path, url: str) -> None:
    move(folder, url)
    for again in (lambda: move(folder, url), lambda: open_store(folder), lambda: open_store(folder, exclusive=False)):
        with pytest.raises(StoreError, match="was moved to PostgreSQL: give its URL by SEW_STORE"):
            again()


def test_a_store_that_is_used_is_left_as_it_is(folder: Path, url: str) -> None:
    with closing(open_in_postgresql(url, owner="agent")) as store:
        enqueue(store, "theirs")
        with pytest.raises(StoreHeldError):
            move(folder, url)
    with pytest.raises(StoreError, match=r"there is a store in PostgreSQL at .* already: nothing was changed"):
        move(folder, url)
    with closing(open_in_postgresql(url, owner="agent")) as store:
        assert store.positions() == {"common": "theirs"}
    open_store(folder).close()


def test_a_move_that_fails_changes_neither_side(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("sew_agent.store.moving.last_numbers", lambda _: [("nowhere", "id", 7)])
        with pytest.raises(StoreError, match="nowhere"):
            move(folder, url)
    assert move(folder, url)["webhooks"] == 2


def test_an_agent_that_runs_in_the_folder_is_named(folder: Path, url: str) -> None:
    with closing(open_store(folder)), pytest.raises(StoreError, match="uses the state folder"):
        move(folder, url)


def test_the_command_says_what_it_moved_and_never_the_url(
    folder: Path, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, code in ((("--from", str(folder), "--to", url), 0), (("--from", str(folder)), 1)):
        monkeypatch.setattr("sys.argv", ["sew-agent", "migrate-store", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
    said = capsys.readouterr()
    assert said.out.startswith("moved: 2 webhooks, ")
    assert (
        said.err == "error: name the PostgreSQL that gets the store: --to (SEW_STORE) or --to-file (SEW_STORE_FILE)\n"
    )
