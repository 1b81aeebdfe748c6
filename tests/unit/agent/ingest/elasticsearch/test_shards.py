"""Parsing of Elasticsearch's answers about shards."""

import pytest

from sew_agent.ingest.elasticsearch.backfill_cursor import BackfillCursor, is_backfill
from sew_agent.ingest.elasticsearch.shards import absent, read_settings, read_stats


def copy(*, primary: bool = True, checkpoint: int = 4, **more: object) -> dict[str, object]:
    return {
        "routing": {"primary": primary},
        "commit": {"user_data": {"history_uuid": "h"}},
        "seq_no": {"global_checkpoint": checkpoint, "max_seq_no": 9},
        **more,
    }


def answer(*copies: dict[str, object]) -> dict[str, object]:
    return {"indices": {"events": {"uuid": "u", "shards": {"0": list(copies)}}}}


def test_the_primary_says_how_far_a_shard_is() -> None:
    stats = read_stats(answer(copy(primary=False, checkpoint=2), copy()), at=1.0)
    (shard,) = stats.shards.values()
    assert (shard.key, shard.index, shard.checkpoint, shard.top, shard.history) == ("u/0", "events", 4, 9, "h")


def test_every_copy_says_how_often_it_was_refreshed() -> None:
    on = {name: {"primary": name == "one", "node": name} for name in ("one", "two")}
    copies = [copy(routing=on[name], refresh={"external_total": number}) for name, number in (("one", 3), ("two", 8))]
    stats = read_stats(answer(*copies), at=1.0)
    (shard,) = stats.shards.values()
    assert (shard.node, shard.refreshes) == ("one", {"one": 3, "two": 8})


@pytest.mark.parametrize(("failed", "whole"), [(0, True), (1, False)])
def test_a_copy_that_failed_to_answer_is_recorded(failed: int, whole: bool) -> None:
    assert read_stats(answer(copy()) | {"_shards": {"total": 2, "failed": failed}}, at=1.0).whole is whole


@pytest.mark.parametrize("broken", [copy(primary=False), copy(seq_no=None), copy(commit={})])
def test_a_shard_without_a_primary_that_has_numbers_is_absent(broken: dict[str, object]) -> None:
    stats = read_stats(answer(broken), at=1.0)
    settings = read_settings({"events": {"index.uuid": "u", "index.number_of_shards": "2"}})
    assert absent(stats, settings) == {"u/0": "events[0]", "u/1": "events[1]"}


@pytest.mark.parametrize(
    ("refresh", "wait"),
    [
        (None, 10.0),
        ("1s", 10.0),
        ("30s", 90.0),
        ("1m", 180.0),
        ("500ms", 10.0),
        (" 5S ", 15.0),
        ("-1", None),
        ("0s", 10.0),
    ],
)
def test_the_wait_is_three_refresh_intervals_and_at_least_ten_seconds(refresh: str | None, wait: float | None) -> None:
    settings = {"index.uuid": "u"} | ({} if refresh is None else {"index.refresh_interval": refresh})
    assert read_settings({"events": settings})["u"].wait == wait


def test_a_backfill_position_is_the_same_after_it_was_stored_and_known_as_such() -> None:
    past = BackfillCursor(1_800_000_000.7, 1_800_000_123_456, (1_800_000_123_456, 7), "run")
    assert BackfillCursor.load(past.dump()) == past
    assert is_backfill(past.dump())
    assert (past.begin, BackfillCursor(1_800_000_000.7).begin) == (1_800_000_123_456, 1_800_000_000_000)
