"""Elasticsearch's shards: how far writes are in, and which shards should be there and are not. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

START = -1
"""The number below the first of a shard."""
LEAST_WAIT = 10.0
REFRESHES = 3
_DEFAULT_REFRESH = 1.0
MOST_HITS = 10_000
"""Elasticsearch's own limit for one search, unless an index has another."""
_UNITS = {"nanos": 1e-9, "micros": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Shard:
    """An active primary. `checkpoint`: all writes up to this number are in; `top`: the highest number given out."""

    index: str
    uuid: str
    number: int
    history: str
    checkpoint: int
    top: int
    node: str = ""
    """The node that holds it."""
    refreshes: Mapping[str, int] = field(default_factory=dict)
    """Node of each active copy -> how often new writes became visible there."""

    @property
    def key(self) -> str:
        """Key of the shard's cursor: the index's uuid, since another one may get its name, and the shard's number."""
        return f"{self.uuid}/{self.number}"


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """The settings of an index. `refresh` in seconds, None where nothing becomes visible by itself."""

    index: str
    uuid: str
    shards: int
    refresh: float | None
    closed: bool = False
    window: int = MOST_HITS
    """Hits that one search may ask for."""

    @property
    def wait(self) -> float | None:
        """Seconds without a refresh after which none is needed, as long as the copy lives; None: never."""
        return None if self.refresh is None else max(LEAST_WAIT, REFRESHES * self.refresh)


@dataclass(frozen=True, slots=True)
class ShardStats:
    """All active primaries at one moment (epoch seconds, before they were asked for), by key."""

    at: float
    shards: Mapping[str, Shard] = field(default_factory=dict)
    copies: int = 0
    """Number of copies of the shards of open indices that we may see, active or not."""
    whole: bool = True
    """No copy failed to answer."""

    @property
    def uuids(self) -> frozenset[str]:
        return frozenset(shard.uuid for shard in self.shards.values())


def read_stats(stats: Mapping[str, Any], at: float) -> ShardStats:
    """Parse `GET PATTERN/_stats/docs,refresh?level=shards`. A copy without numbers is left out."""
    shards = (shard for name, body in stats.get("indices", {}).items() for shard in _primaries(name, body))
    answers = stats.get("_shards", {})
    return ShardStats(
        at, {shard.key: shard for shard in shards}, int(answers.get("total", 0)), not answers.get("failed")
    )


def _primaries(index: str, body: Mapping[str, Any]) -> Iterator[Shard]:
    for number, copies in body.get("shards", {}).items():
        refreshes = dict(_refreshes(active) for active in copies if "node" in active.get("routing", {}))
        for copy in copies:
            history = copy.get("commit", {}).get("user_data", {}).get("history_uuid")
            numbers = copy.get("seq_no")
            if copy.get("routing", {}).get("primary") and history and numbers:
                checkpoint, top = int(numbers["global_checkpoint"]), int(numbers["max_seq_no"])
                node = copy["routing"].get("node", "")
                yield Shard(index, body["uuid"], int(number), history, checkpoint, top, node, refreshes)


def _refreshes(copy: Mapping[str, Any]) -> tuple[str, int]:
    return copy["routing"]["node"], int(copy.get("refresh", {}).get("external_total", 0))


def read_settings(settings: Mapping[str, Mapping[str, str]]) -> Mapping[str, IndexSettings]:
    """Return the uuid -> settings of each index, closed ones too; from `Index.settings`."""
    parsed = [
        IndexSettings(
            name,
            index_settings["index.uuid"],
            int(index_settings.get("index.number_of_shards", 1)),
            _refresh(index_settings),
            index_settings.get("index.verified_before_close") == "true",
            int(index_settings.get("index.max_result_window", MOST_HITS)),
        )
        for name, index_settings in settings.items()
        if "index.uuid" in index_settings
    ]
    return {index_settings.uuid: index_settings for index_settings in parsed}


def _refresh(settings: Mapping[str, str]) -> float | None:
    """Return the refresh interval in seconds. Elasticsearch keeps units in the case that they were written in."""
    text = settings.get("index.refresh_interval", "").strip().lower()
    if not text:
        return _DEFAULT_REFRESH
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text[len(number) :]
    seconds = float(number) * _UNITS.get(unit, 1e-3)
    return None if seconds < 0 else seconds


def absent(stats: ShardStats, settings: Mapping[str, IndexSettings]) -> Mapping[str, str]:
    """Return the key -> name of every missing shard: closed, or without an active primary."""
    return {
        f"{index_settings.uuid}/{number}": f"{index_settings.index}[{number}]"
        for index_settings in settings.values()
        for number in range(index_settings.shards)
        if f"{index_settings.uuid}/{number}" not in stats.shards
    }
