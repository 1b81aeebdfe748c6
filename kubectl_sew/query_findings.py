"""What is found in a query that stands in a resource: a webhook's query, or an exception's selector. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from kubectl_sew.query import FieldSet, Node, QueryError, QueryProblem, bind, parse
from kubectl_sew.query.ast import EVERY_EVENT, Everything
from kubectl_sew.query.calico import found_later, only_ours, read_otherwise
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
        return None, [_bound_finding(query, problem, path) for problem in refused.problems]
    return node, [_bound_finding(query, problem, path) for problem in warnings]


def calico_differences(query: str, fields: FieldSet, path: Path, *, delivers: bool) -> Iterator[Located]:
    """Yield a warning for each part of a query at `path` that means something else to Calico's own processor.

    `delivers`: whether what it selects is delivered; an exception's selector suppresses.
    """
    try:
        node = parse(query)
    except QueryError:
        return  # It is an error here, too.
    yield from (_query_finding("SEW072", query, problem, path) for problem in only_ours(node, fields))
    otherwise = [*read_otherwise(node, fields), *(found_later(node) if delivers else ())]
    yield from (_query_finding("SEW073", query, problem, path) for problem in otherwise)


def _bound_finding(query: str, problem: QueryProblem, path: Path) -> Located:
    return _query_finding("SEW032" if problem.warning else "SEW031", query, problem, path)


def _query_finding(code: str, query: str, problem: QueryProblem, path: Path) -> Located:
    drawing = render(query, [replace(problem, message="", hint="")]).splitlines()[1:]
    say = warning if problem.warning else error
    finding = say(code, f"query: {problem.message}", problem.hint, excerpt="\n".join(drawing))
    return Located(finding, path)
