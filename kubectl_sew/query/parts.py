"""The parts of a query as a tree, and which of them lets nothing pass where the events of each are counted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from kubectl_sew.query.ast import And, Not, Or
from kubectl_sew.query.binding import BoundAnd, BoundNot, BoundOr, BoundQuery


class Joint(Enum):
    """How a part is made of others."""

    ALL = "all of these"
    ANY = "any of these"
    NOT = "not this"
    NONE = ""
    """A single condition."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryPart:
    """A part of a query, and what it is made of."""

    query: BoundQuery
    joint: Joint = Joint.NONE
    children: "tuple[QueryPart, ...]" = ()

    def __str__(self) -> str:
        return str(self.query.node)

    def __iter__(self) -> "Iterator[QueryPart]":
        """Yield the part and all below it, level by level: of a huge query what matters comes first."""
        level = [self]
        while level:
            yield from level
            level = [child for part in level for child in part.children]


def parts_of(query: BoundQuery) -> QueryPart:
    """Return the whole query as a part."""
    node, root = query.node, query.root
    if isinstance(node, Not) and isinstance(root, BoundNot):
        return QueryPart(query, Joint.NOT, (parts_of(BoundQuery(node.child, root.child)),))
    if isinstance(node, And | Or) and isinstance(root, BoundAnd | BoundOr):
        children = zip(node.children, root.children, strict=True)
        joint = Joint.ALL if isinstance(node, And) else Joint.ANY
        return QueryPart(query, joint, tuple(parts_of(BoundQuery(*child)) for child in children))
    return QueryPart(query)


def first_together(part: QueryPart, count: int) -> BoundQuery:
    """Return what the first `count` parts of an AND select together."""
    node, root = part.query.node, part.query.root
    if isinstance(node, And) and isinstance(root, BoundAnd):
        return BoundQuery(And(node.children[:count]), BoundAnd(root.children[:count]))
    return part.query


def blocking(part: QueryPart, count: Callable[[QueryPart], int | None]) -> QueryPart:
    """Return the smallest part that alone explains why `part` selects nothing.

    `count`: how many events a part selects, None where nobody has counted. An AND stands for itself where each of its
    parts selects some, but no event has all; so does an OR, since all of it failed.
    """
    if part.joint is Joint.ALL:
        empty = next((child for child in part.children if count(child) == 0), None)
        return blocking(empty, count) if empty else part
    return part
