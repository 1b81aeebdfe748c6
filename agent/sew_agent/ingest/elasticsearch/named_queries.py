"""Queries of many webhooks in one search: each named, packed so that no search is refused for its size. Pure."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from kubectl_sew.query import FieldSet, FieldType, Node, QueryError, bind, to_dsl
from sew_agent.ingest.source import Subscription, Suppression

Dsl = Mapping[str, Any]

MOST_LEAVES = 1_020
"""Elasticsearch takes at least 1,024 in one search, our filters among them."""
LEAST_LEAVES = 64
MOST_BYTES = 2 * 2**20
_EXCEPTION = "x"
"""Beginning of the names of exceptions' selectors in a search."""
_COMPOUND = ("bool", "filter", "must_not", "should")


@dataclass(frozen=True, slots=True)
class NamedSelector:
    """One exception's selector, which says of a hit whether it is suppressed."""

    exception: str
    dsl: Dsl
    leaves: int
    size: int
    wildcards: int = 0


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """One webhook's query. `required_values`: string field -> values, one of which every match has."""

    webhook: str
    start: float | None
    dsl: Dsl
    required_values: Mapping[str, frozenset[str]]
    leaves: int
    size: int
    wildcards: int = 0
    again: bool = False
    """True where events are wanted that the webhook has already."""


class NamedQueries:
    """Translates queries, each once while it and the fields stay the same objects."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool], tuple[Node, FieldSet, NamedQuery]] = {}
        self._selectors: dict[str, tuple[Node, FieldSet, NamedSelector]] = {}

    def keep(self, webhooks: Collection[str], exceptions: Collection[str]) -> None:
        """Let go of the queries of any other webhooks, and of the selectors of any other exceptions."""
        self._known = {key: known for key, known in self._known.items() if key[0] in webhooks}
        self._selectors = {name: known for name, known in self._selectors.items() if name in exceptions}

    def of(self, subscriptions: Sequence[Subscription], fields: FieldSet) -> tuple[list[NamedQuery], dict[str, str]]:
        """Return the queries, and webhook -> why its query cannot be asked of these fields."""
        queries, refused = [], {}
        exact = exact_fields(fields)
        for subscription in subscriptions:
            try:
                queries.append(self._translate(subscription, fields, exact))
            except QueryError as error:
                refused[subscription.webhook] = f"the mapping cannot answer the query: {error.errors[0].message}"
        return queries, refused

    def of_exceptions(
        self, suppressions: Sequence[Suppression], fields: FieldSet
    ) -> tuple[list[NamedSelector], dict[str, str]]:
        """Return the selectors, and exception -> why its selector cannot be asked of these fields."""
        selectors, broken = [], {}
        for suppression in suppressions:
            try:
                selectors.append(self._translate_selector(suppression, fields))
            except QueryError as error:
                broken[suppression.name] = f"the mapping cannot answer its selector: {error.errors[0].message}"
        return selectors, broken

    def _translate_selector(self, suppression: Suppression, fields: FieldSet) -> NamedSelector:
        name, query = suppression.name, suppression.query
        known = self._selectors.get(name)
        if known is None or known[0] is not query or known[1] is not fields:
            dsl = to_dsl(bind(query, fields))
            selector = NamedSelector(name, dsl, count_leaves(dsl), len(json.dumps(dsl)), wildcards(dsl))
            known = self._selectors[name] = (query, fields, selector)
        return known[2]

    def _translate(self, subscription: Subscription, fields: FieldSet, exact: Collection[str]) -> NamedQuery:
        name, query, start, again = subscription.webhook, subscription.query, subscription.start, subscription.again
        known = self._known.get((name, again))
        if known is None or known[0] is not query or known[1] is not fields or known[2].start != start:
            dsl = to_dsl(bind(query, fields))
            required, leaves, size = required_values(dsl, exact), count_leaves(dsl), len(json.dumps(dsl))
            translated = NamedQuery(name, start, dsl, required, leaves, size, wildcards(dsl), again)
            known = self._known[name, again] = (query, fields, translated)
        return known[2]


def exact_fields(fields: FieldSet) -> frozenset[str]:
    """Return the fields whose doc values are the very terms that a query asks for, by Elasticsearch's names.

    A `*` in a name is left out: in a request for doc values it stands for other fields.
    """
    strings = (field for field in fields if field.type is FieldType.STRING and not field.storage.refusal)
    return frozenset(field.path for field in strings if not field.name.startswith("_") and "*" not in field.path)


def required_values(dsl: Dsl, exact: Collection[str]) -> dict[str, frozenset[str]]:
    """Return the fields among `exact` that a query requires to have exact values, and those values.

    Only values in ASCII count: for other letters the server may know a lower case that we do not.
    """
    required: dict[str, frozenset[str]] = {}
    for part in dsl.get("bool", {}).get("filter", [dsl]):
        for field, value in {**part.get("term", {}), **part.get("terms", {})}.items():
            values = value if isinstance(value, list) else [value]
            if field in exact and all(map(str.isascii, values)):
                required.setdefault(field, frozenset(values))
    return required


def count_leaves(dsl: Any) -> int:
    """Count leaves as Elasticsearch does: every query that holds no other."""
    if isinstance(dsl, list):
        return sum(map(count_leaves, dsl))
    if isinstance(dsl, Mapping):
        inner = [value for key, value in dsl.items() if key in _COMPOUND]
        return sum(map(count_leaves, inner)) if inner else 1
    return 0


def wildcards(dsl: Any) -> int:
    """Count the wildcards in a query."""
    if isinstance(dsl, list):
        return sum(map(wildcards, dsl))
    if isinstance(dsl, Mapping):
        return sum(1 if key == "wildcard" else wildcards(value) for key, value in dsl.items())
    return 0


_Part = TypeVar("_Part", NamedQuery, NamedSelector)


def pack(queries: Sequence[_Part], most_leaves: int = MOST_LEAVES) -> list[list[_Part]]:
    """Group the queries in order, in as few groups as the limits allow; a query above them is alone."""
    groups: list[list[_Part]] = []
    leaves = size = 0
    for query in queries:
        if not groups or leaves + query.leaves > most_leaves or size + query.size > MOST_BYTES:
            groups.append([])
            leaves = size = 0
        groups[-1].append(query)
        leaves, size = leaves + query.leaves, size + query.size
    return groups


def pack_with(
    selectors: Sequence[NamedSelector], queries: Sequence[NamedQuery], most_leaves: int
) -> list[tuple[list[NamedQuery], list[NamedSelector]]]:
    """Group the queries beside the selectors, so that every query is asked with each selector.

    Selectors take half of the leaves at most: of many, the queries are asked with some and again with others.
    """
    parts: list[list[NamedSelector]] = pack(selectors, most_leaves // 2) or [[]]
    return [
        (group, part)
        for part in parts
        for group in pack(queries, max(most_leaves - sum(selector.leaves for selector in part), 1))
    ]


def halves(group: Sequence[_Part]) -> Iterator[list[_Part]]:
    """Split a group that was refused in two, to find out which of its queries is the reason."""
    middle = len(group) // 2
    yield list(group[:middle])
    yield list(group[middle:])


def combined(group: Sequence[NamedQuery], filters: Sequence[Dsl], selectors: Sequence[NamedSelector] = ()) -> Dsl:
    """Return one query for a group, each part named by its number in it; `filters` hold for all of them.

    Selectors select nothing: each is named too, so that a hit says whether it is suppressed, and by which.

    Elasticsearch evaluates `must` before all else, and `filter` last: a segment without any new event is then left
    before a thousand queries are evaluated. Nothing is scored, since hits are sorted. An empty group asks the filters
    alone, to see whether they can be asked.
    """
    if not group:
        return {"bool": {"must": list(filters)}}
    should = [{"bool": {"filter": [query.dsl], "_name": str(number)}} for number, query in enumerate(group)]
    if not selectors:
        return {"bool": {"must": list(filters), "should": should, "minimum_should_match": 1}}
    named = [
        {"bool": {"filter": [selector.dsl], "_name": f"{_EXCEPTION}{number}"}}
        for number, selector in enumerate(selectors)
    ]
    wanted = {"bool": {"should": should, "minimum_should_match": 1}}
    return {"bool": {"must": list(filters), "filter": [wanted], "should": named, "minimum_should_match": 0}}


def matched_queries(group: Sequence[NamedQuery], matched: Sequence[str]) -> list[NamedQuery]:
    """Return the queries that a hit's `matched_queries` name."""
    return [group[int(name)] for name in matched if not name.startswith(_EXCEPTION)]


def matched_exceptions(selectors: Sequence[NamedSelector], matched: Sequence[str]) -> tuple[str, ...]:
    """Return the exceptions that a hit's `matched_queries` name."""
    numbers = (int(name.removeprefix(_EXCEPTION)) for name in matched if name.startswith(_EXCEPTION))
    return tuple(selectors[number].exception for number in sorted(numbers))
