"""Many searches for many webhooks in few requests, each answer checked for shards that did not answer.

A query that a shard refuses would fail the search for all: the group is searched again in halves until it stands
alone. Where the filters alone are refused too, the shard cannot be read, and no webhook is at fault.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kubectl_sew.elasticsearch.access import ElasticsearchError
from kubectl_sew.elasticsearch.client import Index, check_search
from kubectl_sew.elasticsearch.connection import TIMED_OUT
from sew_agent.ingest.elasticsearch.named_queries import (
    LEAST_LEAVES,
    MOST_LEAVES,
    Dsl,
    NamedQuery,
    NamedSelector,
    combined,
    halves,
    matched_exceptions,
    matched_queries,
    pack_with,
)
from sew_agent.ingest.elasticsearch.new_hits import Hit, merge, read_hit
from sew_agent.ingest.elasticsearch.query_costs import MANY, QueryCosts

MOST_REQUEST_BYTES = 8 * 2**20
_HEADER_BYTES = 1_000
_MOST_AT_ONCE = 1_000
"""Searches in one request, while all are answered in time."""
_REGROWN = 0.1
"""Searches that a request may have more after each run that was answered."""
_BAD_REQUEST = 400
_FAILED = 500
"""Status of a server that has failed, at all or at one of the queries."""
_TOO_MANY = ("too_many_nested_clauses", "too_many_clauses")
"""Kinds of an error by which a search was too large. OpenSearch answers so with the status 500."""


@dataclass(frozen=True, slots=True)
class SearchJob:
    """One search for many webhooks. `filters` hold for all queries; `body` is the rest of the search.

    `selectors` of exceptions say of each hit whether it is suppressed.
    """

    header: Mapping[str, Any]
    filters: Sequence[Dsl]
    queries: Sequence[NamedQuery]
    body: Mapping[str, Any]
    selectors: Sequence[NamedSelector] = ()

    @property
    def size(self) -> int:
        """Hits on a full page."""
        return int(self.body["size"])


@dataclass(slots=True)
class SearchResult:
    """The hits of a job, in order. `end`: the last hit's sort values where the page was cut off, else None."""

    hits: Sequence[Hit] = ()
    end: tuple[int, ...] | None = None
    failure: ElasticsearchError | None = None
    """The reason why nothing of it can be used."""
    point: str = ""
    """The newest id of the point in time, where there is one."""


@dataclass(slots=True)
class _Task:
    job: int
    group: list[NamedQuery]
    selectors: list[NamedSelector] = field(default_factory=list)
    suspected: list[NamedSelector] = field(default_factory=list)
    """Selectors that the group was refused with: it is asked without them, to see whether they are the reason."""
    why: str = ""
    failed: "_Task | None" = None
    """The task at which the server failed: it is asked without any query, to see whether those are the reason."""


@dataclass(slots=True)
class _Refusal:
    """A selector that a shard refuses, or does not answer in time, and why.

    It is not asked while it stays the same, for some runs.
    """

    of: NamedSelector
    why: str
    runs_left: int = 60


@dataclass(slots=True)
class _SearchRun:
    """Answers gathered while groups are halved."""

    pages: dict[int, list[tuple[list[Hit], bool]]] = field(default_factory=dict)
    failures: dict[int, ElasticsearchError] = field(default_factory=dict)
    suspects: dict[int, dict[str, str]] = field(default_factory=dict)
    points: dict[int, str] = field(default_factory=dict)


class MultiSearch:
    """Searches for many webhooks. Remembers how many leaves and searches this cluster takes at once."""

    def __init__(self, time_field: str) -> None:
        self._time_field = time_field
        self._most_leaves = MOST_LEAVES
        self._at_once: float = _MOST_AT_ONCE
        self._broken: dict[str, _Refusal] = {}
        """Exceptions whose selectors a shard refuses, or does not answer in time."""
        self.costs = QueryCosts()

    def deferred(self, jobs: Sequence[SearchJob]) -> frozenset[str]:
        """Return the webhooks whose queries are not asked now, since others would wait for them."""
        return self.costs.deferred({query.webhook: query for job in jobs for query in job.queries}.values())

    def broken_exceptions(self, selectors: Sequence[NamedSelector]) -> dict[str, str]:
        """Return those of the exceptions whose selectors a shard refuses, or does not answer in time -> why."""
        return {selector.exception: self._broken[selector.exception].why for selector in self._refused_of(selectors)}

    def _refused_of(self, selectors: Sequence[NamedSelector]) -> list[NamedSelector]:
        return [one for one in selectors if one.exception in self._broken and self._broken[one.exception].of is one]

    def run(self, index: Index, jobs: Sequence[SearchJob]) -> tuple[list[SearchResult], dict[str, str]]:
        """Return each job's result, and webhook -> why a shard refuses its query. Raises ElasticsearchError."""
        deferred = self.deferred(jobs)
        jobs = [replace(job, queries=[query for query in job.queries if query.webhook not in deferred]) for job in jobs]
        run = _SearchRun()
        self._forget_old_refusals()
        self.costs.begin_run()
        tasks = [
            _Task(number, group, selectors)
            for number, job in enumerate(jobs)
            for group, selectors in pack_with(self._answered(job.selectors), job.queries, self._most_leaves)
        ]
        while tasks:
            tasks = [
                more for task, answer in self._ask(index, jobs, tasks) for more in self._handle(run, task, answer, jobs)
            ]
        refused = self._confirm_refused(index, jobs, run)
        self.costs.end_run()
        self._at_once = min(self._at_once + _REGROWN, _MOST_AT_ONCE)
        return [self._result(run, job) for job in range(len(jobs))], refused

    def _forget_old_refusals(self) -> None:
        for refusal in self._broken.values():
            refusal.runs_left -= 1
        self._broken = {name: refusal for name, refusal in self._broken.items() if refusal.runs_left}

    def _answered(self, selectors: Sequence[NamedSelector]) -> list[NamedSelector]:
        refused = set(map(id, self._refused_of(selectors)))
        return [selector for selector in selectors if id(selector) not in refused]

    def _ask(
        self, index: Index, jobs: Sequence[SearchJob], tasks: Sequence[_Task]
    ) -> Iterator[tuple[_Task, Mapping[str, Any]]]:
        slow = any(self.costs.of(query) for task in tasks for query in task.group)
        for batch in _in_requests(tasks, 1 if slow else int(self._at_once)):
            searches = [
                (jobs[task.job].header, {**jobs[task.job].body, "query": _query(task, jobs[task.job])})
                for task in batch
            ]
            try:
                answers = index.search_many(searches)
            except ElasticsearchError as error:
                if error.kind == TIMED_OUT:
                    self._timed_out(batch, index.timeout)
                raise
            yield from zip(batch, answers, strict=True)

    def _timed_out(self, batch: Sequence[_Task], seconds: float) -> None:
        """Ask less in one request from now on, and set aside what may be the reason: what has many wildcards.

        Where nothing has many, the queries with any of them may be the reason for a single search.
        """
        self._at_once = max(1, len(batch) // 2)
        queries = {query.webhook: query for task in batch for query in task.group}.values()
        if many := [query for query in queries if query.wildcards >= MANY]:
            self.costs.suspect(many, seconds, alone=True)
        elif len(batch) == 1 and not self._break_selectors(batch[0].selectors, seconds):
            alone = not any(selector.wildcards for selector in batch[0].selectors)
            self.costs.suspect([query for query in queries if query.wildcards], seconds, alone=alone)

    def _break_selectors(self, selectors: Sequence[NamedSelector], seconds: float) -> bool:
        """Ask those with many wildcards no more, and return whether there is one."""
        many = [selector for selector in selectors if selector.wildcards >= MANY]
        for selector in many:
            why = f"its {selector.wildcards} wildcards were not answered in {seconds:.0f} s: use fewer of them"
            self._broken[selector.exception] = _Refusal(selector, why)
        return bool(many)

    def _handle(
        self, run: _SearchRun, task: _Task, answer: Mapping[str, Any], jobs: Sequence[SearchJob]
    ) -> list[_Task]:
        """Keep a good answer; return the smaller tasks that find out why one was refused."""
        self.costs.charge(task.group, answer.get("took", 0) / 1000)
        try:
            check_search(answer)
        except ElasticsearchError as error:
            return self._refused(run, task, error)
        if task.failed:
            return self._smaller(run, task.failed, task.why)
        hits = [_read(hit, task, self._time_field) for hit in answer["hits"]["hits"]]
        run.pages.setdefault(task.job, []).append((hits, len(hits) >= jobs[task.job].size))
        run.points[task.job] = answer.get("pit_id", "")
        if len(task.suspected) > 1:
            return [_Task(task.job, task.group, half) for half in halves(task.suspected)]
        for selector in task.suspected:
            self._broken[selector.exception] = _Refusal(selector, task.why)
        return []

    def _refused(self, run: _SearchRun, task: _Task, error: ElasticsearchError) -> list[_Task]:
        if not task.group:  # no query is the reason
            run.failures[task.job] = error
            return []
        if error.kind in _TOO_MANY:
            self._most_leaves = max(LEAST_LEAVES, self._most_leaves // 2)
        if error.status == _BAD_REQUEST or error.kind in _TOO_MANY:
            return self._smaller(run, task, str(error))
        if error.status == _FAILED and task.job not in run.failures:
            return [_Task(task.job, [], why=str(error), failed=task)]
        run.failures[task.job] = error
        return []

    def _smaller(self, run: _SearchRun, task: _Task, why: str) -> list[_Task]:
        """Return the tasks that find out which query or selector is the reason, or note that it is the only query."""
        if len(task.group) > 1:
            return [_Task(task.job, half, task.selectors) for half in halves(task.group)]
        if task.selectors:
            return [_Task(task.job, task.group, suspected=task.selectors, why=why)]
        run.suspects.setdefault(task.job, {})[task.group[0].webhook] = why
        return []

    def _confirm_refused(self, index: Index, jobs: Sequence[SearchJob], run: _SearchRun) -> dict[str, str]:
        """Return the suspects whose jobs succeed without any query; other jobs have failed themselves."""
        refused: dict[str, str] = {}
        tasks = [_Task(job, []) for job in run.suspects]
        for task, answer in self._ask(index, jobs, tasks):
            try:
                check_search(answer)
            except ElasticsearchError as error:
                run.failures[task.job] = _hinted(error)
            else:
                refused.update(run.suspects[task.job])
        return refused

    def _result(self, run: _SearchRun, job: int) -> SearchResult:
        if job in run.failures:
            return SearchResult(failure=run.failures[job])
        hits, end = merge(run.pages.get(job, ()))
        return SearchResult(hits, end, point=run.points.get(job, ""))


def _query(task: _Task, job: SearchJob) -> Dsl:
    return combined(task.group, job.filters, task.selectors)


def _read(hit: Mapping[str, Any], task: _Task, time_field: str) -> Hit:
    matched = hit.get("matched_queries", ())
    suppressed_by = matched_exceptions(task.selectors, matched)
    return read_hit(hit, matched_queries(task.group, matched), time_field, task.job, suppressed_by)


def _hinted(error: ElasticsearchError) -> ElasticsearchError:
    if "max_result_window" not in str(error):
        return error
    return ElasticsearchError(f"{error}; or lower SEW_PAGE_SIZE (--page-size)", error.status, error.kind)


def _in_requests(tasks: Sequence[_Task], most: int) -> Iterator[list[_Task]]:
    batch: list[_Task] = []
    size = 0
    for task in tasks:
        queries, selectors = (query.size for query in task.group), (selector.size for selector in task.selectors)
        more = _HEADER_BYTES + sum(queries) + sum(selectors)
        if batch and (size + more > MOST_REQUEST_BYTES or len(batch) >= most):
            yield batch
            batch, size = [], 0
        batch.append(task)
        size += more
    if batch:
        yield batch
