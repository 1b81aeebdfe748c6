"""The query language: which security events a webhook selects.

One meaning, told three ways: as Elasticsearch DSL (`to_dsl`), as a predicate over an event (`compile_matcher`), in plain
words (`explain`). Pure: the standard library and parsimonious only; no network, no clock, no files, nothing of the
command line or the agent. Names are imported when they are first used: the commands that need no parser start without one.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubectl_sew.query.ast import Node
    from kubectl_sew.query.elasticsearch import to_dsl
    from kubectl_sew.query.errors import Problem, QueryError, Span, locate
    from kubectl_sew.query.explain import explain
    from kubectl_sew.query.fields import ANY, CALICO, Field, FieldSet, FieldType
    from kubectl_sew.query.matcher import compile_matcher
    from kubectl_sew.query.parser import parse
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

_HOME = {
    "ANY": "fields",
    "CALICO": "fields",
    "Field": "fields",
    "FieldSet": "fields",
    "FieldType": "fields",
    "Node": "ast",
    "Problem": "errors",
    "QueryError": "errors",
    "Span": "errors",
    "compile_matcher": "matcher",
    "locate": "errors",
    "parse": "parser",
    "to_dsl": "elasticsearch",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME.get(name, name)}"), name)
    globals()[name] = (
        value  # also over the sub-module of the same name (explain, validate), which the import has just set
    )
    return value
