"""The query language: which security events a webhook selects.

`parse` makes a tree of a text, and `bind` gives each comparison of the tree its field and type. The bound query has one
meaning in three forms: Elasticsearch DSL (`to_dsl`), a predicate over an event (`compile_matcher`), plain words
(`explain`). `refusals` says which parts keep an event out. Pure: the standard library and parsimonious only; no
network, no clock, no files, nothing of the command line or the agent.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kubectl_sew.query.ast import Node
from kubectl_sew.query.binding import BoundQuery, bind
from kubectl_sew.query.errors import QueryError, QueryProblem, Span, locate
from kubectl_sew.query.explain import explain
from kubectl_sew.query.fields import ANY, CALICO, Field, FieldSet, FieldType

if TYPE_CHECKING:
    from kubectl_sew.query.matcher import compile_matcher
    from kubectl_sew.query.parser import parse
    from kubectl_sew.query.refusal import refusals
    from kubectl_sew.query.to_elasticsearch import to_dsl

__all__ = [
    "ANY",
    "CALICO",
    "BoundQuery",
    "Field",
    "FieldSet",
    "FieldType",
    "Node",
    "QueryError",
    "QueryProblem",
    "Span",
    "bind",
    "compile_matcher",
    "explain",
    "locate",
    "parse",
    "refusals",
    "to_dsl",
]

_PLACES = {"compile_matcher": "matcher", "parse": "parser", "refusals": "refusal", "to_dsl": "to_elasticsearch"}
"""Names that are loaded on first use: a command line that needs one does not wait for the others."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
