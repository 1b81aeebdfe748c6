"""Parsing: the lexer's tokens, the grammar, our own tree and our own errors."""

from functools import cache
from typing import Any

from kubectl_sew.query import ast
from kubectl_sew.query.errors import QueryError, QueryProblem, Span, quoted
from kubectl_sew.query.grammar import GRAMMAR
from kubectl_sew.query.lexer import Token, tokenize
from kubectl_sew.query.peg import Match, NodeVisitor, ParseError, TokenGrammar

MAX_DEPTH = 24
"""Levels of the DSL, its leaf included: Elasticsearch refuses 30, and what wraps the query takes some."""
_EVERYTHING = {"*", "**", ".*", "*:*", "_all", "all", "any", "everything", "match_all", "true"}
MAX_KEY_PARTS = 32
"""Parts of a key between its dots: Elasticsearch maps 20 levels by default."""


def parse(text: str) -> ast.Node:
    """Return the tree of a query; the empty text gives a tree that selects everything. Raises QueryError."""
    lexed = tokenize(text)
    matched = match(lexed.tokens)
    problems = lexed.problems + ([] if matched else _diagnose(lexed.tokens))
    if not matched and _means_everything(lexed.tokens):
        word, hint = lexed.tokens[0], f"for every event write `{ast.EVERY_EVENT}`"
        raise QueryError(text, [QueryProblem(f"{quoted(word.text)} is no query", word.span, hint)])
    if not matched or problems:
        # Of two problems at one place the lexer's says more than the one about the order.
        places = {problem.span.start: problem for problem in reversed(problems)}
        raise QueryError(text, [places[start] for start in sorted(places)])
    node: ast.Node = _Tree(lexed.tokens).visit(matched)
    _check(text, node)
    return node


def _means_everything(tokens: list[Token]) -> bool:
    """Return whether a text is one word by which other languages select everything."""
    return len(tokens) == 2 and tokens[0].text.lower() in _EVERYTHING


def _diagnose(tokens: list[Token]) -> list[QueryProblem]:
    from kubectl_sew.query.diagnostics import diagnose  # noqa: PLC0415  # only a mistake needs it

    return diagnose(tokens)


def match(tokens: list[Token]) -> Match | None:
    """Return how the grammar reads tokens, None where it refuses them."""
    try:
        return _grammar().parse(tokens)
    except ParseError:
        return None


@cache
def _grammar() -> TokenGrammar:
    return TokenGrammar(GRAMMAR)


def _check(text: str, node: ast.Node) -> None:
    depth = ast.depth(node)
    problems = [
        QueryProblem(f"a key has at most {MAX_KEY_PARTS} parts between dots", leaf.key.span)
        for leaf in ast.leaves(node)
        if leaf.key.name.count(".") >= MAX_KEY_PARTS
    ]
    problems += [QueryProblem("a key is empty", leaf.key.span) for leaf in ast.leaves(node) if not leaf.key.name]
    if depth > MAX_DEPTH:
        message = f"the query is {depth} levels deep once translated; at most {MAX_DEPTH} are allowed"
        problems.append(QueryProblem(message, Span(0, len(text)), "write it flatter: AND of ORs, or OR of ANDs"))
    if problems:
        raise QueryError(text, problems)


class _Tree(NodeVisitor):  # type: ignore[misc]  # parsimonious has no types
    """Builds our tree; a match's offsets count tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens

    def _span(self, match: Match) -> Span:
        return Span(self.tokens[match.start].start, self.tokens[match.end - 1].end)

    def visit_query(self, _: Match, children: list[Any]) -> ast.Node:
        (alternative,) = children
        node: ast.Node = alternative[0] if alternative else ast.Everything()
        return node

    def visit_disjunction(self, match: Match, children: list[Any]) -> ast.Node:
        first, more = children
        return ast.disjunction([first, *(node for _, node in more)], self._span(match))

    def visit_conjunction(self, match: Match, children: list[Any]) -> ast.Node:
        first, more = children
        return ast.conjunction([first, *(node for _, node in more)], self._span(match))

    def visit_factor(self, match: Match, children: list[Any]) -> ast.Node:
        negations, node = children
        return ast.negation(node, self._span(match)) if len(negations) % 2 else node

    def visit_primary(self, _: Match, children: list[ast.Node]) -> ast.Node:
        return children[0]

    def visit_bracketed(self, _: Match, children: list[Any]) -> ast.Node:
        node: ast.Node = children[1]
        return node

    def visit_comparison(self, match: Match, children: list[Any]) -> ast.Node:
        key, _, value = children
        operator = ast.Operator(self.tokens[match.start + 1].text)
        return ast.Comparison(key, operator, value, self._span(match))

    def visit_membership(self, match: Match, children: list[Any]) -> ast.Node:
        key, _, _, first, more, _ = children
        members = (first, *(member for _, member in more))
        return ast.Membership(key, members, self.tokens[match.start + 1].type == "notin", self._span(match))

    def visit_emptiness(self, match: Match, children: list[Any]) -> ast.Node:
        return ast.Empty(children[0], self._span(match))

    def visit_key(self, match: Match, _: list[Any]) -> ast.Key:
        return ast.Key(self.tokens[match.start].text, self._span(match))

    def visit_value(self, match: Match, _: list[Any]) -> ast.Literal:
        token = self.tokens[match.start]
        return ast.Literal(token.text, token.type == "number", self._span(match))

    def generic_visit(self, _: Match, children: list[Any]) -> Any:
        return children
