"""What is there now: shards and how far they are, settings, the mapping. Asked once for all readers of a poll."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubectl_sew.access import ElasticsearchError, IndexProblem
from kubectl_sew.index import Index, check_search
from kubectl_sew.query import FieldSet
from kubectl_sew.query.mapping import field_set
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
from sew_agent.ingest.elasticsearch.visibility import VisibilityProofs
from sew_agent.ingest.source import SourceProblem, SourceWarning

FACTS_EVERY = 10.0
"""Seconds between two looks at the settings while something is absent."""
_BAD_REQUEST = 400
TIMELESS_EVERY = 3600.0
"""Seconds between two remarks on indices whose events have no time of their own."""
FIELDS_EVERY = 30.0
"""Seconds after which the mapping is read again."""


@dataclass(slots=True)
class _Times:
    """Monotonic seconds."""

    facts: float = float("-inf")
    fields: float = float("-inf")
    timeless: float = float("-inf")
    """In seconds since the epoch: when it was said last which indices have no own time."""


class IndexMonitor:
    """One for all readers. `clock` is monotonic, in seconds; `fields` hold until there is a mapping."""

    def __init__(self, clock: Callable[[], float], fields: FieldSet, time_field: str, most_age: float) -> None:
        self.fields = fields
        self.filters: Mapping[str, Dsl] = {}
        """Index -> what its events must match to be of the pattern, where an alias with a filter names it."""
        self.facts: Mapping[str, IndexSettings] = {}
        self.proofs = VisibilityProofs()
        self.look = ShardStats(float("-inf"))
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
        self._told_timeless: list[str] = []
        self._absent: frozenset[str] = frozenset()
        """The keys that were absent when the settings were last read."""
        self._without_settings: frozenset[str] = frozenset()
        """Names of indices that were there in two looks, and have no settings."""

    def update(self, index: Index, now: float) -> None:
        """Look, unless that was done in this poll. `now` in seconds since the epoch. Raises ElasticsearchError."""
        if self.look.at == now:
            return
        asked = self._clock()
        look = read_stats(index.stats(), now)
        answered = self._clock()
        self.proofs.count(look, asked, answered)
        if look.uuids - self.facts.keys() or self.proofs.due(look, self.facts) or self._odd(look):
            self.facts = read_settings(index.settings())
            self._absent = frozenset(absent(look, self.facts))
            self._times.facts = answered
        self._refresh_fields(index, look, answered)
        self.proofs.conclude(look, self.facts)
        unsettled = (look.uuids & self.look.uuids) - self.facts.keys()
        self._without_settings = frozenset(each.index for each in look.shards.values() if each.uuid in unsettled)
        self.look = look

    def read_fields(self, index: Index) -> None:
        """The same object stays while nothing changed; a pattern without indices has no fields of its own."""
        self.filters = index.filters()
        self._mappings, self._analysis = index.mappings()
        self._translate(index)

    def _refresh_fields(self, index: Index, look: ShardStats, answered: float) -> None:
        """A write may have brought a new field with it: whatever this look tells of is judged by a newer mapping."""
        numbers = {key: each.top for key, each in look.shards.items()}
        moved = {each.index for key, each in look.shards.items() if self._mapped.get(key) != each.top}
        if look.uuids - self.look.uuids or self._older(self._times.fields, FIELDS_EVERY):
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
        found = field_set(index.pattern, self._mappings, self._analysis) if self._mappings else self.fields
        if found != self.fields:
            self.fields = found

    def sees(self, noted: ShardStats) -> bool:
        """Whether what was in at that look can be seen, in every index in which anything ever becomes visible."""
        there = [(each, self.look.shards.get(key)) for key, each in noted.shards.items() if self._becomes_visible(each)]
        return all(
            self.proofs.of(now)[0] >= before.checkpoint
            for before, now in there
            if now is not None and now.history == before.history
        )

    def _becomes_visible(self, shard: Shard) -> bool:
        fact = self.facts.get(shard.uuid)
        return fact is not None and fact.wait is not None

    @property
    def window(self) -> int:
        """Hits that a search may ask for in each index."""
        return min((each.window for each in self.facts.values()), default=MOST_HITS)

    @property
    def there(self) -> frozenset[str]:
        """The uuids of all indices, closed ones too."""
        return self.look.uuids | self.facts.keys()

    def aged(self, index: Index, place: TailPosition) -> frozenset[str]:
        """Of indices that a reader has no cursor in: those that hold events above the age limit."""
        known = {key.partition("/")[0] for key in place.cursors}
        new = self.look.uuids - known
        for uuid in new - self._aged.keys():
            self._aged[uuid] = self._has_old(index, uuid, place.at - self._most_age)
        return frozenset(uuid for uuid in new if self._aged[uuid])

    def origins(self, index: Index, place: TailPosition) -> Mapping[str, str]:
        """The names of the indices that were made of others since this agent was started, and those of the others."""
        known = {key.partition("/")[0] for key in place.cursors}
        new = self.look.uuids - known - self._asked_for_origin
        if new:
            self._origins.update(self._find_origins(new, index.recoveries(), place))
            self._asked_for_origin |= new
        return self._origins

    def _find_origins(
        self, new: Collection[str], recoveries: Mapping[str, Any], place: TailPosition
    ) -> Iterator[tuple[str, str]]:
        for uuid in new:
            shards = [each for each in self.look.shards.values() if each.uuid == uuid]
            name = shards[0].index
            found = origin(name, shards, recoveries.get(name, {}), place.cursors)
            if found:
                yield name, found

    def _has_old(self, index: Index, uuid: str, before: float) -> bool:
        """One that cannot be asked for times has none by which its events are old."""
        name = next(shard.index for shard in self.look.shards.values() if shard.uuid == uuid)
        old = {"range": {self._time_field: {"lt": int(before * 1000), "format": "epoch_millis"}}}
        query = {"bool": {"filter": [old, *([self.filters[name]] if name in self.filters else [])]}}
        header = {"index": name, "allow_partial_search_results": False}
        (answer,) = index.search_many([(header, {"query": query, "size": 0, "track_total_hits": 1})])
        if answer.get("status") == _BAD_REQUEST:
            return False
        check_search(answer)
        return bool(answer["hits"]["total"]["value"])

    def timeless(self) -> list[SourceWarning]:
        """Say once an hour which indices hold events and do not map the field of the events' own time."""
        written = {each.index for each in self.look.shards.values() if each.top > START}
        found = sorted(name for name in written & self._mappings.keys() if not self._maps_time(name))
        if not found or (found == self._told_timeless and self.look.at - self._times.timeless < TIMELESS_EVERY):
            return []
        self._told_timeless, self._times.timeless = found, self.look.at
        said = (
            f"{_some(found)}: without the field `{self._time_field}`, so what comes is taken as of now, whatever "
            "SEW_START and SEW_MAX_EVENT_AGE say: name the field of the events' own time (SEW_TIME_FIELD, --time-field)"
        )
        return [SourceWarning("no_time_field", said, len(found))]

    def _maps_time(self, index: str) -> bool:
        mapping = self._mappings[index].get("mappings", {})
        return self._time_field in mapping.get("runtime", {}) or _maps(mapping, self._time_field)

    def problems(self, place: TailPosition) -> Iterator[SourceProblem]:
        """What a reader at `place` cannot be sure to read now."""
        if not (self.look.copies or self.facts or place.cursors):
            said = "no index is there to read from: see the index pattern, and the privileges on what it names"
            yield SourceProblem(said, IndexProblem.EMPTY)
        if self._without_settings:
            names = _some(sorted(self._without_settings))
            said = f"{names} cannot be read for certain: the privilege `view_index_metadata` is missing"
            yield SourceProblem(said, IndexProblem.PRIVILEGE)
        yield from self._absences(place)
        frozen = sorted(
            {self.facts[shard.uuid].index for key, shard in self.look.shards.items() if self._hidden(key, place)}
        )
        if frozen:
            yield SourceProblem(
                f"{_some(frozen)}: refresh_interval is -1, so nobody can see new events until it is refreshed"
            )

    def _absences(self, place: TailPosition) -> Iterator[SourceProblem]:
        """Of the shards that a reader knows, or of all where not one can be seen."""
        seen = bool(self.look.shards)
        lacking = {key: name for key, name in absent(self.look, self.facts).items() if key in place.cursors or not seen}
        closed = sorted(name for key, name in lacking.items() if self.facts[key.partition("/")[0]].closed)
        silent = sorted(set(lacking.values()) - set(closed))
        if closed:
            yield SourceProblem(f"{_some(closed)} cannot be read: closed; open it, or leave it out of the pattern")
        if silent and self.look.copies:
            why = "without an active primary, or the privilege `monitor` is missing"
            yield SourceProblem(f"{_some(silent)} cannot be read: {why}; it goes on from where it was")
        elif silent:
            said = f"{_some(silent)} cannot be read: the privilege `monitor` is missing"
            yield SourceProblem(said, IndexProblem.PRIVILEGE)

    def _hidden(self, key: str, place: TailPosition) -> bool:
        shard, cursor = self.look.shards[key], place.cursors.get(key)
        fact = self.facts.get(shard.uuid)
        return fact is not None and fact.refresh is None and cursor is not None and cursor.seq < shard.checkpoint

    def _odd(self, look: ShardStats) -> bool:
        """Something is not as it should be: the settings tell why, and, asked now and then, when it is again."""
        missing = frozenset(absent(look, self.facts))
        frozen = any(each.refresh is None for each in self.facts.values())
        odd = bool(missing) or frozen or not look.shards
        return missing != self._absent or (odd and self._older(self._times.facts, FACTS_EVERY))

    def _older(self, moment: float, seconds: float) -> bool:
        return self._clock() - moment >= seconds


def check_vanished(watch: IndexMonitor, place: TailPosition) -> None:
    """All indices gone at once is more likely a lost privilege: nothing is concluded from it."""
    if not watch.look.shards and not watch.facts and any(not each.gone for each in place.cursors.values()):
        raise ElasticsearchError(
            "none of the indices that were read is there any more: were they deleted, the index pattern changed, or "
            "the privileges `view_index_metadata` and `monitor` taken away?",
            problem=IndexProblem.EMPTY,
        )


def _maps(mapping: Mapping[str, Any], name: str) -> bool:
    """Whether a mapping has a field, in whichever parts its name is written there."""
    properties = mapping.get("properties", {})
    heads = [name[:place] for place, letter in enumerate(name) if letter == "."]
    return name in properties or any(
        head in properties and _maps(properties[head], name[len(head) + 1 :]) for head in heads
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
