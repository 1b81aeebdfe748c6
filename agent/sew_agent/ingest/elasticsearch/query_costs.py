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
    """Seconds that a query takes, or its share of those in which it was not answered with others."""

    query: NamedQuery
    seconds: float
    told: bool


class QueryCosts:
    """Costs of slow queries, each for as long as the query stays the same."""

    def __init__(self) -> None:
        self._costs: dict[str, _Cost] = {}
        self._warnings: list[SourceWarning] = []

    def charge(self, group: Iterable[NamedQuery], seconds: float) -> None:
        """Record that a search for these queries took so long."""
        costly = [query for query in group if query.wildcards >= MANY or self.of(query)]
        for query, share in _shares(costly, seconds):
            if self.of(query) and share < _LEAST_SHARE:
                del self._costs[query.webhook]
            elif self.of(query) or (seconds >= SLOW and share >= _LEAST_SHARE):
                self._learn(query, share, certain=True)

    def suspect(self, group: Sequence[NamedQuery], seconds: float) -> None:
        """Record that a search was not answered in so many seconds, and that one or more of these are the reason."""
        for query, share in _shares(group, seconds):
            self._learn(query, share, certain=len(group) == 1 or query.wildcards >= MANY)

    def of(self, query: NamedQuery) -> float:
        """Return the seconds that a query takes; 0 for one that is quick, or not known."""
        known = self._known(query)
        return known.seconds if known else 0.0

    def deferred(self, queries: Collection[NamedQuery]) -> frozenset[str]:
        """Return the webhooks to ask later: slow ones beside quick ones, else those above the limit, slowest first."""
        slow: Mapping[str, float] = {query.webhook: self.of(query) for query in queries if self.of(query)}
        if any(query.webhook not in slow for query in queries):
            return frozenset(slow)
        total, skipped = 0.0, []
        for number, (webhook, seconds) in enumerate(sorted(slow.items(), key=lambda item: item[1])):
            total += seconds
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
        """Note what a query takes, and tell it once where it is certain."""
        known = self._known(query)
        told = bool(known and known.told)
        if certain and not told:
            wildcards = f"{query.wildcards} wildcards take" if query.wildcards > 1 else "wildcard takes"
            text = (
                f"the query's {wildcards} Elasticsearch about {seconds:.1f} s at each poll: it is asked after the "
                "others'; fewer wildcards, or none at a value's beginning, are quicker"
            )
            self._warnings.append(SourceWarning("costly", text, webhooks=(query.webhook,)))
        self._costs[query.webhook] = _Cost(query, seconds, told or certain)


def _shares(group: Sequence[NamedQuery], seconds: float) -> Iterator[tuple[NamedQuery, float]]:
    """Share out seconds by wildcards, which each query of the group has."""
    wildcards = sum(query.wildcards for query in group)
    return ((query, seconds * query.wildcards / wildcards) for query in group)
