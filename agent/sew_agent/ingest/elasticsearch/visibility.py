"""Visible checkpoints: proven by what a shard's copies have done since, and not by our clock alone. Pure.

A checkpoint says that writes are in, not that a search finds them. It is visible in a copy that was refreshed twice
after it was known (the first of the two may have begun before), or that had nothing to refresh while it lived for so
long that it should have. A server that stands still answers nothing, and that time is not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sew_agent.ingest.elasticsearch.shards import LEAST_WAIT, START, IndexSettings, Shard, ShardStats

PROMPT = 1.0
"""Seconds within which a server answers that does not stand still."""
STEP = 2.0
"""Seconds of life at most that two answers prove, however much time is between them."""
_REFRESHES = 2


@dataclass(slots=True)
class _CopyRefreshes:
    """Refreshes of one copy since the checkpoint was in it, and for how long (seconds) there was none."""

    first: int
    last: int
    quiet: float = 0.0

    def count(self, refreshes: int, lived: float) -> None:
        """A copy that was started anew counts from its beginning."""
        self.quiet = self.quiet + lived if refreshes == self.last else 0.0
        if refreshes < self.last:
            self.first = refreshes
        self.last = refreshes

    def shows(self, wait: float | None) -> bool:
        return self.last - self.first >= _REFRESHES or (wait is not None and self.quiet >= wait)


@dataclass(slots=True)
class _TrackedCheckpoint:
    history: str
    candidate: int
    observed: float
    observed_at: float
    visible: int = START
    visible_at: float = 0.0
    copies: dict[str, _CopyRefreshes] = field(default_factory=dict)
    """Copies by node, from the first statistics after the checkpoint was observed: by then all of them had it."""

    def restart(self, shard: Shard, observed: float, observed_at: float) -> None:
        """Track another checkpoint."""
        self.candidate, self.observed, self.observed_at = shard.checkpoint, observed, observed_at
        self.copies = {}

    def count(self, shard: Shard, lived: float) -> None:
        before = self.copies
        self.copies = {
            node: before.get(node) or _CopyRefreshes(number, number) for node, number in shard.refreshes.items()
        }
        for node in before.keys() & self.copies.keys():
            self.copies[node].count(shard.refreshes[node], lived)


class VisibleCheckpoints:
    """Tracks one checkpoint of each shard at a time, for at least 10 s: so often all numbers above are read again.

    Statistics are first counted, then concluded from, with settings that were just read where `due` returned true.
    """

    def __init__(self) -> None:
        self._tracked: dict[str, _TrackedCheckpoint] = {}
        self._answered = float("inf")

    def count(self, stats: ShardStats, asked: float, answered: float) -> None:
        """Count what the copies have done since the last statistics. `asked`, `answered`: monotonic seconds."""
        prompt = stats.whole and answered - asked <= PROMPT
        lived = min(max(answered - self._answered, 0.0), STEP) if prompt else 0.0
        self._answered = answered
        for key, shard in stats.shards.items():
            tracked = self._tracked.get(key)
            if tracked is None or tracked.history != shard.history:
                self._tracked[key] = _TrackedCheckpoint(shard.history, shard.checkpoint, answered, stats.at)
            else:
                tracked.count(shard, lived)
        for key in self._tracked.keys() - stats.shards.keys():
            del self._tracked[key]

    def due(self, stats: ShardStats, settings: Mapping[str, IndexSettings]) -> bool:
        """Return whether a checkpoint becomes visible now, if the refresh intervals are still what they were."""
        return any(self._becomes_visible(key, shard, settings) for key, shard in stats.shards.items())

    def conclude(self, stats: ShardStats, settings: Mapping[str, IndexSettings]) -> None:
        """Mark checkpoints as visible. `settings` were read just now where `due` returned true."""
        for key, shard in stats.shards.items():
            tracked = self._tracked[key]
            if self._becomes_visible(key, shard, settings):
                tracked.visible, tracked.visible_at = tracked.candidate, tracked.observed_at
            if tracked.candidate <= tracked.visible < shard.checkpoint:
                tracked.restart(shard, self._answered, stats.at)

    def of(self, shard: Shard) -> tuple[int, float]:
        """Return the number up to which a search now sees all writes, and the moment at which they were in."""
        tracked = self._tracked.get(shard.key)
        return (tracked.visible, tracked.visible_at) if tracked and tracked.history == shard.history else (START, 0.0)

    def _becomes_visible(self, key: str, shard: Shard, settings: Mapping[str, IndexSettings]) -> bool:
        tracked, index_settings = self._tracked[key], settings.get(shard.uuid)
        if tracked.candidate <= tracked.visible or index_settings is None or not tracked.copies:
            return False
        shown = all(copy.shows(index_settings.wait) for copy in tracked.copies.values())
        return shown and self._answered - tracked.observed >= LEAST_WAIT
