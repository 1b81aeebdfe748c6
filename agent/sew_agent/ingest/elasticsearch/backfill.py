"""Backfill: a window of time, read once in a point in time that is opened when all earlier writes are visible."""

from dataclasses import dataclass, replace
from uuid import uuid4

from kubectl_sew.elasticsearch.access import ElasticsearchError
from kubectl_sew.elasticsearch.client import Index
from kubectl_sew.query import FieldType
from sew_agent.ingest.elasticsearch.arrivals import ArrivalReader, ReadRequest, arrival, oldest_first
from sew_agent.ingest.elasticsearch.backfill_cursor import BackfillCursor
from sew_agent.ingest.elasticsearch.index_monitor import IndexMonitor
from sew_agent.ingest.elasticsearch.multi_search import SearchJob, SearchResult
from sew_agent.ingest.elasticsearch.new_hits import Hit, SkippedHits
from sew_agent.ingest.elasticsearch.shards import ShardStats
from sew_agent.ingest.source import Batch


@dataclass(slots=True)
class _BackfillRun:
    """`initial`: the checkpoints when it began to wait. `point`: its point in time, "" before it is open."""

    initial: ShardStats
    point: str = ""


class Backfill:
    """Reads old events, page by page. The tail has all that is written after the first read."""

    def __init__(self, reader: ArrivalReader, monitor: IndexMonitor) -> None:
        self._reader = reader
        self._monitor = monitor
        self._runs: dict[str, _BackfillRun] = {}

    def read(self, request: ReadRequest, cursor: BackfillCursor, limit: int) -> Batch:
        """Return the next page. Raises ElasticsearchError; a failed run begins again where it was.

        The point in time is searched from the next read on, by a mapping that has all its fields.
        """
        run = self._runs.get(cursor.run)
        if run is None:
            name = uuid4().hex[:8]
            self._runs[name] = _BackfillRun(self._monitor.stats)
            return _waiting(replace(cursor, run=name, after=None))
        if not self._monitor.sees(run.initial):
            return _waiting(cursor)
        if not request.queries:
            return Batch([], cursor.dump(), more=False, done=False, refused=request.refused)
        self._check_time(request)
        if not run.point:
            run.point = request.index.open_point_in_time()
            return replace(_waiting(cursor), more=True)
        return self._read_page(request, cursor, run, limit)

    def _read_page(self, request: ReadRequest, cursor: BackfillCursor, run: _BackfillRun, limit: int) -> Batch:
        job = self._job(request, cursor, run, limit)
        deferred = self._reader.multi_search.deferred([job])
        (result,), refused = self._reader.multi_search.run(request.index, [job])
        if result.failure is not None:
            self.close(request.index, cursor.run)
            raise result.failure
        run.point = result.point or run.point
        batch = self._batch(request, cursor, result, dict(request.refused) | refused)
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
        """Close one point in time, or all."""
        for name in [run] if run else list(self._runs):
            ended = self._runs.pop(name, None)
            if ended and ended.point:
                index.close_point_in_time(ended.point)

    def _job(self, request: ReadRequest, cursor: BackfillCursor, run: _BackfillRun, limit: int) -> SearchJob:
        rules = self._reader.rules
        time = {"order": "asc", "format": "epoch_millis", "numeric_type": "date", "unmapped_type": "date"}
        body = {
            "size": limit,
            "pit": request.index.in_point_in_time(run.point),
            "sort": [{rules.time_field: time}, {"_shard_doc": "asc"}],
            "_source": False,
            "track_total_hits": False,
            "docvalue_fields": rules.times(request.fields),
        }
        window = {"range": {rules.time_field: {"gte": cursor.begin, "format": "epoch_millis"}}}
        after = {"search_after": cursor.after} if cursor.after else {}
        filters = [window, *request.everywhere]
        header = {"allow_partial_search_results": False}
        return SearchJob(header, filters, request.queries, body | after, request.selectors)

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
    return replace(cursor, reached=last.order[0], after=(last.order[0], last.order[1]), done=result.end is None)
