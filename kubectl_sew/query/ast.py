"""The tree of a query: frozen nodes with their places in the text; `str` writes the canonical form.

Equality ignores the places. `conjunction`, `disjunction` and `negation` build flattened trees: no AND directly in an
AND, no OR in an OR, no double NOT. The parser uses them, so that parsing a tree's text gives an equal tree.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from kubectl_sew.query.errors import Span

KEYWORDS = frozenset({"and", "or", "not", "in", "notin", "empty"})
IDENTIFIER = re.compile(r"[^\W\d]\w*")
NOWHERE = Span(0, 0)
EVERY_EVENT = "type EMPTY OR NOT type EMPTY"
"""A query that selects every event, for webhooks: those have no empty query."""
MOST_PARTS = 20
"""Parts of a query that a preview counts alone."""
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class Key:
    """A field's name."""

    name: str
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        plain = is_identifier(self.name) and self.name.lower() not in KEYWORDS
        return self.name if plain else quote(self.name)


@dataclass(frozen=True, slots=True)
class Literal:
    """A value: its text with escapes resolved; `number` where it was written as a number without quotes."""

    text: str
    number: bool = False
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        return self.text if self.number or is_identifier(self.text) else quote(self.text)


class Operator(Enum):
    """A comparator of a selector, as it is written."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="

    @property
    def orders(self) -> bool:
        """True for a comparator that compares by order."""
        return self not in (Operator.EQUAL, Operator.NOT_EQUAL)


@dataclass(frozen=True, slots=True)
class Everything:
    """The empty query."""

    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`key = value` and its like."""

    key: Key
    operator: Operator
    value: Literal
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.key} {self.operator.value} {self.value}"


@dataclass(frozen=True, slots=True)
class Membership:
    """`key IN {…}`, or NOTIN where `negated`. At least one member."""

    key: Key
    members: tuple[Literal, ...]
    negated: bool = False
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.key} {'NOTIN' if self.negated else 'IN'} {{{', '.join(map(str, self.members))}}}"


@dataclass(frozen=True, slots=True)
class Empty:
    """`key EMPTY`."""

    key: Key
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.key} EMPTY"


@dataclass(frozen=True, slots=True)
class Not:
    """The negation of a node."""

    child: "Node"
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        inner = f"({self.child})" if isinstance(self.child, And | Or) else str(self.child)
        return f"NOT {inner}"


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more nodes."""

    children: "tuple[Node, ...]"
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        return " AND ".join(f"({child})" if isinstance(child, And | Or) else str(child) for child in self.children)


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more nodes."""

    children: "tuple[Node, ...]"
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        return " OR ".join(f"({child})" if isinstance(child, Or) else str(child) for child in self.children)


Leaf = Comparison | Membership | Empty
Node = Everything | Leaf | Not | And | Or


def conjunction(children: Iterable[Node], span: Span = NOWHERE) -> Node:
    """Join `children` (at least one) by AND, flattened."""
    parts = [part for child in children for part in (child.children if isinstance(child, And) else (child,))]
    return parts[0] if len(parts) == 1 else And(tuple(parts), span)


def disjunction(children: Iterable[Node], span: Span = NOWHERE) -> Node:
    """Join `children` (at least one) by OR, flattened."""
    parts = [part for child in children for part in (child.children if isinstance(child, Or) else (child,))]
    return parts[0] if len(parts) == 1 else Or(tuple(parts), span)


def negation(child: Node, span: Span = NOWHERE) -> Node:
    """Negate `child`; two NOTs are none."""
    return child.child if isinstance(child, Not) else Not(child, span)


def leaves(node: Node) -> Iterable[Leaf]:
    """Yield all leaves, in the order of the text."""
    if isinstance(node, And | Or):
        for child in node.children:
            yield from leaves(child)
    elif isinstance(node, Not):
        yield from leaves(node.child)
    elif not isinstance(node, Everything):
        yield node


def depth(node: Node) -> int:
    """Return how deep the DSL of a flattened tree can be, its leaf included."""
    if isinstance(node, And | Or):
        return 1 + max(map(depth, node.children))
    if isinstance(node, Not):
        return 1 + depth(node.child)
    if isinstance(node, Membership):
        return 3 if node.negated else 2
    return 2 if isinstance(node, Empty) or (isinstance(node, Comparison) and node.operator is Operator.NOT_EQUAL) else 1


def is_identifier(text: str) -> bool:
    """Return whether `text` can stand without quotes as a value."""
    return IDENTIFIER.fullmatch(text) is not None


def quote(text: str) -> str:
    """Write `text` as a quoted string of the language, what is not printable as an escape."""
    return '"' + "".join(_ESCAPES.get(char) or (char if char.isprintable() else _escape(char)) for char in text) + '"'


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
