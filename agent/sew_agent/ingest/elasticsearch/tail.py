"""The tail: new writes, shard by shard."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sew_agent.ingest.elasticsearch.arrivals import ArrivalReader, ReadRequest, arrival, oldest_first
from sew_agent.ingest.elasticsearch.cursors import Cursor, Search, TailPosition, begin, catch_up, moved, searches, up_to
from sew_agent.ingest.elasticsearch.index_monitor import IndexMonitor, check_vanished
from sew_agent.ingest.elasticsearch.multi_search import SearchJob, SearchResult
from sew_agent.ingest.elasticsearch.new_hits import TEXTS, Hit, SkippedHits, since_start, skip_reason
from sew_agent.ingest.elasticsearch.prefilter import prefilter
from sew_agent.ingest.elasticsearch.shards import START, ShardStats
from sew_agent.ingest.source import Arrival, Batch, SourceProblem, SourceWarning

_LEAST_PAGE = 100
_GONE_INDEX = 404


class Tail:
    """Reads a page of every shard that moved."""

    def __init__(self, reader: ArrivalReader, monitor: IndexMonitor) -> None:
        self._reader = reader
        self._monitor = monitor
        self._initial: ShardStats | None = None

    def read(self, request: ReadRequest, position: str | None, limit: int, until: str | None) -> Batch:
        """Return about `limit` hits, fewer of each shard where many have moved. Raises ElasticsearchError."""
        monitor = self._monitor
        start = TailPosition.load(position) if position else begin(monitor.stats)
        self._initial = self._initial or monitor.stats
        check_vanished(monitor, start)
        request = replace(request, origins=monitor.find_origins(request.index, start))
        caught_up = catch_up(start, monitor.stats, monitor.there, monitor.find_aged(request.index, start))
        page = _Page(self._reader, request, caught_up.position)
        wanted = searches(caught_up.position, monitor.stats, monitor.visible)
        page.read(list(up_to(TailPosition.load(until), wanted) if until else wanted), limit)
        after = TailPosition(caught_up.position.at, page.cursors)
        return Batch(
            page.arrivals,
            after.dump(),
            more=page.cut,
            done=not page.cut and not page.failures and _has_read(after, self._initial),
            warnings=[*caught_up.warnings, *page.warnings(), *monitor.take_timeless()],
            problems=[*monitor.problems(after), *page.failures],
            refused=page.refused,
            broken_exceptions=page.broken_exceptions(),
            deferred=page.deferred,
            failed=page.failed,
            scanned=page.scanned,
        )


class _Page:
    """One page of each search, and where the cursors stand behind it."""

    def __init__(self, reader: ArrivalReader, request: ReadRequest, position: TailPosition) -> None:
        self._reader = reader
        self._request = request
        self._before: Mapping[str, Cursor] = position.cursors
        self.cursors = dict(position.cursors)
        self.arrivals: list[Arrival] = []
        self.skipped = SkippedHits()
        self.failures: list[SourceProblem] = []
        self.refused = dict(request.refused)
        self.cut = False
        self.deferred: frozenset[str] = frozenset()
        self.scanned = 0
        self._read = 0

    @property
    def failed(self) -> bool:
        """True where every search failed."""
        return bool(self.failures) and not self._read

    def read(self, wanted: Sequence[Search], limit: int) -> None:
        """Search, deliver and move the cursors; without any query they move as if nothing matched."""
        results: Sequence[SearchResult] = [SearchResult()] * len(wanted)
        if self._request.queries:
            size = max(min(_LEAST_PAGE, limit), limit // max(len(wanted), 1))
            jobs = prefilter(self._request.index, [self._job(search, size) for search in wanted])
            self.deferred = self._reader.multi_search.deferred(jobs)
            results, refused = self._reader.multi_search.run(self._request.index, jobs)
            self.refused.update(refused)
        skipped = self._deliver([hit for result in results for hit in result.hits], wanted)
        for number, (search, result) in enumerate(zip(wanted, results, strict=True)):
            self._move(search, _before(result, skipped.get(number)))
        self.skipped = self.skipped.before(skipped)

    def warnings(self) -> list[SourceWarning]:
        return [*self.skipped.warnings(), *self._reader.multi_search.costs.take_warnings()]

    def broken_exceptions(self) -> dict[str, str]:
        """Return the exceptions that suppressed nothing, and why."""
        refused = self._reader.multi_search.broken_exceptions(self._request.selectors)
        return {**self._request.broken_exceptions, **refused}

    def _job(self, search: Search, size: int) -> SearchJob:
        shard, rules = search.shard, self._reader.rules
        bounds = {"gt": search.above, "lte": search.last}
        copy = f"|_only_nodes:{shard.node}" if search.whole else ""
        preference = f"_shards:{shard.number}{copy}"
        return SearchJob(
            {"index": shard.index, "preference": preference, "allow_partial_search_results": False},
            [{"range": {"_seq_no": bounds}}, *self._request.filters_of(shard.index)],
            self._request.queries,
            {
                "size": size,
                "sort": [{"_seq_no": "asc"}],
                "version": True,
                "_source": False,
                "track_total_hits": False,
                "docvalue_fields": rules.times(self._request.fields),
            },
            self._request.selectors,
        )

    def _move(self, search: Search, result: SearchResult) -> None:
        if result.failure is None:
            end = None if result.end is None else result.end[0]
            last = result.hits[-1].order[0] if result.hits else START
            before = self.cursors[search.shard.key]
            after = self.cursors[search.shard.key] = moved(before, search, last, end)
            self.scanned += after.seq - before.seq
            self.cut |= end is not None
            self._read += 1
        elif result.failure.status != _GONE_INDEX:  # deleted meanwhile: the next statistics show it
            name = f"{search.shard.index}[{search.shard.number}]"
            message = f"{name} could not be read, and is tried again: {result.failure}"
            self.failures.append(SourceProblem(message, result.failure.problem))

    def _deliver(self, hits: Sequence[Hit], wanted: Sequence[Search]) -> Mapping[int, tuple[int, ...]]:
        """Keep the new events; return job -> the first of its hits that is left for another page."""
        rules, own = self._reader.rules, self._request.with_origins(hits)
        new = self._reader.new(own, self.refused)
        self._skip_early(own, wanted)
        timed = rules.timed(self._request.fields)
        wanted_hits = [hit for hit in new if not timed or self._is_new(hit, wanted[hit.job])]
        arrivals: list[Arrival] = []
        documents, skipped = self._reader.documents(self._request.index, wanted_hits)
        for hit, document in documents:
            source = document.get("_source")
            if source is None:
                self._skip("no_source" if document.get("found") else "deleted", hit, wanted[hit.job])
                continue
            dated = hit if timed else self._reader.with_time(hit, source)
            if not timed:
                self._skip_early([dated], wanted)
            dated = since_start(dated)
            if dated.queries and (timed or self._is_new(dated, wanted[hit.job])):
                arrivals.append(arrival(dated, source))
        self.arrivals = oldest_first(arrivals)
        return skipped

    def _skip_early(self, hits: Sequence[Hit], wanted: Sequence[Search]) -> None:
        for hit in self._reader.early(hits, self.refused):
            self._skip("before_start", hit, wanted[hit.job])

    def _is_new(self, hit: Hit, search: Search) -> bool:
        kind = skip_reason(hit, self._before[search.shard.key], self._reader.rules.limits)
        if kind:
            self._skip(kind, hit, search)
        return not kind

    def _skip(self, kind: str, hit: Hit, search: Search) -> None:
        """Count a hit once: in the whole search, which passes each number once."""
        if search.whole and kind in TEXTS:
            self.skipped.add(kind, hit)


def _before(result: SearchResult, skipped: tuple[int, ...] | None) -> SearchResult:
    """Return the result up to the first hit that is left for another page."""
    if skipped is None:
        return result
    return replace(result, hits=[hit for hit in result.hits if hit.order < skipped], end=(skipped[0] - 1,))


def _has_read(position: TailPosition, initial: ShardStats) -> bool:
    """Return whether a reader has passed all writes that were there when the agent was started."""
    return all(
        position.cursors[key].seq >= shard.checkpoint
        for key, shard in initial.shards.items()
        if key in position.cursors and position.cursors[key].history == shard.history
    )
