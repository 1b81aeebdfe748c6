"""Moves the store of a state folder into PostgreSQL: all of it, or nothing."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from sew_agent.store.opening import postgresql
from sew_agent.store.records import StoreError
from sew_agent.store.sqlite.errors import explained
from sew_agent.store.sqlite.export import last_numbers, tables
from sew_agent.store.sqlite.files import check_not_moved, has_store, lock, mark_moved
from sew_agent.store.sqlite.opening import open_database

_ANY_SIZE = 2**50


def move(folder: Path, url: str) -> Mapping[str, int]:
    """Move it, and return how many rows each table has. No agent may run on either. Raises StoreError.

    The database must hold no store that was used. The folder is marked: no agent begins there anew.
    """
    if not has_store(folder):
        raise StoreError(f"there is no store in {folder}: name the --state folder of an agent")
    with closing(lock(folder)):
        check_not_moved(folder)
        with (
            closing(open_database(folder, _ANY_SIZE, exclusive=True)) as database,
            closing(postgresql().open_store(url, owner="migrate-store")) as store,
            explained(database.path),
        ):
            copied: Mapping[str, int] = store.fill(tables(database.connection), last_numbers(database.connection))
        mark_moved(folder)
    return copied
