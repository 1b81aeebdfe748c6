"""Stores that agents of older schemas wrote are opened with all that was in them."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sew_agent.store.contract import Store
from sew_agent.store.sqlite.files import DATABASE
from sew_agent.store.sqlite.schema import MIGRATIONS
from sew_agent.store.sqlite.store import open_store
from testbed.receivers import Receiver
from tests.e2e.receivers import received_ids
from tests.e2e.sew_agent import Folder
from tests.older_stores import (
    EVENTS,
    assert_counts_are_kept,
    assert_reading_goes_on_and_what_was_seen_is_known,
    assert_what_waits_and_what_died_is_there,
    dumps,
    schema,
)
from tests.waiting import eventually

STORES = dumps("sqlite")


def write_store(dump: Path, folder: Path) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        database.executescript(dump.read_text())


@pytest.fixture(params=STORES, ids=lambda path: path.stem)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    write_store(request.param, tmp_path)
    with closing(open_store(tmp_path)) as opened:
        yield opened


def test_there_is_a_store_of_each_schema_before_this_one() -> None:
    assert [schema(dump) for dump in STORES][: len(MIGRATIONS) - 1] == list(range(1, len(MIGRATIONS)))


def test_counts_are_kept(store: Store) -> None:
    assert_counts_are_kept(store)


def test_what_waits_and_what_died_is_there_with_its_event_and_its_attempts(store: Store) -> None:
    assert_what_waits_and_what_died_is_there(store)


def test_where_reading_stood_and_what_was_seen_is_known(store: Store) -> None:
    assert_reading_goes_on_and_what_was_seen_is_known(store)


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
