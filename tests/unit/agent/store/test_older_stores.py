"""Stores that agents of older schemas wrote are opened with all that was in them."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kubectl_sew.event import Event
from sew_agent.store.contract import Store
from sew_agent.store.records import EnqueueBatch, NewDelivery
from sew_agent.store.sqlite.files import DATABASE
from sew_agent.store.sqlite.schema import MIGRATIONS
from sew_agent.store.sqlite.store import open_store
from testbed.receivers import Receiver
from tests.e2e.receivers import received_ids
from tests.e2e.sew_agent import Folder
from tests.waiting import eventually

STORES = sorted((Path(__file__).parents[3] / "fixtures/stores").glob("sqlite-*.sql"))
EVENTS = [
    Event(
        "",
        f"e{number}",
        {"_id": f"e{number}", "type": "waf", "severity": 90 - number, "description": f"event {number}"},
    )
    for number in range(3)
]


def write_store(dump: Path, folder: Path) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        database.executescript(dump.read_text())


@pytest.fixture(params=STORES, ids=lambda path: path.stem)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    write_store(request.param, tmp_path)
    with closing(open_store(tmp_path)) as opened:
        yield opened


def test_there_is_a_store_of_each_schema_before_this_one() -> None:
    versions = [int(path.stem.removeprefix("sqlite-")) for path in STORES]
    assert versions[: len(MIGRATIONS) - 1] == list(range(1, len(MIGRATIONS)))


def test_counts_are_kept(store: Store) -> None:
    counts = {row.webhook: (row.delivered, row.pending, row.dead) for row in store.counters()}
    assert counts == {"well": (3, 0, 0), "waits": (0, 3, 0), "dies": (2, 0, 1)}
    assert all(row.bytes_used > 0 for row in store.counters() if row.webhook != "well")


def test_what_waits_and_what_died_is_there_with_its_event_and_its_attempts(store: Store) -> None:
    due = store.due("waits", now=4e9, limit=10)
    assert sorted((delivery.event for delivery in due), key=lambda event: event.id) == EVENTS
    assert all(delivery.attempts > 0 for delivery in due)
    (letter,) = store.dead_letters()
    assert (letter.webhook, letter.event, letter.reason) == ("dies", EVENTS[0], "event_refused")
    assert store.receivers()["waits"].failures > 0
    assert store.replay([letter.number]) == 1
    assert store.pending_counts() == {"waits": 3, "dies": 1}


def test_where_reading_stood_and_what_was_seen_is_known(store: Store) -> None:
    assert store.positions()
    batch = [NewDelivery(event, ("well", "waits", "dies")) for event in EVENTS]
    assert store.enqueue(EnqueueBatch(batch, {}, store.clock())).new == 0


def test_the_oldest_store_is_delivered_by_an_agent_of_today(folder: Folder, receiver: Receiver) -> None:
    folder.state.mkdir()
    write_store(STORES[0], folder.state)
    for name in ("waits", "dies", "well"):
        folder.webhook(name, receiver.url)
    agent = folder.start()
    eventually(lambda: received_ids(receiver).total() >= 3, "what waited is sent")
    assert {json.loads(incoming.body)["description"] for incoming in receiver.accepted} == {
        event.document["description"] for event in EVENTS
    }
    assert agent.running
