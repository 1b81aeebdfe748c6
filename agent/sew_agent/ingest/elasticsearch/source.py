"""The event source over Elasticsearch: see the package."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from kubectl_sew.elasticsearch.access import Access, ElasticsearchError
from kubectl_sew.elasticsearch.client import Index
from kubectl_sew.query import FieldSet, QueryError, bind, to_dsl
from kubectl_sew.query.ast import Comparison, Key, Literal, Operator
from kubectl_sew.query.fields import UnlistedKeys
from sew_agent.base.log import locate
from sew_agent.ingest.elasticsearch.arrivals import ArrivalReader, ReadRequest, TimeRules
from sew_agent.ingest.elasticsearch.backfill import Backfill
from sew_agent.ingest.elasticsearch.backfill_cursor import BackfillCursor, is_backfill
from sew_agent.ingest.elasticsearch.coverage import Coverage
from sew_agent.ingest.elasticsearch.cursors import TailPosition, reached
from sew_agent.ingest.elasticsearch.index_monitor import IndexMonitor
from sew_agent.ingest.elasticsearch.named_queries import Dsl, NamedQueries
from sew_agent.ingest.elasticsearch.new_hits import AgeLimits, SeenBy
from sew_agent.ingest.elasticsearch.tail import Tail
from sew_agent.ingest.source import Batch, Origin, SourceError, Subscription, Suppression

_CLUSTER = "cluster"
_UNREADABLE = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError)
"""Exceptions that an answer of another shape than Elasticsearch's own leads to."""


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """Settings of reading. `most_age` and `known_for` in seconds; `cluster`: "" for all events of the indices."""

    pattern: str
    time_field: str = "time"
    cluster: str = ""
    most_age: float = 86_400.0
    known_for: float = 86_400.0


class ElasticsearchSource:
    """An event source over an index pattern.

    `access` is called at every poll, so that changed credentials are used. `fields` hold until there is a mapping.
    """

    seekable = True

    def __init__(
        self,
        reading: IngestSettings,
        access: Callable[[], Access],
        known: SeenBy,
        fields: FieldSet,
        clock: Callable[[], float] = time.monotonic,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        """`clock` is monotonic, in seconds; `beat` is called around each request, since a poll has several.

        Raises SourceError where the pattern or the access cannot be used.
        """
        rules = TimeRules(reading.time_field, AgeLimits(reading.most_age, reading.known_for))
        reader = ArrivalReader(rules, known)
        self._pattern = reading.pattern
        self._cluster = reading.cluster
        self._read_access = access
        self._beat = beat
        with _as_source_errors():
            self._access = access()
            self._index = Index(self._access, self._pattern, beat=beat)
        self._monitor = IndexMonitor(clock, fields, reading.time_field, reading.most_age)
        self._coverage = Coverage(clock)
        self._queries = NamedQueries()
        self._following = Tail(reader, self._monitor)
        self._backfill = Backfill(reader, self._monitor)

    def read_fields(self) -> None:
        """Read the fields, where no poll does; a poll says what is wrong where they cannot be read."""
        with suppress(ElasticsearchError):
            index = self._current()
            self._monitor.read_fields(index)
            self._coverage.update(index)

    @property
    def fields(self) -> FieldSet:
        """The fields of all indices of the pattern, as last read."""
        return self._monitor.fields

    @property
    def caveats(self) -> Sequence[str]:
        """What the login may not see of the pattern."""
        return self._coverage.caveats

    def origin(self, start: float) -> Origin:
        """Return a backfill beside the tail: events that were written before the tail began are found by time."""
        return Origin(BackfillCursor(start).dump(), beside=True)

    def window(self, since: float, until: float) -> str:
        """Return the position of a backfill that ends, too."""
        return BackfillCursor(since, end=until).dump()

    def narrowed(self, position: str, since: float | None, until: float) -> str:
        return BackfillCursor.load(position).narrowed(since, until).dump() if is_backfill(position) else position

    def read(
        self,
        subscriptions: Sequence[Subscription],
        position: str | None,
        *,
        now: float,
        limit: int,
        suppressions: Sequence[Suppression] = (),
        until: str | None = None,
    ) -> Batch:
        """Return a page of each shard that moved, or of a backfill, which has an end of its own."""
        with _as_source_errors(), _readable():
            index = self._current()
            self._monitor.update(index, now)
            self._coverage.update(index)
            queries, refused = self._queries.of(subscriptions, self.fields)
            selectors, broken = self._queries.of_exceptions(suppressions, self.fields)
            everywhere, filters = self._everywhere(), self._monitor.filters
            request = ReadRequest(index, self.fields, queries, refused, everywhere, filters, selectors, broken)
            limit = min(limit, self._monitor.window)
            if position and is_backfill(position):
                return self._backfill.read(request, BackfillCursor.load(position), limit, left=until is not None)
            return self._following.read(request, position, limit, until)

    def keep(self, webhooks: Collection[str], exceptions: Collection[str]) -> None:
        self._queries.keep(webhooks, exceptions)

    def _everywhere(self) -> list[Dsl]:
        """Return the filters on every event. Without a mapping there is no event to filter."""
        if not self._cluster or self.fields.unlisted is not UnlistedKeys.ABSENT:
            return []
        try:
            return [to_dsl(bind(Comparison(Key(_CLUSTER), Operator.EQUAL, Literal(self._cluster)), self.fields))]
        except QueryError as error:
            raise ElasticsearchError(
                f"SEW_CLUSTER_NAME (--cluster-name) {self._cluster!r} cannot be queried, so nothing is read: "
                f"{error.errors[0].message}"
            ) from None

    def resume(self) -> None:
        """Do nothing: all that is kept is of the indices, and holds for every position."""

    def read_to(self, position: str | None) -> float | None:
        if position is None:
            return float("-inf")
        return (
            BackfillCursor.load(position).read_to
            if is_backfill(position)
            else TailPosition.load(position).read_to(self._monitor.stats)
        )

    def reached(self, position: str, other: str) -> bool:
        """Return whether `position` has reached `other`; a backfill has when its window is read."""
        if is_backfill(position):
            return BackfillCursor.load(position).done
        return reached(TailPosition.load(position), TailPosition.load(other))

    def close(self) -> None:
        with suppress(ElasticsearchError):  # a point in time that is not closed ends by itself
            self._backfill.close(self._index)
        self._index.close()

    def _current(self) -> Index:
        access = self._read_access()
        if access != self._access:
            self._index.close()
            self._index, self._access = Index(access, self._pattern, beat=self._beat), access
        return self._index


@contextmanager
def _as_source_errors() -> Iterator[None]:
    try:
        yield
    except ElasticsearchError as error:
        raise SourceError(str(error), error.problem) from None


@contextmanager
def _readable() -> Iterator[None]:
    """Report where parsing stopped, and nothing of the answer: that may be anything."""
    try:
        yield
    except _UNREADABLE as error:
        raise SourceError(
            f"Elasticsearch's answer cannot be read ({locate(error)}): is it Elasticsearch 8 or 9, or "
            "OpenSearch 2.19 or 3, and does no proxy change its answers?"
        ) from None
