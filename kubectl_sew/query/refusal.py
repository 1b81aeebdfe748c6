"""The parts of a query that do not select an event, with the event's values there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubectl_sew.json_text import line
from kubectl_sew.query.ast import And, Everything, Node, Not, Or
from kubectl_sew.query.binding import (
    BoundAnd,
    BoundComparison,
    BoundMembership,
    BoundNode,
    BoundNot,
    BoundOr,
    BoundQuery,
)
from kubectl_sew.query.event_values import walker
from kubectl_sew.query.fields import PLAIN, Storage
from kubectl_sew.query.matcher import compile_matcher

_LONGEST_PART = 200
_LONGEST_VALUE = 80
_MOST_FIELDS = 5


@dataclass(frozen=True, slots=True)
class Refusal:
    """A part of a query that alone keeps an event out."""

    part: Node
    """Its `str` is the part as a query; one that only a NOT around it kept out stands with that NOT."""
    values: Mapping[str, tuple[Any, ...]]
    """Values of the event, as its JSON has them, for each key that the part names; none where it has none."""

    def __str__(self) -> str:
        """One clean line, cut where it is long: `severity >= 80: severity is 50`."""
        shown = [_shown(name, values) for name, values in list(self.values.items())[:_MOST_FIELDS]]
        more = len(self.values) - len(shown)
        return f"{line(str(self.part), _LONGEST_PART)}: {', '.join(shown)}{f' and {more} more keys' if more else ''}"


def _shown(name: str, values: tuple[Any, ...]) -> str:
    said = (line(list(values), _LONGEST_VALUE) or "empty") if values else "missing"
    return f"{line(name, _LONGEST_VALUE)} is {said}"


def refusals(query: BoundQuery, event: Mapping[str, Any], now: float) -> tuple[Refusal, ...]:
    """Return the smallest parts that say no to an event, in the query's order; none where it selects the event.

    Of an AND those that do not hold, of an OR the whole, since all of it failed. `event` as the matcher takes it.
    """
    return tuple(
        Refusal(part, {name: _values(event, name, storage) for name, storage in _fields(bound)})
        for part, bound in _refusing(query.node, query.root, event, now, wanted=True)
    )


def _refusing(
    node: Node, bound: BoundNode, event: Mapping[str, Any], now: float, *, wanted: bool
) -> Iterator[tuple[Node, BoundNode]]:
    """Yield the smallest parts that are not as `wanted`; those that hold although they may not, under a NOT."""
    if _holds(node, bound, event, now) is wanted:
        return
    if isinstance(node, Not) and isinstance(bound, BoundNot):
        yield from _refusing(node.child, bound.child, event, now, wanted=not wanted)
    elif isinstance(node, And) and isinstance(bound, BoundAnd) and wanted:
        for child, bound_child in zip(node.children, bound.children, strict=True):
            yield from _refusing(child, bound_child, event, now, wanted=True)
    elif isinstance(node, Or) and isinstance(bound, BoundOr) and not wanted:
        for child, bound_child in zip(node.children, bound.children, strict=True):
            yield from _refusing(child, bound_child, event, now, wanted=False)
    else:
        yield (node if wanted else Not(node)), bound


def _holds(node: Node, bound: BoundNode, event: Mapping[str, Any], now: float) -> bool:
    return compile_matcher(BoundQuery(node, bound))(event, now)


def _fields(bound: BoundNode) -> Iterator[tuple[str, Storage]]:
    """Yield the key of each leaf, and how its field is stored."""
    if isinstance(bound, BoundAnd | BoundOr):
        for child in bound.children:
            yield from _fields(child)
    elif isinstance(bound, BoundNot):
        yield from _fields(bound.child)
    elif isinstance(bound, BoundComparison):
        yield bound.leaf.key.name, bound.readings[0].field.storage
    elif isinstance(bound, BoundMembership):
        yield bound.leaf.key.name, bound.members[0].field.storage if bound.members else PLAIN
    elif not isinstance(bound, Everything):
        yield bound.leaf.key.name, bound.field.storage


def _values(event: Mapping[str, Any], name: str, storage: Storage) -> tuple[Any, ...]:
    values = [value for value in walker(name, storage.flat_from)(event) if value is not None]
    return tuple(reversed(values))  # the walk begins with the last
