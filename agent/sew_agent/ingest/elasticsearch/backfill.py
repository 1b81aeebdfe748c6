"""Backfill: a window of time, read once in points in time that are opened when all earlier writes are visible.

There is one for all shards, or one for each.
"""

from dataclasses import dataclass, replace
from uuid import uuid4

from kubectl_sew.elasticsearch.access import ElasticsearchError
from kubectl_sew.elasticsearch.client import Index, PointInTime
from kubectl_sew.query import FieldType
from sew_agent.ingest.elasticsearch.arrivals import ArrivalReader, ReadRequest, arrival, oldest_first
from sew_agent.ingest.elasticsearch.backfill_cursor import BackfillCursor, merged
from sew_agent.ingest.elasticsearch.index_monitor import IndexMonitor
from sew_agent.ingest.elasticsearch.multi_search import SearchJob, SearchResult
from sew_agent.ingest.elasticsearch.named_queries import Dsl
from sew_agent.ingest.elasticsearch.new_hits import Hit, SkippedHits
from sew_agent.ingest.elasticsearch.shards import ShardStats
from sew_agent.ingest.source import Batch

_LEAST_PAGE = 100


@dataclass(slots=True)
class _BackfillRun:
    """`initial`: the checkpoints when it began to wait. `points`: its points in time, None before they are open."""

    initial: ShardStats
    points: list[PointInTime] | None = None


class Backfill:
    """Reads old events, page by page. The tail has all that is written after the first read."""

    def __init__(self, reader: ArrivalReader, monitor: IndexMonitor) -> None:
        self._reader = reader
        self._monitor = monitor
        self._runs: dict[str, _BackfillRun] = {}

    def read(self, request: ReadRequest, cursor: BackfillCursor, limit: int, *, left: bool = False) -> Batch:
        """Return the next page. Raises ElasticsearchError; a failed run begins again where it was.

        A window that ends is read as it can be seen now: what becomes visible later, the tail reads. `left`: not for
        what was left when a webhook was disabled, which the tail reads past.
        The points in time are searched from the next read on, by a mapping that has all their fields.
        """
        waits = left or cursor.end is None
        run = self._runs.get(cursor.run)
        if run is None:
            name = uuid4().hex[:8]
            self._runs[name] = _BackfillRun(self._monitor.stats)
            return replace(_waiting(replace(cursor, run=name, after=None)), more=not waits)
        if waits and not self._monitor.sees(run.initial):
            return _waiting(cursor)
        if not request.queries:
            return Batch([], cursor.dump(), more=False, done=False, refused=request.refused)
        self._check_time(request)
        if run.points is None:
            query = {"bool": {"filter": self._filters(request, cursor)}}
            run.points = request.index.open_points_in_time(self._monitor.open_shards(), query)
            return replace(_waiting(cursor), more=True)
        return self._read_page(request, cursor, run.points, limit)

    def _read_page(self, request: ReadRequest, cursor: BackfillCursor, points: list[PointInTime], limit: int) -> Batch:
        """Read about the same of each point in time, and keep their newest ids."""
        size = min(max(_LEAST_PAGE, limit // max(len(points), 1)), limit)
        jobs = [self._job(request, cursor, point, number, size) for number, point in enumerate(points)]
        deferred = self._reader.multi_search.deferred(jobs)
        results, refused = self._reader.multi_search.run(request.index, jobs)
        failure = next((result.failure for result in results if result.failure is not None), None)
        if failure is not None:
            self.close(request.index, cursor.run)
            raise failure
        points[:] = [replace(point, id=result.point or point.id) for point, result in zip(points, results, strict=True)]
        hits, end = merged([(result.hits, result.end is not None) for result in results], limit)
        batch = self._batch(request, cursor, SearchResult(hits, end), dict(request.refused) | refused)
        if not (batch.more or batch.refused or deferred):
            self._close_quietly(request.index, cursor.run)
        return replace(batch, deferred=deferred)

    def _check_time(self, request: ReadRequest) -> None:
        """Refuse a time field that is no date: a range on it would fail, or match other events."""
        name = self._reader.rules.time_field
        field = request.fields.get(name)
        if field is not None and field.type not in (FieldType.TIME, FieldType.ANY):
            raise ElasticsearchError(
                f"what was before cannot be read by time: `{name}` is mapped as {field.type.value}, not as a date; map "
                "it as a date, name another field by SEW_TIME_FIELD (--time-field), or start with SEW_START=now"
            )

    def close(self, index: Index, run: str = "") -> None:
        """Close the points in time of one run, or of all."""
        for name in [run] if run else list(self._runs):
            ended = self._runs.pop(name, None)
            for point in (ended and ended.points) or ():
                index.close_point_in_time(point.id)

    def _job(
        self, request: ReadRequest, cursor: BackfillCursor, point: PointInTime, number: int, size: int
    ) -> SearchJob:
        rules = self._reader.rules
        body = {
            "size": size,
            "pit": request.index.in_point_in_time(point.id),
            "sort": request.index.dialect.order(rules.time_field),
            "_source": False,
            "track_total_hits": False,
            "docvalue_fields": rules.times(request.fields),
        }
        after = {"search_after": cursor.after_in(number)} if cursor.after else {}
        filters = self._filters(request, cursor, point.index)
        header = {"allow_partial_search_results": False}
        return SearchJob(header, filters, request.queries, body | after, request.selectors)

    def _filters(self, request: ReadRequest, cursor: BackfillCursor, index: str = "") -> list[Dsl]:
        """Return the filters of every search; what is named by an alias has its filter by that, an `index` does not."""
        return [{"range": {self._reader.rules.time_field: cursor.window}}, *request.filters_of(index)]

    def _batch(
        self, request: ReadRequest, cursor: BackfillCursor, result: SearchResult, refused: dict[str, str]
    ) -> Batch:
        skipped = SkippedHits()
        arrivals = []
        documents, rest = self._reader.documents(request.index, self._reader.new(result.hits, refused))
        for hit, document in documents:
            if "_source" in document:
                arrivals.append(arrival(hit, document["_source"]))
            else:
                skipped.add("no_source" if document.get("found") else "deleted", hit)
        after = _after(cursor, _before(result, rest.get(0)))
        warnings = skipped.warnings()
        position = after.dump()
        return Batch(
            oldest_first(arrivals), position, more=not after.done, done=False, warnings=warnings, refused=refused
        )

    def _close_quietly(self, index: Index, run: str) -> None:
        """Close a point in time that was read to its end; if that fails, it expires by itself."""
        try:
            self.close(index, run)
        except ElasticsearchError:
            return


def _waiting(cursor: BackfillCursor) -> Batch:
    return Batch([], cursor.dump(), more=False, done=False)


def _before(result: SearchResult, skipped: tuple[int, ...] | None) -> SearchResult:
    """Return the result up to the first hit that is left for another page: there is always one before it."""
    if skipped is None:
        return result
    hits = [hit for hit in result.hits if hit.order < skipped]
    return replace(result, hits=hits, end=hits[-1].order)


def _after(cursor: BackfillCursor, result: SearchResult) -> BackfillCursor:
    last: Hit | None = result.hits[-1] if result.hits else None
    if last is None:
        return replace(cursor, done=result.end is None)
    return replace(cursor, reached=last.order[0], after=last.order, done=result.end is None)
