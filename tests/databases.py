"""A schema of PostgreSQL for each test, so that all of them share one server."""

import uuid
from collections.abc import Callable
from itertools import count
from typing import Any

import psycopg

from sew_agent.store.postgresql.store import PostgresqlStore, open_store
from testbed.servers.postgresql import PostgreSQL


def own_schema(server: PostgreSQL) -> str:
    """The URL of a new schema, which stays until the server ends."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{server.url}?options=-csearch_path%3D{name}"


def opens(server: PostgreSQL) -> Callable[..., PostgresqlStore]:
    """Return what opens the store of one test: for an agent, or with `exclusive=False` for a command beside it."""
    url = own_schema(server)

    def open_it(*, exclusive: bool = True, **settings: Any) -> PostgresqlStore:
        seconds = count(0.0)  # one between two looks at its clock, so that it always asks the server
        return open_store(url, owner="agent" if exclusive else None, steady=lambda: next(seconds), **settings)

    return open_it
