"""A bound query as a predicate over events: closures, compiled once, called for each event."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import eq, ge, gt, le, lt
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
from kubectl_sew.query.event_values import Read, reader, walker
from kubectl_sew.query.fields import PLAIN, Field, FieldType
from kubectl_sew.query.literals import interval, tick_of
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


def compile_matcher(query: BoundQuery) -> Match:
    """Return a predicate that never raises, whatever JSON the event holds."""
    return _node(query.root)


def _node(node: BoundNode) -> Match:
    if isinstance(node, Everything):
        return lambda _, __: True
    if isinstance(node, BoundAnd):
        return _all([_node(child) for child in node.children])
    if isinstance(node, BoundOr):
        return _any([_node(child) for child in node.children])
    if isinstance(node, BoundNot):
        return _not(_node(node.child))
    return _leaf(node)


def _all(matches: list[Match]) -> Match:
    def match(document: Mapping[str, Any], now: float) -> bool:
        for test in matches:  # noqa: SIM110  # the loop is twice as fast as all()
            if not test(document, now):
                return False
        return True

    return match


def _any(matches: list[Match]) -> Match:
    if len(matches) == 1:
        return matches[0]

    def match(document: Mapping[str, Any], now: float) -> bool:
        for test in matches:  # noqa: SIM110  # the loop is twice as fast as any()
            if test(document, now):
                return True
        return False

    return match


def _not(match: Match) -> Match:
    return lambda document, now: not match(document, now)


def _leaf(bound: BoundLeaf) -> Match:
    if isinstance(bound, BoundMembership):
        match = _any([_values(typed.field, _members(typed)) for typed in bound.members])
        return _not(match) if bound.leaf.negated else match
    if isinstance(bound, BoundComparison):
        operator = bound.leaf.operator
        match = _any([_values(reading.field, _comparison(operator, reading)) for reading in bound.readings])
        return _not(match) if operator is Operator.NOT_EQUAL else match
    field = bound.field
    whole = replace(field, storage=replace(field.storage, ignore_above=None))
    return _not(_values(whole, lambda _, __: True))


def _comparison(operator: Operator, reading: TypedValue) -> _Test:
    expected = reading.value
    if isinstance(expected, Moment):
        return _time(reading.field, operator, expected)
    if isinstance(expected, Network):
        return _address(operator, expected)
    if not operator.orders:
        return lambda value, _: value == expected
    compare = _COMPARE[operator]
    return lambda value, _: compare(value, expected)


def _address(operator: Operator, network: Network) -> _Test:
    low, high, compare = network.low, network.high, _COMPARE[operator]
    if operator.orders:
        return lambda value, _: compare(value, low)
    return lambda value, _: low <= value <= high


def _time(field: Field, operator: Operator, moment: Moment) -> _Test:
    tick = tick_of(field)
    if moment.relative:
        return lambda value, now: _within(value, *interval(moment, operator, int(now * 1_000) * 1_000_000, tick))
    low, high = interval(moment, operator, 0, tick)
    if low is None:
        return lambda value, _: value < high
    if high is None:
        return lambda value, _: value >= low
    return lambda value, _: low <= value < high


def _within(value: int, low: int | None, high: int | None) -> bool:
    return (low is None or value >= low) and (high is None or value < high)


def _members(typed: TypedMembers) -> _Test:
    field, values = typed.field, typed.values
    exact = frozenset(member for member in values if isinstance(member, str | int | float))
    others = [_other(field, member) for member in values if not isinstance(member, str | int | float)]
    if not others:
        return lambda value, _: value in exact
    if len(others) == 1 and not exact:
        return others[0]
    return lambda value, now: value in exact or any(other(value, now) for other in others)


def _other(field: Field, value: Pattern | Network | Moment) -> _Test:
    if isinstance(value, Pattern):
        return _wildcard(value)
    return _time(field, Operator.EQUAL, value) if isinstance(value, Moment) else _address(Operator.EQUAL, value)


def _wildcard(pattern: Pattern) -> _Test:
    parts = pattern.parts
    if parts[-1] is None and len(parts) == 2 and parts[0]:
        head = parts[0]
        return lambda value, _: value.startswith(head)
    if parts[0] is None and len(parts) == 2 and parts[1]:
        tail = parts[1]
        return lambda value, _: value.endswith(tail)
    fullmatch = re.compile(_expression(parts), re.DOTALL).fullmatch
    return lambda value, _: fullmatch(value) is not None


def _expression(parts: tuple[str | None, ...]) -> str:
    """Return a pattern's regular expression. Atomic groups keep it linear: between stars the first fit will do."""
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
    """Match events of which a value of the field passes the test."""
    read = reader(field)
    anywhere = _anywhere(field, read, test)
    return anywhere if "." in field.name or field.name == "_id" else _at_the_top(field, read, test, anywhere)


def _anywhere(field: Field, read: Read, test: _Test) -> Match:
    walk = walker(field.name, field.storage.flat_from)
    null = None if field.null_value is None else read(field.null_value)
    blank = null if field.type in (FieldType.INTEGER, FieldType.FLOAT) and field.storage.coerce else None

    def match(document: Mapping[str, Any], now: float) -> bool:
        for raw in walk(document):
            value = null if raw is None else read(raw)
            if value is None and raw == "":
                value = blank
            if value is not None and test(value, now):
                return True
        return False

    return match


def _at_the_top(field: Field, read: Read, test: _Test, anywhere: Match) -> Match:
    """Match the common case first, one scalar below a key without dots."""
    name = field.name
    native = str if field.type is FieldType.STRING and field.storage == PLAIN else None

    def match(document: Mapping[str, Any], now: float) -> bool:
        raw = document.get(name, _MISSING)
        if raw.__class__ is native:
            return test(raw, now)
        if raw is _MISSING:
            return False
        if raw.__class__ is list or raw is None or raw == "":
            return anywhere(document, now)
        value = read(raw)
        return value is not None and test(value, now)

    return match
