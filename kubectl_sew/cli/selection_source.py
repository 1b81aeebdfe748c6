"""The events that `why` counts, or the one that it looks for: of a file, or of an index."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kubectl_sew.cli.events import read_events
from kubectl_sew.cli.exception_options import in_force
from kubectl_sew.cli.query_argument import read_query
from kubectl_sew.cli.selection import (
    Counting,
    Question,
    ReadWindow,
    Selection,
    read,
    read_values,
    search,
    values_search,
)
from kubectl_sew.cli.survey_index import fields_of, time_path
from kubectl_sew.elasticsearch.access import ElasticsearchError
from kubectl_sew.elasticsearch.client import Index
from kubectl_sew.elasticsearch.credentials import VARIABLES, from_files
from kubectl_sew.errors import SewError
from kubectl_sew.event import Event, own_id
from kubectl_sew.event_maps.readable import EventMaps
from kubectl_sew.json_text import line
from kubectl_sew.members import members
from kubectl_sew.query import FieldSet
from kubectl_sew.query.event_values import reader, walker
from kubectl_sew.query.literals import tick_of
from kubectl_sew.query.values import SECOND
from kubectl_sew.resource.exceptions import AlertException

DAY = 86_400
"""Seconds before the start of which events are counted, too."""

Counted = tuple[Selection, Mapping[str, int]]
"""The counts, and the values of the field of the part that lets nothing pass -> in how many events."""


class EventsSource(Protocol):
    """Where the events are."""

    @property
    def place(self) -> str:
        """Name of the place, for people."""

    def question(self, query: str, exceptions: Sequence[AlertException]) -> Question:
        """Return the query and the selectors of those in force, bound to the fields that are there.

        Raises QueryError.
        """

    def count(self, question: Question, start: float | None, now: float) -> Counted:
        """Count the events since the second of `start` (epoch seconds), None: since ever. Raises SewError."""

    def find(self, identity: str) -> Sequence[Event]:
        """Return the events with this id: in several indices there may be one each. Raises SewError."""

    def time_of(self, event: Event) -> float | None:
        """Return the event's own time in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class EventsFile:
    """An NDJSON file, or `-` for standard input."""

    path: str
    fields: FieldSet
    maps: EventMaps

    @property
    def place(self) -> str:
        return "standard input" if self.path == "-" else self.path

    def question(self, query: str, exceptions: Sequence[AlertException]) -> Question:
        return Question(read_query(query, self.fields), in_force(exceptions, self.fields))

    def count(self, question: Question, start: float | None, now: float) -> Counted:
        counting = Counting(question, start)

        def take(event: Mapping[str, Any]) -> None:
            counting.add(event, self.maps.time(Event("", "", event)), now)

        read_events(self.path, take, may_be_empty=True)  # that there is no event is the answer
        selection = counting.selection()
        return selection, counting.values(selection.blocking) if selection.blocking else {}

    def find(self, identity: str) -> Sequence[Event]:
        found: list[Event] = []

        def take(document: Mapping[str, Any]) -> None:
            if own_id(dict(document)) == identity:
                found.append(Event("", identity, document))

        read_events(self.path, take, may_be_empty=True)
        return found

    def time_of(self, event: Event) -> float | None:
        return self.maps.time(event)


class EventsIndex:
    """The indices of a pattern. Each method raises ElasticsearchError, too."""

    def __init__(self, index: Index, time_field: str) -> None:
        self._index = index
        self._fields = fields_of(index)
        self._time = time_path(self._fields, time_field, index)
        self._time_field = self._fields.fields[time_field]

    @property
    def place(self) -> str:
        return f"{self._index.pattern} at {self._index.place}"

    def question(self, query: str, exceptions: Sequence[AlertException]) -> Question:
        return Question(read_query(query, self._fields), in_force(exceptions, self._fields))

    def count(self, question: Question, start: float | None, now: float) -> Counted:  # noqa: ARG002 - Elasticsearch has a clock
        begin = max(0, int(start or 0))
        window = ReadWindow(self._time, begin * 1_000, max(0, begin - DAY) * 1_000)
        selection = read(question, self._index.search(search(question, window)))
        body = values_search(selection.blocking, window) if selection.blocking else None
        return selection, self._values(body) if body else {}

    def _values(self, body: Mapping[str, Any]) -> Mapping[str, int]:
        """A field may have no list of values; the counts are the answer, and this only a help."""
        try:
            return read_values(self._index.search(body))
        except ElasticsearchError:
            return {}

    def find(self, identity: str) -> Sequence[Event]:
        return events_of(self._index, identity)

    def time_of(self, event: Event) -> float | None:
        read = reader(self._time_field)
        values = walker(self._time_field.name, self._time_field.storage.flat_from)(event.document)
        ticks = next((at for value in values if (at := read(value)) is not None), None)
        return None if ticks is None else ticks * tick_of(self._time_field) / SECOND


def events_of(index: Index, identity: str) -> Sequence[Event]:
    """Return the events of a pattern's indices with this `_id`, one of each index at most. Raises SewError."""
    hits = index.search({"size": 10, "query": {"ids": {"values": [identity]}}})["hits"]["hits"]
    return [Event(hit["_index"], hit["_id"], {**hit.get("_source", {}), "_id": hit["_id"]}) for hit in hits]


def no_event(identity: str, place: str) -> SewError:
    return SewError(
        f"there is no event {line(identity, 200)} in {place}: give its `_id`, or of a file its `id`, "
        "which receivers get as `id`"
    )


@contextmanager
def open_index(urls: str, pattern: str, time_field: str) -> Iterator[EventsIndex]:
    """Connect to an index with the credentials that the agent's variables name. Raises SewError."""
    with connected(urls, pattern) as index:
        yield EventsIndex(index, time_field)


@contextmanager
def connected(urls: str, pattern: str) -> Iterator[Index]:
    """As `open_index`, where no event's time is asked for."""
    files = {name: Path(path) for name, variable in VARIABLES.items() if (path := os.environ.get(variable))}
    index = Index(from_files(members(urls), files)(), pattern)
    try:
        yield index
    finally:
        index.close()
