"""Reads a query from the command line."""

from dataclasses import replace

from kubectl_sew.cli.output import print_warning
from kubectl_sew.query import BoundQuery, FieldSet, bind, parse
from kubectl_sew.query.errors import render


def read_query(text: str, fields: FieldSet) -> BoundQuery:
    """The query, bound to `fields`; warnings go to stderr. Raises QueryError with every problem."""
    query = bind(parse(text), fields, text)
    if query.warnings:
        print_warning(render(text, [replace(problem, warning=False) for problem in query.warnings]))
    return query
