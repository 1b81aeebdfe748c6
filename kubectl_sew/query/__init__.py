"""The query language: which security events a webhook selects.

One meaning, told three ways: as Elasticsearch DSL (`to_dsl`), as a predicate over an event (`compile_matcher`), in
plain words (`explain`). Pure: the standard library and parsimonious only; no network, no clock, no files, nothing of
the command line or the agent.
"""

from kubectl_sew.query.ast import Node
from kubectl_sew.query.elasticsearch import to_dsl
from kubectl_sew.query.errors import Problem, QueryError, Span, locate
from kubectl_sew.query.explain import explain
from kubectl_sew.query.fields import ANY, CALICO, Field, FieldSet, FieldType
from kubectl_sew.query.matcher import compile_matcher
from kubectl_sew.query.validate import validate

__all__ = [
    "ANY",
    "CALICO",
    "Field",
    "FieldSet",
    "FieldType",
    "Node",
    "Problem",
    "QueryError",
    "Span",
    "compile_matcher",
    "explain",
    "locate",
    "parse",
    "to_dsl",
    "validate",
]


def parse(text: str) -> Node:
    """The tree of a query; the empty text gives a tree that selects everything. Raises QueryError."""
    from kubectl_sew.query.parser import parse as parse_now  # noqa: PLC0415  # loads parsimonious: 30 ms for who parses

    return parse_now(text)
