"""How a server and its database are named, without what is secret."""

import psycopg
import pytest

from sew_agent.store.postgresql.errors import Place
from sew_agent.store.postgresql.store import open_store
from sew_agent.store.records import StoreError

SECRET = "h0rse-battery"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (f"postgresql://sew:{SECRET}@db.example:6432/events", "PostgreSQL at db.example:6432, database events"),
        (f"postgresql://sew:{SECRET}@a,b:5433/events", "PostgreSQL at a:5432, b:5433, database events"),
        ("postgresql://a,b/events?port=5433", "PostgreSQL at a:5433, b:5433, database events"),
        ("postgresql:///events?hostaddr=10.0.0.7", "PostgreSQL at 10.0.0.7:5432, database events"),
        ("postgresql://", "PostgreSQL at localhost:5432, database (the default one)"),
    ],
)
def test_it_is_named_by_hosts_ports_and_database(url: str, named: str) -> None:
    assert str(Place(url)) == named


def test_what_the_server_says_is_shown_in_one_line_without_the_password() -> None:
    place = Place(f"postgresql://sew:{SECRET}@db.example/events")
    said = psycopg.OperationalError(f"connection failed: no entry for  sew\n\tIs it right with {SECRET}?\n")
    assert place.words(said) == "connection failed: no entry for sew; Is it right with [secret]?"


@pytest.mark.parametrize("url", [f"postgresql://sew:{SECRET}%zz@db", f"postgresql://db?passwort={SECRET}", SECRET])
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(StoreError, match=r"^SEW_STORE cannot be read: give postgresql://USER") as refused:
        open_store(url, owner=None)
    assert SECRET not in str(refused.value)
