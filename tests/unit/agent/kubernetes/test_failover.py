"""A failover, over a real store."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from kubectl_sew.event import Event
from kubectl_sew.resource import Condition, State, Webhook, read_to
from kubectl_sew.validation.webhook import InvalidWebhook
from sew_agent.base.log import Log
from sew_agent.kubernetes.failover import Failover, WebhooksAfterFailover, mark
from sew_agent.store.records import EnqueueBatch, NewDelivery, WebhookRecord
from sew_agent.store.sqlite.store import SqliteStore, open_store
from sew_agent.webhooks.base import Snapshot
from sew_agent.webhooks.plan import FORGOTTEN

READ_TO = 1_000_000.0
CONDITION = Condition("EventsFetched", "True", "EventsRead", read_to(READ_TO))
WEBHOOKS = {
    "reported": Webhook("reported", "Generic", State.ENABLED, "x", conditions=(CONDITION,)),
    "new": Webhook("new", "Generic", State.ENABLED, "x"),
}
REFUSED = {
    "wrong": InvalidWebhook(
        "its type is unknown", webhook=Webhook("wrong", "x", State.ENABLED, "x", conditions=(CONDITION,))
    )
}
SNAPSHOT = Snapshot(WEBHOOKS, {}, {}, refused=REFUSED)


def event(number: int, time: float | None) -> Event:
    return Event("", str(number), {"id": number} | ({"time": time} if time is not None else {}))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path


def filled(state: Path) -> SqliteStore:
    store = open_store(state)
    times = (READ_TO - 10, READ_TO - 1, READ_TO + 1, None)
    pending = [
        NewDelivery(event(number, time), ("reported", "new", "gone", "wrong")) for number, time in enumerate(times)
    ]
    store.enqueue(EnqueueBatch(pending, {"common": "p", "webhook:reported": "q"}, READ_TO))
    for name in ("reported", "gone", "wrong"):
        store.save_webhook(WebhookRecord(name, "Enabled", READ_TO - 100))
    return store


def begun(state: Path, store: SqliteStore) -> Failover:
    failover = Failover(state, store, Log(io.StringIO(), lambda: 0.0))
    failover.begin()
    return failover


def test_pending_deliveries_are_kept_whatever_the_other_reported_and_dropped_for_a_deleted_webhook(
    state: Path,
) -> None:
    mark(state)
    store = filled(state)
    failover = begun(state, store)
    assert store.positions() == {}
    failover.complete(SNAPSHOT)
    counters = {row.webhook: row for row in store.counters()}
    assert {counters[name].pending for name in ("reported", "wrong")} == {4}
    assert (counters["gone"].pending, counters["gone"].dropped) == (0, {"deleted": 4})
    assert counters["new"].pending == 4
    assert {record.state for record in store.webhook_records().values()} == {FORGOTTEN}
    store.close()


def test_a_webhook_that_is_absent_after_an_error_was_not_deleted(state: Path) -> None:
    mark(state)
    store = filled(state)
    begun(state, store).complete(replace(SNAPSHOT, complete=False))
    assert store.pending_counts()["gone"] == 4
    assert store.webhook_records()["gone"].state == FORGOTTEN
    store.close()


def test_a_failover_happens_once_and_again_where_it_was_cut_off(state: Path) -> None:
    mark(state)
    store = filled(state)
    begun(state, store)
    begun(state, store).complete(SNAPSHOT)
    store.enqueue(EnqueueBatch([], {"common": "r"}, READ_TO))
    begun(state, store).complete(SNAPSHOT)
    assert store.positions() == {"common": "r"}
    store.close()


def test_without_the_marker_nothing_changes(state: Path) -> None:
    store = filled(state)
    begun(state, store).complete(SNAPSHOT)
    assert len(store.positions()) == 2
    assert store.pending_counts() == {"reported": 4, "new": 4, "gone": 4, "wrong": 4}
    store.close()


class SnapshotSource:
    """Gives one snapshot after the other."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self._snapshots = iter(snapshots)

    def snapshot(self) -> Snapshot:
        return next(self._snapshots)

    def close(self) -> None:
        pass


def test_the_first_webhooks_that_are_known_are_given_after_the_failover(state: Path) -> None:
    mark(state)
    store = filled(state)
    unknown = replace(SNAPSHOT, known=False)
    webhooks = WebhooksAfterFailover(SnapshotSource(unknown, SNAPSHOT), begun(state, store))
    assert webhooks.snapshot() is unknown
    assert FORGOTTEN not in {record.state for record in store.webhook_records().values()}
    assert webhooks.snapshot() is SNAPSHOT
    assert {record.state for record in store.webhook_records().values()} == {FORGOTTEN}
    store.close()
