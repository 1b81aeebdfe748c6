"""A query in plain words."""

from kubectl_sew.query.ast import And, Comparison, Empty, Everything, Leaf, Membership, Node, Not, Operator, Or
from kubectl_sew.query.fields import FieldSet, FieldType
from kubectl_sew.query.literals import by_type, concrete
from kubectl_sew.query.values import Network, Pattern, network

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


def explain(node: Node, fields: FieldSet) -> str:
    """What a valid query selects, in one or several lines."""
    if isinstance(node, Everything):
        return "Selects every event."
    if isinstance(node, And | Or | Not):
        return "Selects events for which " + "\n".join(_lines(node, fields, 0))
    return f"Selects events whose {_leaf(node, fields)}."


def _lines(node: Node, fields: FieldSet, level: int) -> list[str]:
    if not isinstance(node, And | Or | Not):
        return ["" if isinstance(node, Everything) else _leaf(node, fields)]
    heads = {And: "all of these hold:", Or: "at least one of these holds:", Not: "this does not hold:"}
    children = (node.child,) if isinstance(node, Not) else node.children
    lines = [heads[type(node)]]
    for child in children:
        first, *rest = _lines(child, fields, level + 1)
        lines += ["  " * (level + 1) + "- " + first, *rest]
    return lines


def _leaf(leaf: Leaf, fields: FieldSet) -> str:
    if isinstance(leaf, Empty):
        return f"{leaf.key.name} has no value"
    if isinstance(leaf, Comparison):
        return _comparison(leaf, fields)
    return _membership(leaf, fields)


def _comparison(leaf: Comparison, fields: FieldSet) -> str:
    field = fields.get(leaf.key.name)
    kind = concrete(field, leaf.value, ordered=leaf.operator.orders).type if field else FieldType.STRING
    found = network(leaf.value.text) if kind is FieldType.IP else None
    if found and not found.single:
        return f"{leaf.key.name} {'is in' if leaf.operator is Operator.EQUAL else 'is not in'} the network {found.text}"
    words = (_TIME_WORDS if kind is FieldType.TIME else _WORDS)[leaf.operator]
    missing = " (or is missing)" if leaf.operator is Operator.NOT_EQUAL else ""
    return f"{leaf.key.name} {words} {leaf.value}{missing}"


def _membership(leaf: Membership, fields: FieldSet) -> str:
    field = fields.for_set(leaf.key.name)
    if field is None:
        return f"{leaf.key.name}, which no event has, is {'not ' if leaf.negated else ''}in a set"
    typed = [value for _, values in by_type(field, leaf.members) for value in values]
    members = ", ".join(map(str, leaf.members))
    verb = "is none of" if leaf.negated else "is one of"
    if any(isinstance(value, Pattern) or (isinstance(value, Network) and not value.single) for value in typed):
        verb = "matches none of" if leaf.negated else "matches one of"
    return f"{leaf.key.name} {verb} {members}{' (or is missing)' if leaf.negated else ''}"
