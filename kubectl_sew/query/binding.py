"""A query bound to a field set: each comparison with the fields and the typed values that it is read as.

What a query means is decided here, once. The translation, the matcher and the explanation take a bound query only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kubectl_sew.query import lint
from kubectl_sew.query.ast import And, Comparison, Empty, Everything, Key, Leaf, Literal, Membership, Node, Not, Or
from kubectl_sew.query.complexity import too_much_work
from kubectl_sew.query.errors import QueryError, QueryProblem, quoted
from kubectl_sew.query.fields import Field, FieldSet, FieldType, UnlistedKeys
from kubectl_sew.query.literals import Exact, Typed, not_allowed, read_literal, read_member, readings
from kubectl_sew.query.values import Network

_CALICOS_FIELDS = "`kubectl sew fields` lists those of Calico's events; --fields any takes every key"


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A comparison's value, and the field of the type that it has there."""

    field: Field
    value: Exact


@dataclass(frozen=True, slots=True)
class TypedMembers:
    """A set's members of one type, and the field of that type."""

    field: Field
    values: tuple[Typed, ...]


@dataclass(frozen=True, slots=True)
class BoundComparison:
    """A comparison as all that it is read as: one typed value, or two where the field has no type of its own."""

    leaf: Comparison
    readings: tuple[TypedValue, ...]


@dataclass(frozen=True, slots=True)
class BoundMembership:
    """A set expression, its members by their types. No members: no event has a value in the field."""

    leaf: Membership
    members: tuple[TypedMembers, ...]


@dataclass(frozen=True, slots=True)
class BoundEmptiness:
    """An emptiness test."""

    leaf: Empty
    field: Field


@dataclass(frozen=True, slots=True)
class BoundNot:
    """The negation of a bound node."""

    child: "BoundNode"


@dataclass(frozen=True, slots=True)
class BoundAnd:
    """All of some bound nodes."""

    children: "tuple[BoundNode, ...]"


@dataclass(frozen=True, slots=True)
class BoundOr:
    """Any of some bound nodes."""

    children: "tuple[BoundNode, ...]"


BoundLeaf = BoundComparison | BoundMembership | BoundEmptiness
BoundNode = Everything | BoundLeaf | BoundNot | BoundAnd | BoundOr


@dataclass(frozen=True, slots=True)
class BoundQuery:
    """A query that can be answered. `node` is the tree that was bound; its `str` is the query's canonical text."""

    node: Node
    root: BoundNode
    warnings: tuple[QueryProblem, ...] = ()

    @property
    def parts(self) -> "tuple[BoundQuery, ...]":
        """Queries that the top of this one joins by AND or OR, also under one NOT; none where it is one part."""
        node = self.node.child if isinstance(self.node, Not) else self.node
        root = self.root.child if isinstance(self.root, BoundNot) else self.root
        if isinstance(node, And | Or) and isinstance(root, BoundAnd | BoundOr):
            return tuple(map(BoundQuery, node.children, root.children))
        return ()


def bind(node: Node, fields: FieldSet, text: str = "") -> BoundQuery:
    """Return the query with the field and type of each comparison.

    Raises QueryError with every problem, warnings too; `text` is what the tree was parsed from, drawn in the error.
    """
    problems: list[QueryProblem] = []
    root = _bind(node, fields, problems)
    problems += too_much_work(node)
    problems.sort(key=lambda problem: problem.span.start)
    if root is None or not all(problem.warning for problem in problems):
        raise QueryError(text, problems)
    return BoundQuery(node, root, tuple(problems))


def _bind(node: Node, fields: FieldSet, problems: list[QueryProblem]) -> BoundNode | None:
    """Bind a node, None where nothing below it can be bound. Each part that cannot has an error in `problems`."""
    if isinstance(node, Everything):
        return node
    if isinstance(node, Not):
        child = _bind(node.child, fields, problems)
        return child and BoundNot(child)
    if isinstance(node, And | Or):
        bound = (_bind(child, fields, problems) for child in node.children)
        children = tuple(child for child in bound if child is not None)
        return BoundAnd(children) if isinstance(node, And) else BoundOr(children)
    return _leaf(node, fields, problems)


def _leaf(leaf: Leaf, fields: FieldSet, problems: list[QueryProblem]) -> BoundLeaf | None:
    field = fields.get(leaf.key.name)
    if field is None:
        problems.append(_unknown_key(leaf, fields))
        if not isinstance(leaf, Membership):
            return None
        field = fields.for_set(leaf.key.name)
        if field is None:
            return BoundMembership(leaf, ())
    if field.storage.refusal:
        problems.append(QueryProblem(f"{quoted(field.name)} cannot be queried: {field.storage.refusal}", leaf.key.span))
        return None
    if isinstance(leaf, Membership):
        return BoundMembership(leaf, _members(leaf.members, field, problems))
    if isinstance(leaf, Comparison):
        return _comparison(leaf, field, problems)
    return _emptiness(leaf, field, problems)


def _unknown_key(leaf: Leaf, fields: FieldSet) -> QueryProblem:
    key, near = leaf.key, fields.closest(leaf.key.name)
    of_index = fields.unlisted is UnlistedKeys.ABSENT
    listed = f"see the mapping of {fields.name}" if of_index else _CALICOS_FIELDS
    hint = "did you mean " + " or ".join(map(quoted, near)) + "?" if near else listed
    message = f"there is no field {quoted(key.name)}"
    if not isinstance(leaf, Membership):
        pattern = lint.pattern_hint(leaf) if isinstance(leaf, Comparison) and not near and not of_index else ""
        return QueryProblem(message, key.span, "; ".join(filter(None, (hint, pattern))))
    if of_index or not near:
        message += f": {fields.why_absent(key.name) if of_index else 'its values are not checked'}"
    return QueryProblem(message, key.span, hint, warning=True)


def _emptiness(leaf: Empty, field: Field, problems: list[QueryProblem]) -> BoundEmptiness:
    if field.equality_only:
        problems.append(_equality_only(leaf.key))
    elif "*" in field.path:
        message = "Elasticsearch reads a `*` in the name as a pattern, so other fields match too"
        problems.append(QueryProblem(message, leaf.key.span))
    elif field.storage.ignore_above is not None and not field.storage.names_ignored:
        message = (
            f"{quoted(field.name)} cannot be tested for EMPTY: OpenSearch does not tell an event without a value from "
            f"one whose value has more than {field.storage.ignore_above} characters (ignore_above)"
        )
        problems.append(QueryProblem(message, leaf.key.span))
    return BoundEmptiness(leaf, field)


def _comparison(leaf: Comparison, field: Field, problems: list[QueryProblem]) -> BoundComparison | None:
    ordered = leaf.operator.orders
    if ordered and field.equality_only:
        problems.append(_equality_only(leaf.key))
        return None
    if ordered and not field.storage.ordered:
        problems.append(_without_order(leaf, field))
        return None
    typed = []
    for reading in readings(field, leaf.value, ordered=ordered):
        value = read_literal(reading, leaf.value)
        if isinstance(value, QueryProblem):
            problems.append(value)
            return None
        typed.append(TypedValue(reading, value))
    first = typed[0]
    problems += _orders(leaf, first) if ordered else _unlisted(leaf, field)
    problems += lint.comparison(leaf, first.field)
    return BoundComparison(leaf, tuple(typed))


def _unlisted(leaf: Comparison, field: Field) -> Iterable[QueryProblem]:
    for problem in not_allowed(field, leaf.value):
        yield replace(problem, hint=lint.pattern_hint(leaf) or problem.hint)


def _without_order(leaf: Comparison, field: Field) -> QueryProblem:
    message = f"{quoted(field.name)} has no order: OpenSearch does not order the values of a `wildcard` field"
    return QueryProblem(message, leaf.span, "use `=`, `!=`, IN or NOTIN")


def _orders(leaf: Comparison, typed: TypedValue) -> Iterable[QueryProblem]:
    if typed.field.type is FieldType.BOOLEAN:
        message = f"{quoted(typed.field.name)} is true or false and has no order"
        yield QueryProblem(message, leaf.span, "use `=` or `!=`")
    elif isinstance(typed.value, Network) and not typed.value.single:
        yield QueryProblem("a network has no order", leaf.value.span, "use `=`, `!=`, IN or NOTIN with a CIDR")


def _members(members: Sequence[Literal], field: Field, problems: list[QueryProblem]) -> tuple[TypedMembers, ...]:
    """Bind members as they are compared: one entry, or one for each type where the field has none of its own."""
    by_type: dict[FieldType, tuple[Field, list[Typed]]] = {}
    for member in members:
        for typed in _member(member, field, problems):
            by_type.setdefault(typed.field.type, (typed.field, []))[1].extend(typed.values)
    return tuple(TypedMembers(reading, tuple(values)) for reading, values in by_type.values())


def _member(member: Literal, field: Field, problems: list[QueryProblem]) -> list[TypedMembers]:
    typed: list[TypedMembers] = []
    for reading in readings(field, member):
        value = read_member(reading, member)
        if isinstance(value, QueryProblem):
            problems.append(value)
            return []
        if not typed:
            problems += lint.member(member, reading, value)
        typed.append(TypedMembers(reading, (value,)))
    return typed


def _equality_only(key: Key) -> QueryProblem:
    return QueryProblem(f"{quoted(key.name)} can only be compared with `=`, `!=`, IN and NOTIN", key.span)
