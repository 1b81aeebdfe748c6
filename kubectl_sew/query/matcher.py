"""A query as a predicate over events: closures, compiled once, called for each event."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import eq, ge, gt, le, lt
from typing import Any

from kubectl_sew.query.ast import And, Comparison, Empty, Everything, Leaf, Membership, Node, Not, Operator, Or
from kubectl_sew.query.event_values import reader, walker
from kubectl_sew.query.fields import PLAIN, Field, FieldSet, FieldType
from kubectl_sew.query.literals import Typed, by_type, fitting, interval, readings, tick_of
from kubectl_sew.query.validate import require_valid
from kubectl_sew.query.values import Moment, Network, Pattern

Match = Callable[[Mapping[str, Any], float], bool]
"""(an event's JSON object, now in seconds since the epoch) -> whether the query selects it."""
_Test = Callable[[Any, float], bool]

_COMPARE: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQUAL: eq,
    Operator.NOT_EQUAL: eq,
    Operator.LESS: lt,
    Operator.AT_MOST: le,
    Operator.GREATER: gt,
    Operator.AT_LEAST: ge,
}
_MISSING: Any = object()


def compile_matcher(node: Node, fields: FieldSet) -> Match:
    """A predicate that never raises, whatever JSON the event holds. Raises QueryError where `validate` finds errors."""
    require_valid(node, fields)
    return _node(node, fields)


def _node(node: Node, fields: FieldSet) -> Match:
    if isinstance(node, Everything):
        return lambda _, __: True
    if isinstance(node, And):
        return _all([_node(child, fields) for child in node.children])
    if isinstance(node, Or):
        return _any([_node(child, fields) for child in node.children])
    if isinstance(node, Not):
        return _not(_node(node.child, fields))
    return _leaf(node, fields)


def _all(matches: list[Match]) -> Match:
    def match(document: Mapping[str, Any], now: float) -> bool:
        for each in matches:  # noqa: SIM110  # the loop is twice as fast as all()
            if not each(document, now):
                return False
        return True

    return match


def _any(matches: list[Match]) -> Match:
    if len(matches) == 1:
        return matches[0]

    def match(document: Mapping[str, Any], now: float) -> bool:
        for each in matches:  # noqa: SIM110  # the loop is twice as fast as any()
            if each(document, now):
                return True
        return False

    return match


def _not(match: Match) -> Match:
    return lambda document, now: not match(document, now)


def _leaf(leaf: Leaf, fields: FieldSet) -> Match:
    if isinstance(leaf, Membership):
        match = _membership(leaf, fields.for_set(leaf.key.name))
        return _not(match) if leaf.negated else match
    field = fields.get(leaf.key.name)
    assert field is not None  # noqa: S101  # `require_valid` has refused unknown keys
    if isinstance(leaf, Empty):
        whole = replace(field, storage=replace(field.storage, ignore_above=None))
        return _not(_values(whole, lambda _, __: True))
    readers = readings(field, leaf.value, ordered=leaf.operator.orders)
    match = _any([_values(own, _comparison(leaf, own)) for own in readers])
    return _not(match) if leaf.operator is Operator.NOT_EQUAL else match


def _membership(leaf: Membership, field: Field | None) -> Match:
    if field is None:
        return lambda _, __: False
    return _any([_values(own, _members(own, values)) for own, values in by_type(field, leaf.members)])


def _comparison(leaf: Comparison, field: Field) -> _Test:
    value = fitting(field, leaf.value)
    if isinstance(value, Moment):
        return _time(field, leaf.operator, value)
    if isinstance(value, Network):
        return _address(leaf.operator, value)
    if not leaf.operator.orders:
        return lambda found, _: found == value
    compare = _COMPARE[leaf.operator]
    return lambda found, _: compare(found, value)


def _address(operator: Operator, value: Network) -> _Test:
    low, high, compare = value.low, value.high, _COMPARE[operator]
    if operator.orders:
        return lambda found, _: compare(found, low)
    return lambda found, _: low <= found <= high


def _time(field: Field, operator: Operator, value: Moment) -> _Test:
    tick = tick_of(field)
    if value.relative:
        return lambda found, now: _within(found, *interval(value, operator, int(now * 1_000) * 1_000_000, tick))
    low, high = interval(value, operator, 0, tick)
    if low is None:
        return lambda found, _: found < high
    if high is None:
        return lambda found, _: found >= low
    return lambda found, _: low <= found < high


def _within(found: int, low: int | None, high: int | None) -> bool:
    return (low is None or found >= low) and (high is None or found < high)


def _members(field: Field, values: list[Typed]) -> _Test:
    exact = frozenset(value for value in values if isinstance(value, str | int | float))
    others = [_other(field, value) for value in values if not isinstance(value, str | int | float)]
    if not others:
        return lambda found, _: found in exact
    if len(others) == 1 and not exact:
        return others[0]
    return lambda found, now: found in exact or any(other(found, now) for other in others)


def _other(field: Field, value: Pattern | Network | Moment) -> _Test:
    if isinstance(value, Pattern):
        return _wildcard(value)
    return _time(field, Operator.EQUAL, value) if isinstance(value, Moment) else _address(Operator.EQUAL, value)


def _wildcard(pattern: Pattern) -> _Test:
    parts = pattern.parts
    if parts[-1] is None and len(parts) == 2 and parts[0]:
        head = parts[0]
        return lambda found, _: found.startswith(head)
    if parts[0] is None and len(parts) == 2 and parts[1]:
        tail = parts[1]
        return lambda found, _: found.endswith(tail)
    fullmatch = re.compile(_expression(parts), re.DOTALL).fullmatch
    return lambda found, _: fullmatch(found) is not None


def _expression(parts: tuple[str | None, ...]) -> str:
    """Between stars the first place that fits is as good as any: atomic groups never look back: linear time."""
    runs, last = [""], 0
    for part in parts:
        if part is None:
            runs.append("")
            last += 1
        else:
            runs[last] += re.escape(part) if part else "."
    if len(runs) == 1:
        return runs[0]
    middle = "".join(f"(?>.*?{run})" for run in runs[1:-1] if run)
    return f"{runs[0]}{middle}.*{runs[-1]}"


def _values(field: Field, test: _Test) -> Match:
    """Whether any value of the field passes the test; the common case, one scalar at the top, is told apart first."""
    read, walk, name = reader(field), walker(field.name, field.storage.flat_from), field.name
    null = None if field.null_value is None else read(field.null_value)
    blank = null if field.type in (FieldType.INTEGER, FieldType.FLOAT) and field.storage.coerce else None

    def general(document: Mapping[str, Any], now: float) -> bool:
        for raw in walk(document):
            value = null if raw is None else read(raw)
            if value is None and raw == "":
                value = blank
            if value is not None and test(value, now):
                return True
        return False

    if "." in name or name == "_id":
        return general
    native = str if field.type is FieldType.STRING and field.storage == PLAIN else None

    def match(document: Mapping[str, Any], now: float) -> bool:
        raw = document.get(name, _MISSING)
        if raw.__class__ is native:
            return test(raw, now)
        if raw is _MISSING:
            return False
        if raw.__class__ is list or raw is None or raw == "":
            return general(document, now)
        value = read(raw)
        return value is not None and test(value, now)

    return match
