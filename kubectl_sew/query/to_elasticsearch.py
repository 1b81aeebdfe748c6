"""A bound query as Elasticsearch DSL. No client, no network."""

from datetime import UTC, datetime, timedelta
from typing import Any

from kubectl_sew.query.ast import Everything, Operator
from kubectl_sew.query.binding import (
    BoundAnd,
    BoundComparison,
    BoundLeaf,
    BoundMembership,
    BoundNode,
    BoundNot,
    BoundOr,
    BoundQuery,
    TypedMembers,
    TypedValue,
)
from kubectl_sew.query.fields import Field, FieldType
from kubectl_sew.query.literals import Typed, interval, tick_of
from kubectl_sew.query.values import SECOND, Moment, Network, Pattern
from kubectl_sew.text import spell_exactly

Dsl = dict[str, Any]
_BOUNDS = {Operator.LESS: "lt", Operator.AT_MOST: "lte", Operator.GREATER: "gt", Operator.AT_LEAST: "gte"}
_ZEROS = [-0.0, 0.0]
"""Two values to Lucene, the one before the other; one number here."""
_ESCAPE = str.maketrans({"*": "\\*", "?": "\\?", "\\": "\\\\"})


def to_dsl(query: BoundQuery) -> Dsl:
    """Return what goes under `query` in a search."""
    return _node(query.root)


def _node(node: BoundNode) -> Dsl:
    if isinstance(node, Everything):
        return {"match_all": {}}
    if isinstance(node, BoundAnd):
        return {"bool": {"filter": [_node(child) for child in node.children]}}
    if isinstance(node, BoundOr):
        return _any([_node(child) for child in node.children])
    if isinstance(node, BoundNot):
        return _not(_node(node.child))
    return _leaf(node)


def _any(queries: list[Dsl]) -> Dsl:
    return queries[0] if len(queries) == 1 else {"bool": {"should": queries, "minimum_should_match": 1}}


def _not(query: Dsl) -> Dsl:
    return {"bool": {"must_not": [query]}}


def _leaf(bound: BoundLeaf) -> Dsl:
    if isinstance(bound, BoundMembership):
        query = _membership(bound)
        return _not(query) if bound.leaf.negated else query
    if isinstance(bound, BoundComparison):
        operator = bound.leaf.operator
        query = _any(_distinct([_comparison(operator, reading) for reading in bound.readings]))
        return _not(query) if operator is Operator.NOT_EQUAL else query
    return {"bool": {"must_not": _existence(bound.field)}}


def _existence(field: Field) -> list[Dsl]:
    """Return the queries for a value: `exists` misses one that is too long to be indexed."""
    exists: Dsl = {"exists": {"field": field.path}}
    return [exists] if field.storage.ignore_above is None else [exists, {"term": {"_ignored": field.path}}]


def _comparison(operator: Operator, reading: TypedValue) -> Dsl:
    field, value = reading.field, reading.value
    if isinstance(value, Moment):
        return _time(field, operator, value)
    if operator in _BOUNDS:
        return {"range": {field.path: {_BOUNDS[operator]: _bound(operator, value)}}}
    if isinstance(value, float) and value == 0:
        return {"terms": {field.path: _ZEROS}}
    return {"term": {field.path: _plain(value)}}


def _bound(operator: Operator, value: Typed) -> Any:
    if isinstance(value, float) and value == 0:
        return _ZEROS[0] if operator in (Operator.LESS, Operator.AT_LEAST) else _ZEROS[1]
    return _plain(value)


def _membership(bound: BoundMembership) -> Dsl:
    if not bound.members:
        return {"match_none": {}}
    return _any(_distinct([query for typed in bound.members for query in _members(typed)]))


def _distinct(values: list[Any]) -> list[Any]:
    return list({repr(value): value for value in values}.values())


def _members(typed: TypedMembers) -> list[Dsl]:
    field, values = typed.field, typed.values
    if field.type is FieldType.TIME:
        return [_time(field, Operator.EQUAL, value) for value in values if isinstance(value, Moment)]
    exact = [_plain(value) for value in values if not isinstance(value, Pattern)]
    exact = [term for value in exact for term in (_ZEROS if isinstance(value, float) and value == 0 else [value])]
    terms: list[Dsl] = [{"terms": {field.path: _distinct(exact)}}] if exact else []
    patterns = (value for value in values if isinstance(value, Pattern))
    return terms + [{"wildcard": {field.path: {"value": _wildcard(value)}}} for value in patterns]


def _plain(value: Typed) -> Any:
    return value.text if isinstance(value, Network) else value


def _wildcard(pattern: Pattern) -> str:
    return "".join("*" if part is None else part.translate(_ESCAPE) or "?" for part in pattern.parts)


def _time(field: Field, operator: Operator, moment: Moment) -> Dsl:
    if moment.relative:
        return {"range": {field.path: _relative(operator, moment)}}
    low, high = interval(moment, operator, 0, tick_of(field))
    bounds: Dsl = {} if low is None else {"gte": _tick(field, low)}
    bounds |= {} if high is None else {"lt": _tick(field, high)}
    # A bare number would be read as milliseconds whatever the field's format, and `epoch_second` rounds upper bounds.
    form = "strict_date_optional_time_nanos" if field.storage.nanoseconds else "epoch_millis"
    return {"range": {field.path: bounds | {"format": form}}}


def _relative(operator: Operator, moment: Moment) -> Dsl:
    # The largest unit that is exact, since Elasticsearch counts units by 32 bits.
    then = f"now-{spell_exactly(moment.at // SECOND)}" if moment.at else "now"
    if operator in _BOUNDS:
        return {_BOUNDS[operator]: then}
    return {"gte": f"{then}/s", "lt": f"{then}+1s/s"}


def _tick(field: Field, ticks: int) -> int | str:
    if not field.storage.nanoseconds:
        return ticks
    seconds, nanoseconds = divmod(ticks, SECOND)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
