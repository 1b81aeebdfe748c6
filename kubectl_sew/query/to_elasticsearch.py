"""A query as Elasticsearch DSL. No client, no network."""

from datetime import UTC, datetime, timedelta
from typing import Any

from kubectl_sew.query.ast import And, Comparison, Empty, Everything, Leaf, Membership, Node, Not, Operator, Or
from kubectl_sew.query.fields import Field, FieldSet, FieldType
from kubectl_sew.query.literals import Typed, by_type, fitting, interval, readings, tick_of
from kubectl_sew.query.validate import require_valid
from kubectl_sew.query.values import SECOND, Moment, Network, Pattern
from kubectl_sew.text import spell_exactly

Dsl = dict[str, Any]
_BOUNDS = {Operator.LESS: "lt", Operator.AT_MOST: "lte", Operator.GREATER: "gt", Operator.AT_LEAST: "gte"}
_ZEROS = [-0.0, 0.0]
"""Lucene orders the one before the other and holds them for different; here they are one number."""
_ESCAPE = str.maketrans({"*": "\\*", "?": "\\?", "\\": "\\\\"})


def to_dsl(node: Node, fields: FieldSet) -> Dsl:
    """What goes under `query` in a search. Raises QueryError where `validate` finds errors."""
    require_valid(node, fields)
    return _node(node, fields)


def _node(node: Node, fields: FieldSet) -> Dsl:
    if isinstance(node, Everything):
        return {"match_all": {}}
    if isinstance(node, And):
        return {"bool": {"filter": [_node(child, fields) for child in node.children]}}
    if isinstance(node, Or):
        return _any([_node(child, fields) for child in node.children])
    if isinstance(node, Not):
        return _not(_node(node.child, fields))
    return _leaf(node, fields)


def _any(queries: list[Dsl]) -> Dsl:
    return queries[0] if len(queries) == 1 else {"bool": {"should": queries, "minimum_should_match": 1}}


def _not(query: Dsl) -> Dsl:
    return {"bool": {"must_not": [query]}}


def _leaf(leaf: Leaf, fields: FieldSet) -> Dsl:
    if isinstance(leaf, Membership):
        query = _membership(leaf, fields.for_set(leaf.key.name))
        return _not(query) if leaf.negated else query
    field = fields.get(leaf.key.name)
    assert field is not None  # noqa: S101  # `require_valid` has refused unknown keys
    if isinstance(leaf, Empty):
        return {"bool": {"must_not": _existence(field)}}
    readers = readings(field, leaf.value, ordered=leaf.operator.orders)
    query = _any(_distinct([_comparison(leaf, own) for own in readers]))
    return _not(query) if leaf.operator is Operator.NOT_EQUAL else query


def _existence(field: Field) -> list[Dsl]:
    """A value that is too long to be indexed is none to `exists`, and yet there."""
    exists: Dsl = {"exists": {"field": field.path}}
    return [exists] if field.storage.ignore_above is None else [exists, {"term": {"_ignored": field.path}}]


def _comparison(leaf: Comparison, field: Field) -> Dsl:
    value = fitting(field, leaf.value)
    if isinstance(value, Moment):
        return _time(field, leaf.operator, value)
    if leaf.operator in _BOUNDS:
        return {"range": {field.path: {_BOUNDS[leaf.operator]: _bound(leaf.operator, value)}}}
    if isinstance(value, float) and value == 0:
        return {"terms": {field.path: _ZEROS}}
    return {"term": {field.path: _plain(value)}}


def _bound(operator: Operator, value: Typed) -> Any:
    if isinstance(value, float) and value == 0:
        return _ZEROS[0] if operator in (Operator.LESS, Operator.AT_LEAST) else _ZEROS[1]
    return _plain(value)


def _membership(leaf: Membership, field: Field | None) -> Dsl:
    if field is None:
        return {"match_none": {}}
    return _any(_distinct([query for own, values in by_type(field, leaf.members) for query in _members(own, values)]))


def _distinct(values: list[Any]) -> list[Any]:
    return list({repr(value): value for value in values}.values())


def _members(field: Field, values: list[Typed]) -> list[Dsl]:
    if field.type is FieldType.TIME:
        return [_time(field, Operator.EQUAL, value) for value in values if isinstance(value, Moment)]
    exact = [_plain(value) for value in values if not isinstance(value, Pattern)]
    exact = [each for value in exact for each in (_ZEROS if isinstance(value, float) and value == 0 else [value])]
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
