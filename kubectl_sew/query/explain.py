"""A bound query in plain words."""

from typing import TypeGuard

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
)
from kubectl_sew.query.fields import FieldType
from kubectl_sew.query.literals import Typed
from kubectl_sew.query.values import Network, Pattern

_WORDS = {
    Operator.EQUAL: "is",
    Operator.NOT_EQUAL: "is not",
    Operator.LESS: "is less than",
    Operator.AT_MOST: "is at most",
    Operator.GREATER: "is greater than",
    Operator.AT_LEAST: "is at least",
}
_TIME_WORDS = _WORDS | {
    Operator.LESS: "is before",
    Operator.AT_MOST: "is at or before",
    Operator.GREATER: "is after",
    Operator.AT_LEAST: "is at or after",
}


def explain(query: BoundQuery) -> str:
    """Return what a query selects, in one or several lines."""
    node = query.root
    if isinstance(node, Everything):
        return "Selects every event."
    if isinstance(node, BoundAnd | BoundOr | BoundNot):
        return "Selects events for which " + "\n".join(_lines(node, 0))
    return f"Selects events whose {_leaf(node)}."


def _lines(node: BoundNode, level: int) -> list[str]:
    if not isinstance(node, BoundAnd | BoundOr | BoundNot):
        return ["" if isinstance(node, Everything) else _leaf(node)]
    heads = {BoundAnd: "all of these hold:", BoundOr: "at least one of these holds:", BoundNot: "this does not hold:"}
    children = (node.child,) if isinstance(node, BoundNot) else node.children
    lines = [heads[type(node)]]
    for child in children:
        first, *rest = _lines(child, level + 1)
        lines += ["  " * (level + 1) + "- " + first, *rest]
    return lines


def _leaf(bound: BoundLeaf) -> str:
    if isinstance(bound, BoundComparison):
        return _comparison(bound)
    if isinstance(bound, BoundMembership):
        return _membership(bound)
    return f"{bound.leaf.key.name} has no value"


def _comparison(bound: BoundComparison) -> str:
    leaf, first = bound.leaf, bound.readings[0]
    if _is_network(first.value):
        verb = "is in" if leaf.operator is Operator.EQUAL else "is not in"
        return f"{leaf.key.name} {verb} the network {first.value.text}"
    words = (_TIME_WORDS if first.field.type is FieldType.TIME else _WORDS)[leaf.operator]
    missing = " (or is missing)" if leaf.operator is Operator.NOT_EQUAL else ""
    return f"{leaf.key.name} {words} {leaf.value}{missing}"


def _membership(bound: BoundMembership) -> str:
    leaf = bound.leaf
    if not bound.members:
        return f"{leaf.key.name}, which no event has, is {'not ' if leaf.negated else ''}in a set"
    values = [value for typed in bound.members for value in typed.values]
    members = ", ".join(map(str, leaf.members))
    verb = "is none of" if leaf.negated else "is one of"
    if any(isinstance(value, Pattern) or _is_network(value) for value in values):
        verb = "matches none of" if leaf.negated else "matches one of"
    return f"{leaf.key.name} {verb} {members}{' (or is missing)' if leaf.negated else ''}"


def _is_network(value: Typed) -> TypeGuard[Network]:
    return isinstance(value, Network) and not value.single
