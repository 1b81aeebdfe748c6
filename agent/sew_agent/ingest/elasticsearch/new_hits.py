"""New events among the documents that were found, and the webhooks that they are new to. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import floor
from typing import Any

from kubectl_sew.event import Event
from sew_agent.ingest.elasticsearch.cursors import Cursor
from sew_agent.ingest.elasticsearch.named_queries import NamedQuery
from sew_agent.ingest.source import SourceWarning

TEXTS = {
    "too_old": "{count} event{s} older than SEW_MAX_EVENT_AGE when read left out, the last one {last}",
    "updated": "{count} event{s} older than SEW_MAX_EVENT_AGE changed since and not sent again, the last one {last}",
    "no_time": "{count} event{s} without time left out, in an index that is read anew, the last one {last}",
    "before_start": "{count} event{s} left out, by their own time from before its start, the last one {last}",
    "no_source": "{count} document{s} without _source left out, the last one {last}: see the index's mapping",
    "deleted": "{count} event{s} deleted before reading was complete, the last one {last}",
}
"""Warnings about documents that are not delivered, by kind. A kind without text is not worth one."""

SeenBy = Callable[[Sequence[bytes]], Mapping[bytes, Collection[str]]]
"""Events' keys -> the webhooks that have them already."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that matched. `order`: its sort values, rising; `time`: its own, None where it has none.

    `job`: the number of the search that found it.
    """

    index: str
    id: str
    order: tuple[int, ...]
    queries: tuple[NamedQuery, ...]
    time: float | None = None
    version: int = 1
    routing: str | None = None
    job: int = 0
    origin: str = ""
    """The index that its event was first in, where that is another one."""
    suppressed_by: tuple[str, ...] = ()
    """The exceptions that select it."""

    @property
    def key(self) -> bytes:
        return Event(self.origin or self.index, self.id, {}).key

    @property
    def webhooks(self) -> tuple[str, ...]:
        return tuple(query.webhook for query in self.queries)


@dataclass(frozen=True, slots=True)
class AgeLimits:
    """`most_age`: SEW_MAX_EVENT_AGE; `known_for`: SEW_KNOWN_FOR; both in seconds."""

    most_age: float
    known_for: float


@dataclass(slots=True)
class SkippedHits:
    """Hits that are not delivered, and why: kind -> the hits."""

    by_kind: dict[str, list[Hit]] = field(default_factory=dict)

    def add(self, kind: str, hit: Hit) -> None:
        self.by_kind.setdefault(kind, []).append(hit)

    def before(self, skipped: Mapping[int, tuple[int, ...]]) -> "SkippedHits":
        """Leave out hits that are read again. `skipped`: job -> the first of its hits that is left for another page."""
        kept = {
            kind: [hit for hit in hits if hit.job not in skipped or hit.order < skipped[hit.job]]
            for kind, hits in self.by_kind.items()
        }
        return SkippedHits({kind: hits for kind, hits in kept.items() if hits})

    def warnings(self) -> list[SourceWarning]:
        """Return one warning for each kind."""
        return [
            SourceWarning(
                kind,
                TEXTS[kind].format(count=len(hits), s="" if len(hits) == 1 else "s", last=hits[-1].id[:100]),
                len(hits),
                tuple(sorted({name for hit in hits for name in hit.webhooks})),
            )
            for kind, hits in self.by_kind.items()
        ]


def since_start(hit: Hit) -> Hit:
    """Return the hit with the webhooks that had started by its own time (whole seconds); one without time is new."""
    if hit.time is None:
        return hit
    own = tuple(query for query in hit.queries if query.start is None or hit.time >= floor(query.start))
    return hit if len(own) == len(hit.queries) else replace(hit, queries=own)


def before_start(hit: Hit) -> Hit:
    """Return the hit with the other webhooks: those that began after its own time."""
    own = set(since_start(hit).webhooks)
    return replace(hit, queries=tuple(query for query in hit.queries if query.webhook not in own))


def unseen(hits: Sequence[Hit], known: SeenBy) -> list[Hit]:
    """Return the hits with the webhooks that do not have them yet; hits that all have are left out."""
    have = known([hit.key for hit in hits])
    remaining = [replace(hit, queries=_unseen_by(hit, have.get(hit.key, ()))) for hit in hits]
    return [hit for hit in remaining if hit.queries]


def _unseen_by(hit: Hit, names: Collection[str]) -> tuple[NamedQuery, ...]:
    return tuple(query for query in hit.queries if query.again or query.webhook not in names) if names else hit.queries


def skip_reason(hit: Hit, cursor: Cursor, limits: AgeLimits) -> str:
    """Return why a hit that no webhook has is not delivered: a kind of TEXTS, or "" where it is new.

    Age counts from the moment up to which the shard was read, so an outage of days loses nothing. A document that was
    updated and is not known was delivered once and forgotten, if it is old enough for that.
    """
    if hit.time is None:
        return "no_time" if hit.order[0] <= cursor.old else ""
    if hit.version > 1 and hit.time < cursor.at - limits.known_for:
        return "updated"
    return "too_old" if hit.time < cursor.at - limits.most_age else ""


def merge(pages: Sequence[tuple[Sequence[Hit], bool]]) -> tuple[list[Hit], tuple[int, ...] | None]:
    """Merge pages of one search for different webhooks, in order; return where it was cut off, None: nowhere.

    Each page comes with whether it is full: hits behind the end of the first full one are left for the next time.
    """
    ends = [hits[-1].order for hits, full in pages if full and hits]
    end = min(ends, default=None)
    merged: dict[tuple[tuple[int, ...], str], Hit] = {}
    for hits, _ in pages:
        for hit in hits:
            if end is None or hit.order <= end:
                key = (hit.order, hit.id)  # in an index that was shrunk several documents have one number
                before = merged.get(key)
                merged[key] = _union(before, hit) if before else hit
    return [merged[key] for key in sorted(merged)], end


def _union(hit: Hit, other: Hit) -> Hit:
    """Return a hit with all that matched it in two searches; both may have asked the same."""
    asked = set(map(id, hit.queries))
    more = tuple(query for query in other.queries if id(query) not in asked)
    suppressed_by = tuple(dict.fromkeys((*hit.suppressed_by, *other.suppressed_by)))
    return replace(hit, queries=hit.queries + more, suppressed_by=suppressed_by)


def read_hit(
    hit: Mapping[str, Any],
    queries: Sequence[NamedQuery],
    time_field: str,
    job: int,
    suppressed_by: tuple[str, ...] = (),
) -> Hit:
    """Parse a search's hit; `queries` are those that it matched. A date_nanos has fractions of a millisecond."""
    times = hit.get("fields", {}).get(time_field) or [None]
    return Hit(
        hit["_index"],
        hit["_id"],
        tuple(int(value) for value in hit["sort"]),
        tuple(queries),
        None if times[0] is None else float(times[0]) / 1000,
        int(hit.get("_version", 1)),
        hit.get("_routing"),
        job,
        suppressed_by=suppressed_by,
    )
