"""What is found in a query that stands in a resource: a webhook's query, or an exception's selector. Pure."""

from dataclasses import replace

from kubectl_sew.query import FieldSet, Node, QueryError, QueryProblem, bind, parse
from kubectl_sew.query.ast import EVERY_EVENT, Everything
from kubectl_sew.query.errors import render
from kubectl_sew.resource.findings import error, warning
from kubectl_sew.resource.structure import Located, Path

_WRITE_A_QUERY = f"e.g. `type = waf`; for every event: `{EVERY_EVENT}`"


def read_query(query: str, fields: FieldSet, path: Path) -> tuple[Node | None, list[Located]]:
    """Return the tree of a query that stands at `path`, None where it cannot be asked, and what is found in it."""
    if not query.strip():  # The language reads it as everything, which nobody has asked for here.
        return None, [Located(error("SEW030", "the query is empty", _WRITE_A_QUERY), path)]
    try:
        node = parse(query)
        if isinstance(node, Everything):  # of comments alone
            return read_query("", fields, path)
    except QueryError as refused:
        return None, [_query_finding("SEW030", query, problem, path) for problem in refused.problems]
    try:
        warnings = bind(node, fields).warnings
    except QueryError as refused:
        return None, [_query_finding("SEW031", query, problem, path) for problem in refused.problems]
    return node, [_query_finding("SEW032", query, problem, path) for problem in warnings]


def _query_finding(code: str, query: str, problem: QueryProblem, path: Path) -> Located:
    drawing = render(query, [replace(problem, message="", hint="")]).splitlines()[1:]
    say = warning if problem.warning else error
    code = "SEW032" if problem.warning else code
    finding = say(code, f"query: {problem.message}", problem.hint, excerpt="\n".join(drawing))
    return Located(finding, path)
