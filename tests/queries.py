"""Problems of a query on some fields."""

from kubectl_sew.query import FieldSet, Node, QueryError, QueryProblem, bind


def problems_of(node: Node, fields: FieldSet) -> list[QueryProblem]:
    """Return errors and warnings, in the order of the text."""
    try:
        return list(bind(node, fields).warnings)
    except QueryError as error:
        return list(error.problems)
