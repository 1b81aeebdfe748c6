"""Visible checkpoints: proven by what copies did, and never by time in which nobody answered."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count

import pytest

from sew_agent.ingest.elasticsearch.shards import IndexSettings, Shard, ShardStats
from sew_agent.ingest.elasticsearch.visibility import VisibleCheckpoints

SHARD = Shard("events", "uuid", 0, "history", checkpoint=10, top=12, node="one", refreshes={"one": 5, "two": 70})


class ShardHarness:
    """Checks one shard, each time a second after the last and answered at once, unless said otherwise."""

    def __init__(self, refresh: float | None = 1.0) -> None:
        self.visible = VisibleCheckpoints()
        self.settings: Mapping[str, IndexSettings] = {"uuid": IndexSettings("events", "uuid", 1, refresh)}
        self.clock = 100.0
        self.shard = SHARD
        self.due = False
        """True where the settings were to be read again after the last statistics."""

    def check(self, seconds: float = 1.0, *, enqueued: float = 0.0, whole: bool = True, **changed: object) -> int:
        """Return the number up to which writes are visible after another check."""
        self.clock += seconds
        self.shard = replace(self.shard, **changed)  # type: ignore[arg-type]  # of the test's own choice
        stats = ShardStats(self.clock, {self.shard.key: self.shard}, whole=whole)
        self.visible.count(stats, self.clock - enqueued, self.clock)
        self.due = self.visible.due(stats, self.settings)
        self.visible.conclude(stats, self.settings)
        return self.visible.of(self.shard)[0]

    def after(self, checks: int, **kinds: float) -> int:
        return [self.check(**kinds) for _ in range(checks)][-1]  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize(("refresh", "checks"), [(1.0, 10), (0.1, 10), (30.0, 90)])
def test_copies_that_live_for_three_intervals_without_a_refresh_have_nothing_to_show(
    refresh: float, checks: int
) -> None:
    """Two checks come before: the first with the checkpoint, and the one from which time counts."""
    shard = ShardHarness(refresh)
    assert shard.after(1 + checks) == -1
    assert shard.check() == 10


def test_without_an_interval_that_time_proves_nothing_and_refreshes_do() -> None:
    shard = ShardHarness(None)
    assert shard.after(1_000) == -1
    shard.check(refreshes={"one": 6, "two": 71})
    assert shard.check(refreshes={"one": 7, "two": 72}) == 10


def test_a_checkpoint_is_visible_when_every_copy_was_refreshed_twice_and_not_before_ten_seconds() -> None:
    shard = ShardHarness(3600.0)
    shard.after(2)
    assert shard.check(8.0, refreshes={"one": 9, "two": 90}) == -1
    assert shard.check() == 10


@pytest.mark.parametrize("refreshes", [{"one": 6, "two": 90}, {"one": 9, "two": 71}])
def test_one_refresh_may_have_begun_before_the_checkpoint_was_in(refreshes: Mapping[str, int]) -> None:
    shard = ShardHarness(3600.0)
    shard.after(2)
    assert shard.check(refreshes=refreshes) == -1
    assert shard.after(60) == -1


def test_refreshes_are_counted_from_statistics_that_were_asked_for_after_the_checkpoint_was_seen() -> None:
    shard = ShardHarness(3600.0)
    shard.check()
    shard.check(refreshes={"one": 9, "two": 90})
    assert shard.after(60) == -1


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        ({"seconds": 11.0, "enqueued": 11.0}, 0.0),
        ({"seconds": 2.0, "enqueued": 1.1}, 0.0),
        ({"whole": False}, 0.0),
        ({"seconds": 0.5}, 0.5),
        ({"seconds": 1.0, "enqueued": 1.0}, 1.0),
        ({"seconds": 11.0}, 2.0),
    ],
)
def test_time_in_which_a_server_may_stand_still_is_no_proof(answer: Mapping[str, float], counted: float) -> None:
    """Two seconds count at most, before an answer that is prompt and whole: ten are needed, of which six were there."""
    shard = ShardHarness()
    shard.after(8)
    assert shard.check(**answer) == -1  # type: ignore[arg-type]  # as above
    checks = next(number for number in count(1) if shard.check(0.25) == 10)
    assert checks * 0.25 == 4.0 - counted


def test_a_refresh_begins_the_quiet_time_anew() -> None:
    shard = ShardHarness()
    shard.after(10)
    shard.check(refreshes={"one": 6, "two": 70})
    assert shard.after(9) == -1
    assert shard.check() == 10


def test_a_copy_that_was_started_anew_counts_from_its_beginning() -> None:
    shard = ShardHarness(3600.0)
    shard.after(12)
    assert shard.check(refreshes={"one": 7, "two": 1}) == -1
    assert shard.check(refreshes={"one": 7, "two": 3}) == 10


def test_a_copy_that_is_gone_is_not_waited_for_and_a_new_one_is() -> None:
    shard = ShardHarness(3600.0)
    shard.after(12)
    shard.check(refreshes={"one": 7, "three": 0})
    assert shard.check(refreshes={"one": 8, "three": 1}) == -1
    assert shard.check(refreshes={"one": 8, "three": 2}) == 10


def test_a_checkpoint_of_another_history_proves_nothing() -> None:
    shard = ShardHarness()
    assert shard.after(12) == 10
    assert shard.check(history="another", checkpoint=3) == -1
    assert shard.after(10) == -1
    assert shard.check() == 3


def test_the_next_checkpoint_is_tracked_when_one_is_visible() -> None:
    shard = ShardHarness()
    shard.after(11)
    assert shard.check(checkpoint=40) == 10
    assert shard.after(10) == 10
    assert shard.check() == 40


def test_settings_are_due_only_when_a_checkpoint_becomes_visible_by_them() -> None:
    shard = ShardHarness()
    shard.after(11)
    assert (shard.due, shard.visible.of(SHARD)) == (False, (-1, 0.0))
    shard.check()
    assert (shard.due, shard.visible.of(SHARD)) == (True, (10, 101.0))
    shard.check()
    assert not shard.due


def test_of_an_unknown_shard_nothing_is_visible() -> None:
    assert VisibleCheckpoints().of(SHARD) == (-1, 0.0)
