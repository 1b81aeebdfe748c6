"""Where the store is, and who says so."""

from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from sew_agent.store.opening import StoreLimits, StorePlace, open_beside, open_for_agent, read_url
from sew_agent.store.records import StoreError
from sew_agent.store.sqlite.store import SqliteStore

URL = "postgresql://sew:h0rse@db/sew"
LIMITS = StoreLimits(known_for=60.0, max_bytes=2**30, attempts_kept=1000)


def test_the_url_is_given_or_in_a_file_without_the_line_s_end(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{URL}\n")
    assert (read_url("", None), read_url(URL, None), read_url("", file)) == ("", URL, URL)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\n", "is empty"),
        (b"\xff", "cannot be read: it is not text"),
    ],
)
def test_a_file_without_a_url_is_named_with_its_setting(tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "url"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StoreError) as refused:
        read_url("", file)
    assert str(refused.value) == f"the file {file} with the store's URL (SEW_STORE_FILE) {why}"


def test_both_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be given together"):
        read_url(URL, tmp_path)


def test_a_place_never_shows_its_url() -> None:
    pytest.importorskip("psycopg")
    place = StorePlace(Path("state"), URL)
    assert "h0rse" not in repr(place)
    assert str(place) == "PostgreSQL at db:5432, database sew"


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        (URL, ["postgresql://db:5432"]),
        ("postgresql://sew:h0rse@a,[2001:db8::1]:5433/sew", ["postgresql://a:5432", "postgresql://[2001:db8::1]:5433"]),
        ("postgresql:///sew?host=/run/postgresql", []),
        ("", []),
    ],
)
def test_its_servers_are_known_so_that_no_webhook_reaches_them(url: str, servers: list[str]) -> None:
    pytest.importorskip("psycopg")
    assert StorePlace(Path("state"), url).servers() == servers


def test_without_a_url_it_is_in_the_folder_of_one_agent(tmp_path: Path) -> None:
    place = StorePlace(tmp_path)
    assert (str(place), place.exists()) == (str(tmp_path), False)
    with ExitStack() as stack:
        assert isinstance(open_for_agent(place, stack, LIMITS, alone=False), SqliteStore)
        with pytest.raises(StoreError, match="another agent"):
            open_for_agent(place, stack, LIMITS, alone=False)
        assert place.exists()
        with closing(open_beside(place)) as beside:
            assert beside.counters() == []
    assert place.identity() == place.identity()
