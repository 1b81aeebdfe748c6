"""A reader that follows: what was written since, shard by shard."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sew_agent.ingest.elasticsearch.arrivals import ArrivalReader, ReadRequest, arrival, oldest_first
from sew_agent.ingest.elasticsearch.cursors import Cursor, Search, TailPosition, begin, catch_up, moved, searches
from sew_agent.ingest.elasticsearch.index_monitor import IndexMonitor, check_vanished
from sew_agent.ingest.elasticsearch.multi_search import SearchJob, SearchResult
from sew_agent.ingest.elasticsearch.new_hits import TEXTS, Hit, SkippedHits, since_start, verdict
from sew_agent.ingest.elasticsearch.prefilter import prefilter
from sew_agent.ingest.elasticsearch.shards import START, ShardStats
from sew_agent.ingest.source import Arrival, Batch, SourceProblem

_LEAST_PAGE = 100
_GONE_INDEX = 404


class Tail:
    """Reads a page of every shard that moved."""

    def __init__(self, reads: ArrivalReader, watch: IndexMonitor) -> None:
        self._reads = reads
        self._watch = watch
        self._noted: ShardStats | None = None

    def read(self, asked: ReadRequest, position: str | None, limit: int) -> Batch:
        """About `limit` hits, fewer of each shard where many have moved. Raises ElasticsearchError."""
        watch = self._watch
        place = TailPosition.load(position) if position else begin(watch.look)
        self._noted = self._noted or watch.look
        check_vanished(watch, place)
        asked = replace(asked, origins=watch.origins(asked.index, place))
        seen = catch_up(place, watch.look, watch.there, watch.aged(asked.index, place))
        page = _Page(self._reads, asked, seen.place)
        page.read(list(searches(seen.place, watch.look, watch.proofs)), limit)
        after = TailPosition(seen.place.at, page.cursors)
        return Batch(
            page.arrivals,
            after.dump(),
            more=page.cut,
            done=not page.cut and not page.failures and _has_read(after, self._noted),
            notes=[*seen.notes, *page.skipped.notes(), *self._reads.searcher.costs.notes(), *watch.timeless()],
            problems=[*watch.problems(after), *page.failures],
            refused=page.refused,
            later=page.later,
            failed=page.failed,
            passed=page.passed,
        )


class _Page:
    """One page of each search, and where the cursors stand behind it."""

    def __init__(self, reads: ArrivalReader, asked: ReadRequest, place: TailPosition) -> None:
        self._reads = reads
        self._asked = asked
        self._before: Mapping[str, Cursor] = place.cursors
        self.cursors = dict(place.cursors)
        self.arrivals: list[Arrival] = []
        self.skipped = SkippedHits()
        self.failures: list[SourceProblem] = []
        self.refused = dict(asked.refused)
        self.cut = False
        self.later: frozenset[str] = frozenset()
        self.passed = 0
        self._read = 0

    @property
    def failed(self) -> bool:
        """Of all that was searched, nothing was found out."""
        return bool(self.failures) and not self._read

    def read(self, wanted: Sequence[Search], limit: int) -> None:
        """Without any clause the cursors move as if nothing matched."""
        found: Sequence[SearchResult] = [SearchResult()] * len(wanted)
        if self._asked.clauses:
            size = max(min(_LEAST_PAGE, limit), limit // max(len(wanted), 1))
            jobs = prefilter(self._asked.index, [self._job(search, size) for search in wanted])
            self.later = self._reads.searcher.later(jobs)
            found, refused = self._reads.searcher.run(self._asked.index, jobs)
            self.refused.update(refused)
        skipped = self._deliver([hit for each in found for hit in each.hits], wanted)
        for number, (search, each) in enumerate(zip(wanted, found, strict=True)):
            self._move(search, _before(each, skipped.get(number)))
        self.skipped = self.skipped.before(skipped)

    def _job(self, search: Search, size: int) -> SearchJob:
        shard, rules = search.shard, self._reads.rules
        bounds = {"gt": search.above, "lte": search.last}
        copy = f"|_only_nodes:{shard.node}" if search.whole else ""
        place = f"_shards:{shard.number}{copy}"
        return SearchJob(
            {"index": shard.index, "preference": place, "allow_partial_search_results": False},
            [{"range": {"_seq_no": bounds}}, *self._asked.ours(shard.index)],
            self._asked.clauses,
            {
                "size": size,
                "sort": [{"_seq_no": "asc"}],
                "version": True,
                "_source": False,
                "track_total_hits": False,
                "docvalue_fields": rules.times(self._asked.fields),
            },
        )

    def _move(self, search: Search, found: SearchResult) -> None:
        if found.failure is None:
            end = None if found.end is None else found.end[0]
            last = found.hits[-1].order[0] if found.hits else START
            before = self.cursors[search.shard.key]
            after = self.cursors[search.shard.key] = moved(before, search, last, end)
            self.passed += after.seq - before.seq
            self.cut |= end is not None
            self._read += 1
        elif found.failure.status != _GONE_INDEX:  # one that was deleted meanwhile: the next look tells
            name = f"{search.shard.index}[{search.shard.number}]"
            said = f"{name} could not be read, and is tried again: {found.failure}"
            self.failures.append(SourceProblem(said, found.failure.problem))

    def _deliver(self, hits: Sequence[Hit], wanted: Sequence[Search]) -> Mapping[int, tuple[int, ...]]:
        """Job -> the first of its hits that is left for another page."""
        rules, own = self._reads.rules, self._asked.own(hits)
        new = self._reads.new(own, self.refused)
        self._leave_early(own, wanted)
        timed = rules.timed(self._asked.fields)
        taken = [hit for hit in new if not timed or self._take(hit, wanted[hit.job])]
        found: list[Arrival] = []
        documents, skipped = self._reads.documents(self._asked.index, taken)
        for hit, document in documents:
            source = document.get("_source")
            if source is None:
                self._leave("no_source" if document.get("found") else "deleted", hit, wanted[hit.job])
                continue
            dated = hit if timed else self._reads.with_time(hit, source)
            if not timed:
                self._leave_early([dated], wanted)
            dated = since_start(dated)
            if dated.clauses and (timed or self._take(dated, wanted[hit.job])):
                found.append(arrival(dated, source))
        self.arrivals = oldest_first(found)
        return skipped

    def _leave_early(self, hits: Sequence[Hit], wanted: Sequence[Search]) -> None:
        for hit in self._reads.early(hits, self.refused):
            self._leave("before_start", hit, wanted[hit.job])

    def _take(self, hit: Hit, search: Search) -> bool:
        kind = verdict(hit, self._before[search.shard.key], self._reads.rules.limits)
        if kind:
            self._leave(kind, hit, search)
        return not kind

    def _leave(self, kind: str, hit: Hit, search: Search) -> None:
        """Told once: by the search that is whole, which passes each number once."""
        if search.whole and kind in TEXTS:
            self.skipped.add(kind, hit)


def _before(found: SearchResult, skipped: tuple[int, ...] | None) -> SearchResult:
    """What a search found before the first hit that is left for another page."""
    if skipped is None:
        return found
    return replace(found, hits=[hit for hit in found.hits if hit.order < skipped], end=(skipped[0] - 1,))


def _has_read(place: TailPosition, noted: ShardStats) -> bool:
    """Whether a reader has passed all that was there when the agent was started."""
    return all(
        place.cursors[key].seq >= shard.checkpoint
        for key, shard in noted.shards.items()
        if key in place.cursors and place.cursors[key].history == shard.history
    )
