"""Choice of the queries that can match new events at all, by a small search for the values of those events.

The cost of a search grows with its queries: a thousand queries on ten new events are a thousand times the work of
reading the ten. Most queries ask one or two string fields for exact values, which few new events have. Elasticsearch
still decides: its doc values are the very terms that it searches, and a query is left out only where one that it
requires is missing.

A reader up to a visible checkpoint sees in both searches all that was written before. An event above it that becomes
visible between them is read again when its checkpoint is visible (sew_agent.ingest.elasticsearch.cursors).
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kubectl_sew.elasticsearch.access import ElasticsearchError
from kubectl_sew.elasticsearch.client import Index, check_search
from sew_agent.ingest.elasticsearch.multi_search import SearchJob
from sew_agent.ingest.elasticsearch.named_queries import NamedQuery, pack

MOST_EVENTS = 6_000
"""New events that are prefiltered, of all jobs together. For more, a thousand queries are no waste."""
_MOST_FIELDS = 50
"""Elasticsearch gives 100 at most, unless an index has another limit."""


def prefilter(index: Index, jobs: Sequence[SearchJob]) -> list[SearchJob]:
    """Return the jobs with only those queries that can match. Raises ElasticsearchError.

    They stay as they are where all queries fit into one search each, or none requires a value.
    """
    if all(len(pack(job.queries)) < 2 for job in jobs) or not (fields := _fields(jobs)):
        return list(jobs)
    most = MOST_EVENTS // len(jobs)
    answers = index.search_many([(job.header, _probe(job, fields, most)) for job in jobs])
    return [_prefiltered(job, _seen(answer, most), fields) for job, answer in zip(jobs, answers, strict=True)]


def can_match(query: NamedQuery, seen: Mapping[str, Collection[str]], fields: Collection[str]) -> bool:
    """Return whether the values in new events (`seen`: field -> values) are enough for a query, judged by `fields`."""
    return all(
        not values.isdisjoint(seen.get(field, ())) for field, values in query.required_values.items() if field in fields
    )


def _fields(jobs: Sequence[SearchJob]) -> list[str]:
    """Return the fields that most queries require a value of."""
    counts = Counter(field for job in jobs for query in job.queries for field in query.required_values)
    return [field for field, _ in counts.most_common(_MOST_FIELDS)]


def _probe(job: SearchJob, fields: Sequence[str], most: int) -> Mapping[str, Any]:
    return {
        "query": {"bool": {"filter": list(job.filters)}},
        "size": most,
        "_source": False,
        "track_total_hits": False,
        "docvalue_fields": fields,
    }


def _seen(answer: Mapping[str, Any], most: int) -> Mapping[str, Collection[str]] | None:
    """Return field -> values; None where not all was seen. The search itself then reports what cannot be read."""
    try:
        check_search(answer)
    except ElasticsearchError:
        return None
    hits = answer["hits"]["hits"]
    if len(hits) >= most:
        return None
    seen: dict[str, set[str]] = {}
    for field, values in _values(hits):
        seen.setdefault(field, set()).update(values)
    return seen


def _values(hits: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Sequence[str]]]:
    for hit in hits:
        yield from hit.get("fields", {}).items()


def _prefiltered(job: SearchJob, seen: Mapping[str, Collection[str]] | None, fields: Collection[str]) -> SearchJob:
    if seen is None:
        return job
    return replace(job, queries=[query for query in job.queries if can_match(query, seen, fields)])
