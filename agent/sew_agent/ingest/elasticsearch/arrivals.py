"""The part that the tail and the backfill share: from hits to arrivals."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kubectl_sew.elasticsearch.client import Index
from kubectl_sew.event import Event, read_time
from kubectl_sew.query import FieldSet, FieldType
from sew_agent.ingest.elasticsearch.documents import Documents
from sew_agent.ingest.elasticsearch.multi_search import MultiSearch
from sew_agent.ingest.elasticsearch.named_queries import Dsl, NamedQuery, NamedSelector
from sew_agent.ingest.elasticsearch.new_hits import AgeLimits, Hit, SeenBy, before_start, since_start, unseen
from sew_agent.ingest.source import Arrival


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """The queries and indices that one page is read for. `refused`: webhook -> why its query cannot be asked at all.

    Every event must match `everywhere` beside a webhook's query, those of an index its filter in `filters` too.
    `selectors`: those of the exceptions in force; of `broken_exceptions` the mapping cannot answer them.
    `origins`: an index that was made of another -> that one's name.
    """

    index: Index
    fields: FieldSet
    queries: Sequence[NamedQuery]
    refused: Mapping[str, str]
    everywhere: Sequence[Dsl] = ()
    filters: Mapping[str, Dsl] = field(default_factory=dict)
    selectors: Sequence[NamedSelector] = ()
    broken_exceptions: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    def with_origins(self, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits, each with the index that its event was first in."""
        return [replace(hit, origin=self.origins.get(hit.index, "")) for hit in hits] if self.origins else list(hits)

    def filters_of(self, index: str) -> list[Dsl]:
        """Return the filters of every search in one index."""
        return [*self.everywhere, *([self.filters[index]] if index in self.filters else [])]


@dataclass(frozen=True, slots=True)
class TimeRules:
    """Rules for the time of every event."""

    time_field: str
    limits: AgeLimits

    def timed(self, fields: FieldSet) -> bool:
        """Return whether hits have the events' own time; else it is read from the documents."""
        field = fields.get(self.time_field)
        return field is not None and field.type is FieldType.TIME and not field.storage.refusal

    def times(self, fields: FieldSet) -> list[Dsl]:
        """Return the doc values that a search asks for to get the events' own times."""
        return [{"field": self.time_field, "format": "epoch_millis"}] if self.timed(fields) else []


class ArrivalReader:
    """Not thread-safe. `known`: see sew_agent.ingest.elasticsearch.new_hits."""

    def __init__(self, rules: TimeRules, known: SeenBy) -> None:
        self.rules = rules
        self.multi_search = MultiSearch(rules.time_field)
        self._known = known
        self._documents = Documents()

    def new(self, hits: Sequence[Hit], refused: Collection[str]) -> list[Hit]:
        """Return the hits with the webhooks that had started, and neither have the event nor are refused."""
        own = [started for hit in _without(hits, refused) if (started := since_start(hit)).queries]
        return unseen(own, self._known)

    def early(self, hits: Sequence[Hit], refused: Collection[str]) -> list[Hit]:
        """Return the hits with the webhooks that began after the event's own time, and do not have it."""
        early = [before for hit in _without(hits, refused) if (before := before_start(hit)).queries]
        return unseen(early, self._known) if early else []

    def documents(
        self, index: Index, hits: Sequence[Hit]
    ) -> tuple[list[tuple[Hit, Mapping[str, Any]]], Mapping[int, tuple[int, ...]]]:
        """Return each hit once with its document, and job -> the first hit that is left for another page."""
        fetched = self._documents.fetch(index, hits)
        first = {hit.key: hit for hit in reversed(hits) if hit.key in fetched}
        skipped = {hit.job: hit.order for hit in reversed(hits) if hit.key not in fetched}
        return [(hit, fetched[key]) for key, hit in reversed(first.items())], skipped

    def with_time(self, hit: Hit, source: Mapping[str, Any]) -> Hit:
        """Return the hit with the own time that its document has."""
        return replace(hit, time=read_time(source.get(self.rules.time_field)))


def _without(hits: Sequence[Hit], webhooks: Collection[str]) -> Sequence[Hit]:
    if not webhooks:
        return hits
    return [
        replace(hit, queries=tuple(query for query in hit.queries if query.webhook not in webhooks)) for hit in hits
    ]


def arrival(hit: Hit, source: Mapping[str, Any]) -> Arrival:
    return Arrival(Event(hit.origin or hit.index, hit.id, source), hit.webhooks, hit.time, hit.suppressed_by)


def oldest_first(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Return the arrivals in the order of delivery: by their own time, those without time at the end."""
    return sorted(arrivals, key=lambda arrived: (arrived.time is None, arrived.time or 0.0))
