"""Warnings about a comparison that can be answered, and probably means something else."""

import re
from collections.abc import Iterator
from dataclasses import replace

from kubectl_sew.query.ast import Comparison, Literal, Operator, quote
from kubectl_sew.query.errors import QueryProblem, Span, quoted
from kubectl_sew.query.fields import Field, FieldType
from kubectl_sew.query.literals import Typed, not_allowed
from kubectl_sew.query.values import Pattern

_DOTS = re.compile(r"\.+")
_BACKSLASH = re.compile(r"\\(.?)", re.DOTALL)


def comparison(leaf: Comparison, field: Field) -> Iterator[QueryProblem]:
    """Warn about a comparison with a field of a concrete type."""
    if field.type is FieldType.STRING and leaf.operator.orders:
        message = f"{quoted(field.name)} is a string: `{leaf.operator.value}` compares it as text"
        yield QueryProblem(message, leaf.span, warning=True)
        yield from _long_values(field, leaf.span)
    elif field.type is FieldType.STRING:
        yield from _wildcard_outside_a_set(leaf, field)
        yield from _null(leaf, field)
    theirs = quote(_as_calico_compares(leaf.value.text))
    hint = f"it is compared as it is written; Calico compares with {theirs}: write that"
    yield from _kubernetes_name(field, leaf.value, hint)


def member(literal: Literal, field: Field, value: Typed) -> Iterator[QueryProblem]:
    """Warn about a set's member, which is `value` in a field of a concrete type."""
    wild = isinstance(value, Pattern)
    if not wild:
        yield from (replace(problem, warning=True) for problem in not_allowed(field, literal))
    if isinstance(value, Pattern) and None in value.parts:
        yield from _long_values(field, literal.span)
    yield from _escaped_star(literal, wild=wild)
    yield from _kubernetes_name(field, literal, "it is compared as it is written, as in Calico")


def pattern_hint(leaf: Comparison) -> str:
    """Return what to write for a value that looks like a pattern; "" for any other. Only sets have wildcards."""
    if leaf.operator.orders or not {*"*?"} & {*leaf.value.text}:
        return ""
    form = "NOTIN" if leaf.operator is Operator.NOT_EQUAL else "IN"
    return f"for a pattern write a set: {leaf.key} {form} {{{leaf.value}}}"


def _wildcard_outside_a_set(leaf: Comparison, field: Field) -> Iterator[QueryProblem]:
    if "*" in leaf.value.text and not field.values:  # else it is an error, which says the same
        message = f"`*` is a plain character after `{leaf.operator.value}`"
        hint = "" if field.equality_only else pattern_hint(leaf)
        yield QueryProblem(message, leaf.value.span, hint, warning=True)


def _null(leaf: Comparison, field: Field) -> Iterator[QueryProblem]:
    if leaf.value.text == "null" and not field.values:
        has = f"NOT {leaf.key}" if leaf.operator is Operator.NOT_EQUAL else str(leaf.key)
        hint = f"for no value write `{has} EMPTY`"
        yield QueryProblem("`null` is plain text here", leaf.value.span, hint, warning=True)


def _escaped_star(literal: Literal, *, wild: bool) -> Iterator[QueryProblem]:
    r"""Warn about a path such as `C:\Windows\*`: a member that has no wildcard, or plain backslashes too."""
    escaped = [escape[1] for escape in _BACKSLASH.finditer(literal.text)]
    if "*" not in escaped or literal.text == "\\*" or (wild and set(escaped) <= {"*", "?", "\\"}):
        return
    meant = _BACKSLASH.sub(lambda escape: "\\\\*" if escape[1] == "*" else escape[0], literal.text)
    hint = f"for a backslash and then a wildcard write `\\\\*`, between backticks: {{`{meant}`}}"
    yield QueryProblem("`\\*` is a plain `*` here, not a wildcard", literal.span, hint, warning=True)


def _long_values(field: Field, span: Span) -> Iterator[QueryProblem]:
    limit = field.storage.ignore_above
    if limit is not None:
        message = (
            f"values of {quoted(field.name)} of more than {limit} characters are not indexed, so they are not found"
        )
        yield QueryProblem(message, span, "see `ignore_above` in the index's mapping", warning=True)


def _kubernetes_name(field: Field, literal: Literal, hint: str) -> Iterator[QueryProblem]:
    text = literal.text
    if field.kubernetes_name and text != _as_calico_compares(text):
        message = (
            f"{quoted(text)} cannot be a name in Kubernetes: no upper-case letters, no dots at the ends or in a row"
        )
        yield QueryProblem(message, literal.span, hint, warning=True)


def _as_calico_compares(name: str) -> str:
    """Return what Calico's processor makes of a name in a selector; members of a set it leaves as they are."""
    return _DOTS.sub(".", name.strip(".")).lower()
