"""Queries that cost Elasticsearch so much that the others would wait for them, measured by their searches. Pure.

Only wildcards cost so much. The queries with many of them made a search slow, each by its share; where a search is not
answered at all, those with a few may be the reason, and show when they are asked apart. Such queries are asked after
the others, and only so many at once as take a few seconds.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sew_agent.ingest.elasticsearch.named_queries import NamedQuery
from sew_agent.ingest.source import SourceWarning

SLOW = 1.0
"""Seconds from which on a search is slow."""
MANY = 20
"""Wildcards of a query below which they are not the reason of a slow answer."""
_LEAST_SHARE = 0.25
_AT_ONCE = 3.0
"""Seconds that queries may take together, as far as is known."""


@dataclass(frozen=True, slots=True)
class _Cost:
    """Seconds that a query takes, or its share of those without an answer to it and others; 0.0 where it is quick."""

    query: NamedQuery
    seconds: float
    told: bool
    """True where a warning has said so of this query."""


class QueryCosts:
    """Costs of slow queries, each for as long as the query stays the same."""

    def __init__(self) -> None:
        self._costs: dict[str, _Cost] = {}
        """The one that was learnt last is the last."""
        self._longest: dict[str, tuple[NamedQuery, float]] = {}
        """The most that a costly query has taken in one search of this run."""
        self._warnings: list[SourceWarning] = []

    def begin_run(self) -> None:
        """Begin a run, in which a query is asked of several shards or indices."""
        self._longest.clear()

    def end_run(self) -> None:
        """Ask those queries with the others again that every search of this run has answered quickly."""
        for query, share in self._longest.values():
            if self.of(query) and share < _LEAST_SHARE:
                self._learn(query, 0.0, certain=False)

    def charge(self, group: Iterable[NamedQuery], seconds: float) -> None:
        """Record that a search for these queries took so long."""
        costly = [query for query in group if query.wildcards >= MANY or self.of(query)]
        for query, share in _shares(costly, seconds):
            _, before = self._longest.get(query.webhook, (query, 0.0))
            self._longest[query.webhook] = (query, max(share, before))
            if share >= _LEAST_SHARE and (seconds >= SLOW or self.of(query)):
                self._learn(query, share, certain=len(costly) == 1 or query.wildcards >= MANY)

    def suspect(self, group: Sequence[NamedQuery], seconds: float, *, alone: bool) -> None:
        """Record that one or more of these may be the reason why a search was not answered in so many seconds.

        `alone`: nothing else of the search may be. Even then it may be the server, unless the query was asked apart.
        """
        for query, share in _shares(group, seconds):
            apart = alone and len(group) == 1 and self.of(query) > 0
            self._learn(query, share, certain=apart or (query.wildcards >= MANY and share >= _LEAST_SHARE))

    def of(self, query: NamedQuery) -> float:
        """Return the seconds that a query takes; 0 for one that is quick, or not known."""
        known = self._known(query)
        return known.seconds if known else 0.0

    def deferred(self, queries: Collection[NamedQuery]) -> frozenset[str]:
        """Return the webhooks to ask later: slow ones beside quick ones, else those above the limit.

        The quickest are asked first, and of equal ones those that were not asked for longest.
        """
        slow: Mapping[str, float] = {query.webhook: self.of(query) for query in queries if self.of(query)}
        if any(query.webhook not in slow for query in queries):
            return frozenset(slow)
        total, skipped = 0.0, []
        for number, webhook in enumerate(sorted(filter(slow.__contains__, self._costs), key=slow.__getitem__)):
            total += slow[webhook]
            skipped += [webhook] if number and total > _AT_ONCE else []
        return frozenset(skipped)

    def take_warnings(self) -> Sequence[SourceWarning]:
        """Take the warnings since the last call."""
        warnings, self._warnings = self._warnings, []
        return warnings

    def _known(self, query: NamedQuery) -> _Cost | None:
        known = self._costs.get(query.webhook)
        return known if known and known.query.dsl is query.dsl else None

    def _learn(self, query: NamedQuery, seconds: float, *, certain: bool) -> None:
        """Note what a query takes, and tell it once where that is certain."""
        known = self._known(query)
        told = bool(known and known.told)
        if certain and not told:
            wildcards = f"{query.wildcards} wildcards take" if query.wildcards > 1 else "wildcard takes"
            text = (
                f"the query's {wildcards} Elasticsearch about {seconds:.1f} s at each poll: it is asked after the "
                "others'; fewer wildcards, or none at a value's beginning, are quicker"
            )
            self._warnings.append(SourceWarning("costly", text, webhooks=(query.webhook,)))
        self._costs.pop(query.webhook, None)
        self._costs[query.webhook] = _Cost(query, seconds, told or certain)


def _shares(group: Sequence[NamedQuery], seconds: float) -> Iterator[tuple[NamedQuery, float]]:
    """Share out seconds by wildcards, which each query of the group has."""
    wildcards = sum(query.wildcards for query in group)
    return ((query, seconds * query.wildcards / wildcards) for query in group)
