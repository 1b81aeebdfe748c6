"""The indices as they are now: shard statistics, settings, mapping. Asked once for all readers of a poll."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubectl_sew.elasticsearch.access import ElasticsearchError, IndexProblem
from kubectl_sew.elasticsearch.client import Index, check_search
from kubectl_sew.query import FieldSet
from sew_agent.ingest.elasticsearch.cursors import TailPosition
from sew_agent.ingest.elasticsearch.named_queries import Dsl
from sew_agent.ingest.elasticsearch.resized_indices import origin
from sew_agent.ingest.elasticsearch.shards import (
    MOST_HITS,
    START,
    IndexSettings,
    Shard,
    ShardStats,
    absent,
    read_settings,
    read_stats,
)
from sew_agent.ingest.elasticsearch.visibility import VisibleCheckpoints
from sew_agent.ingest.source import SourceProblem, SourceWarning

SETTINGS_EVERY = 10.0
"""Seconds between two reads of the settings while something is absent."""
_BAD_REQUEST = 400
TIMELESS_EVERY = 3600.0
"""Seconds between two warnings about indices whose events have no time of their own."""
FIELDS_EVERY = 30.0
"""Seconds after which the mapping is read again."""


@dataclass(slots=True)
class _Times:
    """Monotonic seconds of the last reads."""

    settings: float = float("-inf")
    fields: float = float("-inf")
    timeless: float = float("-inf")
    """Epoch seconds of the last warning about indices without own time."""


class IndexMonitor:
    """One for all readers. `clock` is monotonic, in seconds; `fields` hold until there is a mapping."""

    def __init__(self, clock: Callable[[], float], fields: FieldSet, time_field: str, most_age: float) -> None:
        self.fields = fields
        self.filters: Mapping[str, Dsl] = {}
        """Index -> the filter of the alias that names it, where it has one."""
        self.settings: Mapping[str, IndexSettings] = {}
        self.visible = VisibleCheckpoints()
        self.stats = ShardStats(float("-inf"))
        self._clock = clock
        self._time_field = time_field
        self._most_age = most_age
        self._times = _Times()
        self._aged: dict[str, bool] = {}
        self._origins: dict[str, str] = {}
        self._asked_for_origin: set[str] = set()
        self._mappings: Mapping[str, Any] = {}
        self._analysis: Mapping[str, Any] = {}
        self._mapped: Mapping[str, int] = {}
        """Shard's key -> the highest number that was given out before the mapping was read."""
        self._warned_timeless: list[str] = []
        self._absent: frozenset[str] = frozenset()
        """The keys that were absent when the settings were last read."""
        self._without_settings: frozenset[str] = frozenset()
        """Names of indices that were there in two reads of the statistics, and have no settings."""

    def update(self, index: Index, now: float) -> None:
        """Read the statistics once in each poll. `now` in seconds since the epoch. Raises ElasticsearchError."""
        if self.stats.at == now:
            return
        asked = self._clock()
        stats = read_stats(index.stats(), now)
        answered = self._clock()
        self.visible.count(stats, asked, answered)
        if stats.uuids - self.settings.keys() or self.visible.due(stats, self.settings) or self._incomplete(stats):
            self.settings = read_settings(index.settings())
            self._absent = frozenset(absent(stats, self.settings))
            self._times.settings = answered
        self._refresh_fields(index, stats, answered)
        self.visible.conclude(stats, self.settings)
        unsettled = (stats.uuids & self.stats.uuids) - self.settings.keys()
        self._without_settings = frozenset(shard.index for shard in stats.shards.values() if shard.uuid in unsettled)
        self.stats = stats

    def read_fields(self, index: Index) -> None:
        """Read filters and mappings. `fields` stays the same object while nothing changed, or without any index."""
        self.filters = index.filters()
        self._mappings, self._analysis = index.mappings()
        self._translate(index)

    def _refresh_fields(self, index: Index, stats: ShardStats, answered: float) -> None:
        """Read the mapping after the statistics: a write that they count may have brought a new field."""
        numbers = {key: shard.top for key, shard in stats.shards.items()}
        moved = {shard.index for key, shard in stats.shards.items() if self._mapped.get(key) != shard.top}
        if stats.uuids - self.stats.uuids or self._older(self._times.fields, FIELDS_EVERY):
            self.read_fields(index)
            self._times.fields = answered
        elif moved:
            self.filters = index.filters() if self.filters else {}
            self._reread_fields(index, sorted(moved))
        self._mapped = numbers

    def _reread_fields(self, index: Index, names: Sequence[str]) -> None:
        changed = {name: body for name, body in index.mappings_of(names).items() if self._mappings.get(name) != body}
        if changed:
            self._mappings = {**self._mappings, **changed}
            self._translate(index)

    def _translate(self, index: Index) -> None:
        fields = index.fields_of(self._mappings, self._analysis) if self._mappings else self.fields
        if fields != self.fields:
            self.fields = fields

    def sees(self, initial: ShardStats) -> bool:
        """Return whether all writes of those stats are visible, in every index in which any become visible."""
        there = [
            (shard, self.stats.shards.get(key)) for key, shard in initial.shards.items() if self._becomes_visible(shard)
        ]
        return all(
            self.visible.of(now)[0] >= before.checkpoint
            for before, now in there
            if now is not None and now.history == before.history
        )

    def _becomes_visible(self, shard: Shard) -> bool:
        index_settings = self.settings.get(shard.uuid)
        return index_settings is not None and index_settings.wait is not None

    @property
    def window(self) -> int:
        """Hits that a search may ask for in each index."""
        return min((index_settings.window for index_settings in self.settings.values()), default=MOST_HITS)

    def open_shards(self) -> list[tuple[str, int]]:
        """Return the index and number of every shard of the open indices, also of those that do not answer."""
        return [
            (index_settings.index, number)
            for index_settings in self.settings.values()
            if not index_settings.closed
            for number in range(index_settings.shards)
        ]

    @property
    def there(self) -> frozenset[str]:
        """The uuids of all indices, closed ones too."""
        return self.stats.uuids | self.settings.keys()

    def find_aged(self, index: Index, position: TailPosition) -> frozenset[str]:
        """Find the uuids of indices that are new to a reader and hold events above the age limit."""
        known = {key.partition("/")[0] for key in position.cursors}
        new = self.stats.uuids - known
        for uuid in new - self._aged.keys():
            self._aged[uuid] = self._has_old(index, uuid, position.at - self._most_age)
        return frozenset(uuid for uuid in new if self._aged[uuid])

    def find_origins(self, index: Index, position: TailPosition) -> Mapping[str, str]:
        """Find index -> the one that it was made of, for all that were made since this agent was started."""
        known = {key.partition("/")[0] for key in position.cursors}
        new = self.stats.uuids - known - self._asked_for_origin
        if new:
            self._origins.update(self._origins_of(new, index.recoveries(), position))
            self._asked_for_origin |= new
        return self._origins

    def _origins_of(
        self, new: Collection[str], recoveries: Mapping[str, Any], position: TailPosition
    ) -> Iterator[tuple[str, str]]:
        for uuid in new:
            shards = [shard for shard in self.stats.shards.values() if shard.uuid == uuid]
            name = shards[0].index
            source = origin(name, shards, recoveries.get(name, {}), position.cursors)
            if source:
                yield name, source

    def _has_old(self, index: Index, uuid: str, before: float) -> bool:
        """Return whether an index has events older than a moment; one that cannot be asked for times has none."""
        name = next(shard.index for shard in self.stats.shards.values() if shard.uuid == uuid)
        old = {"range": {self._time_field: {"lt": int(before * 1000), "format": "epoch_millis"}}}
        query = {"bool": {"filter": [old, *([self.filters[name]] if name in self.filters else [])]}}
        header = {"index": name, "allow_partial_search_results": False}
        (answer,) = index.search_many([(header, {"query": query, "size": 0, "track_total_hits": 1})])
        if answer.get("status") == _BAD_REQUEST:
            return False
        check_search(answer)
        return bool(answer["hits"]["total"]["value"])

    def take_timeless(self) -> list[SourceWarning]:
        """Warn once an hour of indices that hold events and do not map the field of the events' own time."""
        written = {shard.index for shard in self.stats.shards.values() if shard.top > START}
        names = sorted(name for name in written & self._mappings.keys() if not self._maps_time(name))
        if not names or (names == self._warned_timeless and self.stats.at - self._times.timeless < TIMELESS_EVERY):
            return []
        self._warned_timeless, self._times.timeless = names, self.stats.at
        message = (
            f"{_some(names)}: without the field `{self._time_field}`, so its events count as of now, whatever "
            "SEW_START and SEW_MAX_EVENT_AGE say: name the field of the events' own time (SEW_TIME_FIELD, --time-field)"
        )
        return [SourceWarning("no_time_field", message, len(names))]

    def _maps_time(self, index: str) -> bool:
        mapping = self._mappings[index].get("mappings", {})
        return self._time_field in mapping.get("runtime", {}) or _maps(mapping, self._time_field)

    def problems(self, position: TailPosition) -> Iterator[SourceProblem]:
        """Yield what a reader at this position cannot be sure to read now."""
        if not (self.stats.copies or self.settings or position.cursors):
            message = "no index is there to read from: check the index pattern, and the privileges on its indices"
            yield SourceProblem(message, IndexProblem.EMPTY)
        if self._without_settings:
            names = _some(sorted(self._without_settings))
            message = f"{names} cannot be read without gaps: the privilege `view_index_metadata` is missing"
            yield SourceProblem(message, IndexProblem.PRIVILEGE)
        yield from self._absences(position)
        frozen = sorted(
            {
                self.settings[shard.uuid].index
                for key, shard in self.stats.shards.items()
                if self._is_unrefreshed(key, position)
            }
        )
        if frozen:
            yield SourceProblem(
                f"{_some(frozen)}: refresh_interval is -1, so nobody can see new events until it is refreshed"
            )

    def _absences(self, position: TailPosition) -> Iterator[SourceProblem]:
        """Yield the absent shards that a reader knows, or all where not one can be seen."""
        seen = bool(self.stats.shards)
        missing = {
            key: name for key, name in absent(self.stats, self.settings).items() if key in position.cursors or not seen
        }
        closed = sorted(name for key, name in missing.items() if self.settings[key.partition("/")[0]].closed)
        silent = sorted(set(missing.values()) - set(closed))
        if closed:
            yield SourceProblem(f"{_some(closed)} cannot be read: closed; open it, or leave it out of the pattern")
        if silent and self.stats.copies:
            why = "without an active primary, or the privilege `monitor` is missing"
            yield SourceProblem(f"{_some(silent)} cannot be read: {why}; it goes on from where it was")
        elif silent:
            message = f"{_some(silent)} cannot be read: the privilege `monitor` is missing"
            yield SourceProblem(message, IndexProblem.PRIVILEGE)

    def _is_unrefreshed(self, key: str, position: TailPosition) -> bool:
        shard, cursor = self.stats.shards[key], position.cursors.get(key)
        index_settings = self.settings.get(shard.uuid)
        return (
            index_settings is not None
            and index_settings.refresh is None
            and cursor is not None
            and cursor.seq < shard.checkpoint
        )

    def _incomplete(self, stats: ShardStats) -> bool:
        """True when shards are absent or never refreshed: the settings, read now and then, say why and when it ends."""
        missing = frozenset(absent(stats, self.settings))
        frozen = any(index_settings.refresh is None for index_settings in self.settings.values())
        incomplete = bool(missing) or frozen or not stats.shards
        return missing != self._absent or (incomplete and self._older(self._times.settings, SETTINGS_EVERY))

    def _older(self, moment: float, seconds: float) -> bool:
        return self._clock() - moment >= seconds


def check_vanished(monitor: IndexMonitor, position: TailPosition) -> None:
    """Raise where all indices are gone at once: that is more likely a lost privilege than a deletion."""
    if (
        not monitor.stats.shards
        and not monitor.settings
        and any(not cursor.gone for cursor in position.cursors.values())
    ):
        raise ElasticsearchError(
            "none of the indices that were read is there any more: were they deleted, the index pattern changed, or "
            "the privileges `view_index_metadata` and `monitor` taken away?",
            problem=IndexProblem.EMPTY,
        )


def _maps(mapping: Mapping[str, Any], name: str) -> bool:
    """Return whether a mapping has a field, in whichever parts its name is written there."""
    properties = mapping.get("properties", {})
    heads = [name[:end] for end, letter in enumerate(name) if letter == "."]
    return name in properties or any(
        head in properties and _maps(properties[head], name[len(head) + 1 :]) for head in heads
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
