"""Reads a query from the command line."""

from dataclasses import replace

from kubectl_sew.cli.output import print_warning
from kubectl_sew.query import FieldSet, Node, QueryError, parse, validate
from kubectl_sew.query.errors import render


def read_query(text: str, fields: FieldSet) -> Node:
    """The tree of a query that can be answered; warnings go to stderr. Raises QueryError with every problem."""
    node = parse(text)
    problems = validate(node, fields)
    errors = [each for each in problems if not each.warning]
    if errors:
        raise QueryError(text, errors)
    if problems:
        print_warning(render(text, [replace(each, warning=False) for each in problems]))
    return node
