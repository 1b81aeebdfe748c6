"""The preview of a query on an index: how many events of the last hours, when, some of them, each part's cost. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubectl_sew.elasticsearch.access import ElasticsearchError
from kubectl_sew.elasticsearch.client import check_search
from kubectl_sew.json_text import line
from kubectl_sew.query import BoundQuery, to_dsl
from kubectl_sew.query.ast import MOST_PARTS
from kubectl_sew.text import date_and_time, spell_exactly

Json = dict[str, Any]

SAMPLES = 5
SLOW_MS = 1_000
_BARS, _WIDTH, _LONGEST = 24, 40, 150
_STEPS = (1, 5, 15, 60, 300, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 604_800, 2_592_000)
"""Seconds that a bar may stand for."""


@dataclass(frozen=True)
class Window:
    """The time from `start` to `end`, milliseconds since the epoch, by the index's field `field`."""

    field: str
    start: int
    end: int

    @property
    def step(self) -> int:
        """Seconds of a bar, so that there are about _BARS of them."""
        wanted = (self.end - self.start) / 1_000 / _BARS
        return next((step for step in _STEPS if step >= wanted), -(-int(wanted) // _STEPS[-1]) * _STEPS[-1])


@dataclass(frozen=True)
class Part:
    """A part of the query alone: how many events it selects in how many milliseconds, or why it cannot be asked."""

    text: str
    count: int = 0
    took: int = 0
    refusal: str = ""


@dataclass(frozen=True)
class Bar:
    """Events of a stretch of the window: those that would be delivered, and those that exceptions take away."""

    start: int
    """Milliseconds since the epoch."""
    count: int
    suppressed: int = 0


@dataclass(frozen=True)
class Survey:
    """`total`: all events of the window; `count`: those that match and that no exception takes away."""

    total: int
    count: int
    took: int
    bars: Sequence[Bar]
    samples: Sequence[Mapping[str, Any]]
    parts: Sequence[Part]
    left_out: int = 0
    """Parts that were not asked alone."""
    suppressed: Mapping[str, int] = field(default_factory=dict)
    """Exception -> how many events that match it takes away; they are not in `count`. One may count for several."""

    @property
    def suppressed_in_all(self) -> int:
        """Events that match and that some exception takes away."""
        return sum(bar.suppressed for bar in self.bars)


def searches(query: BoundQuery, window: Window, selectors: Sequence[tuple[str, BoundQuery]] = ()) -> list[Json]:
    """The bodies of the searches whose answers `read` takes: all events, the query's, each part's, each exception's.

    `selectors`: name and selector of the exceptions that take something away.
    """
    bars = {"field": window.field, "fixed_interval": f"{window.step}s", "min_doc_count": 0}
    bars["extended_bounds"] = {"min": window.start, "max": window.end - 1}
    bars["format"] = "epoch_millis"
    sort = [{window.field: {"order": "desc", "unmapped_type": "date"}}]
    whole = _body(window, to_dsl(query)) | {"size": SAMPLES, "sort": sort}
    whole["aggs"] = {"bars": {"date_histogram": bars}}
    if selectors:  # The bars count what matches, the hits only what is left of it.
        whole["post_filter"] = {"bool": {"must_not": [to_dsl(selector) for _, selector in selectors]}}
        whole["aggs"]["bars"]["aggs"] = {"left": {"filter": whole["post_filter"]}}
    parts = [_body(window, to_dsl(part)) for part in _asked(query)]
    return [_body(window), whole, *parts, *(_body(window, to_dsl(query), to_dsl(one)) for _, one in selectors)]


def _asked(query: BoundQuery) -> tuple[BoundQuery, ...]:
    """Parts of the query that are asked alone."""
    return query.parts[:MOST_PARTS]


def _body(window: Window, *filters: Json) -> Json:
    bounds = {"gte": window.start, "lt": window.end, "format": "epoch_millis"}
    of_window = {"range": {window.field: bounds}}
    return {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": [of_window, *filters]}}}


def read(
    query: BoundQuery, answers: Sequence[Mapping[str, Any]], selectors: Sequence[tuple[str, BoundQuery]] = ()
) -> Survey:
    """Raises ElasticsearchError where the query as a whole could not be asked, naming the parts that could not."""
    of_parts, of_exceptions = answers[2 : len(answers) - len(selectors)], answers[len(answers) - len(selectors) :]
    parts = [_part(part, answer) for part, answer in zip(_asked(query), of_parts, strict=True)]
    for answer in (*answers[:2], *of_exceptions):
        try:
            check_search(answer)
        except ElasticsearchError as error:
            refused = [f"\n  `{part.text}`: {part.refusal}" for part in parts if part.refusal]
            raise ElasticsearchError(f"{error}{''.join(refused)}", error.status, error.kind) from None
    whole = answers[1]
    return Survey(
        total=_count(answers[0]),
        count=_count(whole),
        took=whole["took"],
        bars=[_bar(bucket) for bucket in whole["aggregations"]["bars"]["buckets"]],
        samples=whole["hits"]["hits"],
        parts=parts,
        left_out=len(query.parts) - len(parts),
        suppressed={name: _count(answer) for (name, _), answer in zip(selectors, of_exceptions, strict=True)},
    )


def _bar(bucket: Mapping[str, Any]) -> Bar:
    matching = bucket["doc_count"]
    left = bucket["left"]["doc_count"] if "left" in bucket else matching
    return Bar(int(bucket["key"]), left, matching - left)


def _count(answer: Mapping[str, Any]) -> int:
    count: int = answer["hits"]["total"]["value"]
    return count


def _part(part: BoundQuery, answer: Mapping[str, Any]) -> Part:
    try:
        check_search(answer)
    except ElasticsearchError as error:
        return Part(str(part.node), refusal=str(error))
    return Part(str(part.node), _count(answer), answer["took"])


def for_people(survey: Survey, window: Window, where: str) -> str:
    """Lines for a terminal."""
    matching = survey.count + survey.suppressed_in_all
    share = f" ({matching / survey.total:.1%})" if survey.total else ""
    heads = [
        f"Indices:  {where}",
        f"Window:   {_moment(window.start)} to {_moment(window.end)}",
        f"Events:   {matching:,} of {survey.total:,} match{share}, found in {survey.took} ms{_slow(survey.took)}",
        *_suppressed(survey),
    ]
    drawn = [*_histogram(survey, window), *_parts(survey), *_samples(survey)] if survey.total else []
    return "\n".join([*heads, *drawn])


def _suppressed(survey: Survey) -> Iterator[str]:
    if survey.suppressed:
        yield f"          {survey.count:,} of them would be delivered, and {survey.suppressed_in_all:,} suppressed"
    for name, count in survey.suppressed.items():
        yield f"          {count:,} by AlertException {name}"


def _moment(milliseconds: int) -> str:
    return date_and_time(milliseconds / 1_000) + "Z"


def _slow(took: int) -> str:
    return ": slow" if took >= SLOW_MS else ""


def _histogram(survey: Survey, window: Window) -> Iterator[str]:
    most = max((bar.count + bar.suppressed for bar in survey.bars), default=0)
    if not most:
        return
    legend = ", # delivered, - suppressed" if survey.suppressed else ""
    yield f"\nEvents in each {spell_exactly(window.step)}{legend}:"
    for bar in survey.bars:
        delivered, both = (-(-count * _WIDTH // most) for count in (bar.count, bar.count + bar.suppressed))
        drawn = "#" * delivered + "-" * (both - delivered)
        suppressed = f" {bar.suppressed:>9,}" if survey.suppressed else ""
        yield f"  {_moment(bar.start)[:16]}  {drawn:<{_WIDTH}} {bar.count:>9,}{suppressed}".rstrip()


def _parts(survey: Survey) -> Iterator[str]:
    if survey.parts:
        yield "\nEach part alone:"
    for part in survey.parts:
        result = part.refusal or f"{part.count:,} in {part.took} ms{_slow(part.took)}"
        yield f"  {line(part.text, _LONGEST)}: {line(result, _LONGEST)}"
    if survey.left_out:
        yield f"  … and {survey.left_out} more, not asked alone"


def _samples(survey: Survey) -> Iterator[str]:
    if survey.samples:
        yield f"\nThe newest that {'would be delivered' if survey.suppressed else 'match'}:"
    for hit in survey.samples:
        yield f"  {hit['_id']}  {line(hit.get('_source', {}), _LONGEST)}"


def as_object(survey: Survey, window: Window) -> Json:
    """Return the object for programs."""
    return {
        "since": _moment(window.start),
        "total": survey.total,
        "count": survey.count,
        "tookMilliseconds": survey.took,
        "suppressed": dict(survey.suppressed),
        "suppressedInAll": survey.suppressed_in_all,
        "histogram": [
            {"start": _moment(bar.start), "count": bar.count, "suppressed": bar.suppressed} for bar in survey.bars
        ],
        "parts": [
            {"query": part.text, "count": part.count, "tookMilliseconds": part.took, "refusal": part.refusal or None}
            for part in survey.parts
        ],
        "samples": [{"_index": hit["_index"], "_id": hit["_id"], **hit.get("_source", {})} for hit in survey.samples],
    }
