"""Whether a query can be answered by a field set: all problems, errors and warnings, in the order of the text."""

import re
from collections.abc import Iterator

from kubectl_sew.query.ast import Comparison, Key, Leaf, Literal, Membership, Node, Operator, leaves
from kubectl_sew.query.complexity import MOST_WORK, MOST_WORK_OF_A_QUERY, work
from kubectl_sew.query.errors import QueryError, QueryProblem, Span, quoted
from kubectl_sew.query.fields import Field, FieldSet, FieldType, Unlisted
from kubectl_sew.query.literals import concrete, interpret, not_allowed
from kubectl_sew.query.values import Network, Pattern, pattern

_BACKSLASH = re.compile(r"\\(.?)", re.DOTALL)
_CALICOS_FIELDS = "`kubectl sew fields` lists those of Calico's events; --fields any takes every key"


def validate(node: Node, fields: FieldSet) -> list[QueryProblem]:
    """Errors and warnings (`Problem.warning`) of a parsed query."""
    problems = [problem for leaf in leaves(node) for problem in _leaf(leaf, fields)]
    return sorted((*problems, *_too_much_work(node)), key=lambda problem: problem.span.start)


def require_valid(node: Node, fields: FieldSet) -> None:
    """Raises QueryError, which has no text to draw, where `validate` finds errors: who has the text asks `validate`."""
    errors = [problem for problem in validate(node, fields) if not problem.warning]
    if errors:
        raise QueryError("", errors)


def _leaf(leaf: Leaf, fields: FieldSet) -> Iterator[QueryProblem]:
    field = fields.get(leaf.key.name)
    if field is None:
        yield _unknown(leaf, fields)
        field = fields.for_set(leaf.key.name) if isinstance(leaf, Membership) else None
    if field is None:
        return
    if field.storage.refusal:
        yield QueryProblem(f"{quoted(field.name)} cannot be queried: {field.storage.refusal}", leaf.key.span)
    elif isinstance(leaf, Comparison):
        yield from _comparison(leaf, field)
    elif isinstance(leaf, Membership):
        for member in leaf.members:
            yield from _member(member, field)
    elif field.equality_only:
        yield _equality_only(leaf.key)
    elif "*" in field.path:
        yield QueryProblem(
            "Elasticsearch reads a `*` in the name as a pattern, so other fields match too", leaf.key.span
        )


def _unknown(leaf: Leaf, fields: FieldSet) -> QueryProblem:
    key, near = leaf.key, fields.closest(leaf.key.name)
    of_index = fields.unlisted is Unlisted.ABSENT
    listed = f"see the mapping of {fields.name}" if of_index else _CALICOS_FIELDS
    hint = "did you mean " + " or ".join(map(quoted, near)) + "?" if near else listed
    if not isinstance(leaf, Membership):
        return QueryProblem(f"there is no field {quoted(key.name)}", key.span, hint)
    if fields.unlisted is Unlisted.IN_SETS and near:
        return QueryProblem(f"there is no field {quoted(key.name)}", key.span, hint, warning=True)
    why = fields.why_absent(key.name) if of_index else "its values are not checked"
    return QueryProblem(f"there is no field {quoted(key.name)}: {why}", key.span, hint, warning=True)


def _comparison(leaf: Comparison, field: Field) -> Iterator[QueryProblem]:
    ordered = leaf.operator.orders
    field = concrete(field, leaf.value, ordered=ordered)
    if ordered and field.equality_only:
        yield _equality_only(leaf.key)
        return
    value = interpret(field, leaf.value)
    if isinstance(value, QueryProblem):
        yield value
        return
    wrong = not_allowed(field, leaf.value) if not ordered else None
    if wrong:
        yield wrong
    if ordered:
        yield from _order(leaf, field, network=isinstance(value, Network) and not value.single)
    if field.type is FieldType.STRING and not ordered:
        yield from _wildcard_outside_a_set(leaf)
        yield from _null(leaf, field)
    yield from _name(field, leaf.value)


def _null(leaf: Comparison, field: Field) -> Iterator[QueryProblem]:
    if leaf.value.text == "null" and not field.values:
        has = f"NOT {leaf.key}" if leaf.operator is Operator.NOT_EQUAL else str(leaf.key)
        yield QueryProblem(
            "`null` is plain text here", leaf.value.span, f"for no value write `{has} EMPTY`", warning=True
        )


def _wildcard_outside_a_set(leaf: Comparison) -> Iterator[QueryProblem]:
    if "*" in leaf.value.text:
        form = "NOTIN" if leaf.operator is Operator.NOT_EQUAL else "IN"
        message = f"`*` is a plain character after `{leaf.operator.value}`"
        hint = f"for a pattern write a set: {leaf.key} {form} {{{leaf.value}}}"
        yield QueryProblem(message, leaf.value.span, hint, warning=True)


def _order(leaf: Comparison, field: Field, *, network: bool) -> Iterator[QueryProblem]:
    if field.type is FieldType.BOOLEAN:
        yield QueryProblem(f"{quoted(field.name)} is true or false and has no order", leaf.span, "use `=` or `!=`")
    elif network:
        yield QueryProblem("a network has no order", leaf.value.span, "use `=`, `!=`, IN or NOTIN with a CIDR")
    elif field.type is FieldType.STRING:
        message = f"{quoted(field.name)} is a string: `{leaf.operator.value}` compares it as text"
        yield QueryProblem(message, leaf.span, warning=True)
        yield from _long_values(field, leaf.span)


def _too_much_work(node: Node) -> Iterator[QueryProblem]:
    left = MOST_WORK_OF_A_QUERY
    for member in (member for leaf in leaves(node) if isinstance(leaf, Membership) for member in leaf.members):
        found = pattern(member.text)
        needed = work(found) if isinstance(found, Pattern) else 0
        left -= needed
        if needed > MOST_WORK or left < 0:
            message = "these wildcards are too much work: Elasticsearch would refuse them"
            yield QueryProblem(message, member.span, "use fewer `?` after a `*`, and fewer `*`")
            return


def _member(member: Literal, field: Field) -> Iterator[QueryProblem]:
    field = concrete(field, member)
    value = interpret(field, member, in_set=True)
    if isinstance(value, QueryProblem):
        yield value
        return
    wrong = None if isinstance(value, Pattern) else not_allowed(field, member)
    if wrong:
        yield QueryProblem(wrong.message, wrong.span, wrong.hint, warning=True)
    if isinstance(value, Pattern) and None in value.parts:
        yield from _long_values(field, member.span)
    yield from _escaped_star(member, wild=isinstance(value, Pattern))
    yield from _name(field, member)


def _escaped_star(member: Literal, *, wild: bool) -> Iterator[QueryProblem]:
    r"""A path such as `C:\Windows\*`: of a member that has no wildcard, or plain backslashes too."""
    escaped = [found[1] for found in _BACKSLASH.finditer(member.text)]
    if "*" not in escaped or member.text == "\\*" or (wild and set(escaped) <= {"*", "?", "\\"}):
        return
    meant = _BACKSLASH.sub(lambda found: "\\\\*" if found[1] == "*" else found[0], member.text)
    hint = f"for a backslash and then a wildcard write `\\\\*`, between backticks: {{`{meant}`}}"
    yield QueryProblem("`\\*` is a plain `*` here, not a wildcard", member.span, hint, warning=True)


def _long_values(field: Field, span: Span) -> Iterator[QueryProblem]:
    limit = field.storage.ignore_above
    if limit is not None:
        message = (
            f"values of {quoted(field.name)} of more than {limit} characters are not indexed, so they are not found"
        )
        yield QueryProblem(message, span, "see `ignore_above` in the index's mapping", warning=True)


def _name(field: Field, literal: Literal) -> Iterator[QueryProblem]:
    text = literal.text
    if field.kubernetes_name and (text != text.lower() or text.strip(".") != text):
        message = f"{quoted(text)} cannot be a name in Kubernetes: no upper-case letters, no dots at the ends"
        yield QueryProblem(message, literal.span, "names are compared as they are written", warning=True)


def _equality_only(key: Key) -> QueryProblem:
    return QueryProblem(f"{quoted(key.name)} can only be compared with `=`, `!=`, IN and NOTIN", key.span)
