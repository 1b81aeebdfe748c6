"""What a query means to Calico's own processor where it is not what it means here.

Facts: it sends every member of a set to Elasticsearch as a wildcard, which works on strings alone and takes a backslash
before any character for an escape; it sends a time as it is written, so that the index reads it as a whole second; and
it looks at an event once, by its time.
"""

import re
from collections.abc import Iterator

from kubectl_sew.query.ast import (
    And,
    Comparison,
    Empty,
    Leaf,
    Literal,
    Membership,
    Node,
    Not,
    Operator,
    Or,
    leaves,
    quote,
)
from kubectl_sew.query.errors import QueryProblem, quoted
from kubectl_sew.query.fields import FieldSet, FieldType

_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]+)?")
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_BACK = "this matters only where it is to go back"


def only_ours(node: Node, fields: FieldSet) -> Iterator[QueryProblem]:
    """Yield a warning for each part of a query that Calico's processor refuses or fails on."""
    for leaf in leaves(node):
        yield from _only_ours(leaf, fields)


def read_otherwise(node: Node, fields: FieldSet) -> Iterator[QueryProblem]:
    """Yield a warning for each part of a query that selects other events with Calico's processor."""
    for leaf in leaves(node):
        match leaf:
            case Membership(_, members):
                for member in members:
                    yield from _dropped_backslash(member)
            case Comparison(key, operator, value) if _type_of(key.name, fields) is FieldType.TIME:
                yield from _whole_second(leaf, operator, value)


def found_later(node: Node) -> Iterator[QueryProblem]:
    """Yield a warning for each part of a webhook's query that can select an event long after it happened."""
    for leaf in _asking_for_dismissed(node, negated=False):
        message = "an event is delivered when somebody dismisses it: Calico's processor does not look at it again"
        yield _problem(message, leaf, "leave it out unless that is wanted: hardly any event is new and dismissed")


def _asking_for_dismissed(node: Node, *, negated: bool) -> Iterator[Leaf]:
    """Yield the comparisons that become true where an event is dismissed."""
    match node:
        case Not(child):
            yield from _asking_for_dismissed(child, negated=not negated)
        case And(children) | Or(children):
            for child in children:
                yield from _asking_for_dismissed(child, negated=negated)
        case Comparison(key, operator, value) if key.name == "dismissed":
            if ((operator is Operator.EQUAL) == (value.text == "true")) is not negated:
                yield node


def _only_ours(leaf: Leaf, fields: FieldSet) -> Iterator[QueryProblem]:
    kind = _type_of(leaf.key.name, fields)
    match leaf:
        case Empty():
            yield _problem("Calico's processor fails on EMPTY", leaf, _BACK)
        case Membership(key) if kind is not FieldType.STRING or key.name == "_id":
            message = f"Calico's processor fails on a set of {quoted(key.name)}: sets are for strings there"
            yield _problem(message, leaf, f"for both write {'`!=` and AND' if leaf.negated else '`=` and OR'}")
        case Membership(_, members):
            for member in members:
                if member.number:
                    hint = f"put it in quotes for both: {quote(member.text)}"
                    yield _problem("Calico's processor takes no number in a set", member, hint)
        case Comparison(_, _, value) if kind is FieldType.TIME and not _SECONDS.fullmatch(value.text):
            yield _problem("Calico's processor takes a time in seconds since the epoch alone", value, _BACK)


def _type_of(name: str, fields: FieldSet) -> FieldType:
    """Return the type of a field; a string where it is not known, or may hold anything."""
    field = fields.get(name)
    return FieldType.STRING if field is None or field.type is FieldType.ANY else field.type


def _dropped_backslash(member: Literal) -> Iterator[QueryProblem]:
    r"""Warn of a backslash that Calico drops, since it stands before none of `*`, `?` and `\`."""
    if any(escape[1] not in ("*", "?", "\\", "") for escape in _ESCAPE.finditer(member.text)):
        doubled = _ESCAPE.sub(
            lambda escape: escape[0] if escape[1] in ("*", "?", "\\") else f"\\\\{escape[1]}", member.text
        )
        message = f"in a set Calico's processor drops the backslash of {quoted(member.text)}"
        yield _problem(message, member, f"for a backslash in both write `{doubled}` between backticks")


def _whole_second(leaf: Comparison, operator: Operator, value: Literal) -> Iterator[QueryProblem]:
    """Warn of a comparison to which the rest of the second matters."""
    if operator in (Operator.GREATER, Operator.AT_MOST) and value.text.isdecimal() and len(value.text) <= 12:
        following = f"{'>=' if operator is Operator.GREATER else '<'} {int(value.text) + 1}"
        message = (
            f"after `{operator.value}` Calico's processor takes {value.text} for the end of that second, not its start"
        )
        yield _problem(message, leaf, f"for the same as there write `{leaf.key} {following}`")


def _problem(message: str, at: Leaf | Literal, hint: str) -> QueryProblem:
    return QueryProblem(message, at.span, hint, warning=True)
