"""Queries that cost Elasticsearch so much that the others would wait for them, measured by their searches. Pure.

Only many wildcards cost so much: the queries with many of them made a search slow, each by its share. Such queries are
asked after the others, and only so many at once as take a few seconds.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from sew_agent.ingest.elasticsearch.named_queries import NamedQuery
from sew_agent.ingest.source import SourceWarning

SLOW = 1.0
"""Seconds from which on a search is slow."""
MANY = 20
"""Wildcards of a query below which they are not the reason."""
_LEAST_SHARE = 0.25
_AT_ONCE = 3.0
"""Seconds that queries may take together, as far as is known."""


class QueryCosts:
    """Costs of slow queries, each for as long as the query stays the same."""

    def __init__(self) -> None:
        self._seconds: dict[str, tuple[NamedQuery, float]] = {}
        self._warnings: list[SourceWarning] = []

    def charge(self, group: Iterable[NamedQuery], seconds: float) -> None:
        """Record that a search for these queries took so long."""
        heavy = [query for query in group if query.wildcards >= MANY]
        wildcards = sum(query.wildcards for query in heavy)
        for query in heavy:
            share = seconds * query.wildcards / wildcards
            if self.of(query) and share < _LEAST_SHARE:
                del self._seconds[query.webhook]
            elif self.of(query) or (seconds >= SLOW and share >= _LEAST_SHARE):
                self._learn(query, share)

    def of(self, query: NamedQuery) -> float:
        """Return the seconds that a query takes; 0 for one that is quick, or not known."""
        known = self._seconds.get(query.webhook)
        return known[1] if known and known[0].dsl is query.dsl else 0.0

    def deferred(self, queries: Collection[NamedQuery]) -> frozenset[str]:
        """Return the webhooks to ask later: slow ones beside quick ones, else those above the limit."""
        slow: Mapping[str, float] = {query.webhook: self.of(query) for query in queries if self.of(query)}
        if any(query.webhook not in slow for query in queries):
            return frozenset(slow)
        total, skipped = 0.0, []
        for number, (webhook, seconds) in enumerate(slow.items()):
            total += seconds
            skipped += [webhook] if number and total > _AT_ONCE else []
        return frozenset(skipped)

    def take_warnings(self) -> Sequence[SourceWarning]:
        """Take the warnings since the last call."""
        warnings, self._warnings = self._warnings, []
        return warnings

    def _learn(self, query: NamedQuery, seconds: float) -> None:
        if not self.of(query):
            text = (
                f"the query's {query.wildcards} wildcards take Elasticsearch about {seconds:.1f} s at each poll: it "
                "is asked after the others'; fewer wildcards, or none at a value's beginning, are quicker"
            )
            self._warnings.append(SourceWarning("costly", text, webhooks=(query.webhook,)))
        self._seconds[query.webhook] = (query, seconds)
