"""A store that starts afresh: over a real one."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from kubectl_sew.event import Event
from kubectl_sew.resource import Condition, State, Webhook, read_to
from kubectl_sew.validation import InvalidWebhook
from sew_agent.base.log import Log
from sew_agent.kubernetes.failover import Failover, mark
from sew_agent.store.records import EnqueueBatch, NewDelivery, WebhookRecord
from sew_agent.store.sqlite.store import SqliteStore, open_store
from sew_agent.webhooks.base import Snapshot
from sew_agent.webhooks.plan import FORGOTTEN

READ_TO = 1_000_000.0
CONDITION = Condition("EventsFetched", "True", "EventsRead", read_to(READ_TO))
WEBHOOKS = {
    "told": Webhook("told", "Generic", State.ENABLED, "x", conditions=(CONDITION,)),
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
    owed = [NewDelivery(event(number, time), ("told", "new", "gone", "wrong")) for number, time in enumerate(times)]
    store.enqueue(EnqueueBatch(owed, {"common": "p", "webhook:told": "q"}, READ_TO))
    for name in ("told", "gone", "wrong"):
        store.remember(WebhookRecord(name, "Enabled", READ_TO - 100))
    return store


def test_what_is_owed_is_kept_whatever_the_other_agent_told_and_dropped_for_one_that_was_deleted(state: Path) -> None:
    mark(state)
    store = filled(state)
    takeover = Failover(state, store, Log(io.StringIO(), lambda: 0.0))
    assert store.positions() == {}
    takeover.begin(SNAPSHOT)
    counters = {each.webhook: each for each in store.counters()}
    assert {counters[name].pending for name in ("told", "wrong")} == {4}
    assert (counters["gone"].pending, counters["gone"].dropped) == (0, {"deleted": 4})
    assert counters["new"].pending == 4
    assert {each.state for each in store.known().values()} == {FORGOTTEN}
    store.close()


def test_one_that_is_absent_after_an_error_has_not_been_deleted(state: Path) -> None:
    mark(state)
    store = filled(state)
    takeover = Failover(state, store, Log(io.StringIO(), lambda: 0.0))
    takeover.begin(replace(SNAPSHOT, complete=False))
    assert store.waiting()["gone"] == 4
    assert store.known()["gone"].state == FORGOTTEN
    store.close()


def test_it_happens_once_and_again_where_it_was_cut_off(state: Path) -> None:
    mark(state)
    store = filled(state)
    Failover(state, store, Log(io.StringIO(), lambda: 0.0))
    again = Failover(state, store, Log(io.StringIO(), lambda: 0.0))
    again.begin(SNAPSHOT)
    store.enqueue(EnqueueBatch([], {"common": "r"}, READ_TO))
    done = Failover(state, store, Log(io.StringIO(), lambda: 0.0))
    done.begin(SNAPSHOT)
    assert store.positions() == {"common": "r"}
    store.close()


def test_without_the_mark_nothing_changes(state: Path) -> None:
    store = filled(state)
    Failover(state, store, Log(io.StringIO(), lambda: 0.0)).begin(SNAPSHOT)
    assert len(store.positions()) == 2
    assert store.waiting() == {"told": 4, "new": 4, "gone": 4, "wrong": 4}
    store.close()
