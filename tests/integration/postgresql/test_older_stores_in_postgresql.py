"""Stores that agents of older schemas left in PostgreSQL are opened with all that was in them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from sew_agent.store.contract import Store
from sew_agent.store.postgresql.schema import MIGRATIONS
from sew_agent.store.postgresql.store import open_store
from testbed.servers.postgresql import PostgreSQL
from tests.databases import own_schema
from tests.older_stores import (
    assert_counts_are_kept,
    assert_reading_goes_on_and_what_was_seen_is_known,
    assert_what_waits_and_what_died_is_there,
    dumps,
    schema,
)

pytestmark = pytest.mark.server
STORES = dumps("postgresql")


@pytest.fixture(params=STORES, ids=lambda path: path.stem)
def store(request: pytest.FixtureRequest, postgresql_server: PostgreSQL) -> Iterator[Store]:
    dump: Path = request.param
    url = own_schema(postgresql_server)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(dump.read_bytes())
        assert admin.execute("SELECT version FROM store_schema").fetchall() == [(schema(dump),)]
    with closing(open_store(url, owner="agent")) as opened:
        yield opened


def test_there_is_a_store_of_each_schema_before_this_one() -> None:
    assert [schema(dump) for dump in STORES][: len(MIGRATIONS) - 1] == list(range(1, len(MIGRATIONS)))


def test_all_is_kept(store: Store) -> None:
    assert_counts_are_kept(store)
    assert_reading_goes_on_and_what_was_seen_is_known(store)
    assert_what_waits_and_what_died_is_there(store)
