"""Problems of tokens that the grammar refuses: the first token that cannot stand where it stands.

One pass over the tokens, with a state for what is expected next. After a problem it goes on behind the next AND or OR,
so that all independent problems are reported. A test holds it equal to the grammar: each refuses what the other does.
"""

from enum import Enum

from kubectl_sew.query.errors import QueryProblem, quoted
from kubectl_sew.query.lexer import MAX_PROBLEMS, Token


class _Next(Enum):
    OPERAND = "a key, NOT or `(`"
    KEY = "a comparator, IN, NOTIN or EMPTY"
    COMPARATOR = "a value"
    SET = "`{`"
    MEMBER = "a member of the set"
    AFTER_MEMBER = "`,` or `}`"
    DONE = "AND, OR or the end"


_MOVES: dict[_Next, dict[str, _Next]] = {
    _Next.OPERAND: {
        "not": _Next.OPERAND,
        "(": _Next.OPERAND,
        "word": _Next.KEY,
        "string": _Next.KEY,
    },
    _Next.KEY: {
        "comparator": _Next.COMPARATOR,
        "in": _Next.SET,
        "notin": _Next.SET,
        "empty": _Next.DONE,
    },
    _Next.COMPARATOR: dict.fromkeys(("word", "string", "number"), _Next.DONE),
    _Next.SET: {"{": _Next.MEMBER},
    _Next.MEMBER: dict.fromkeys(("word", "string", "number"), _Next.AFTER_MEMBER),
    _Next.AFTER_MEMBER: {",": _Next.MEMBER, "}": _Next.DONE},
    _Next.DONE: {"and": _Next.OPERAND, "or": _Next.OPERAND, ")": _Next.DONE},
}

_PATTERN = 'for a pattern write a set with wildcards: IN {"*text*"}'
_MEANT = {
    **dict.fromkeys(("is", "equals", "eq"), "write `=`, or EMPTY where there is no value"),
    **dict.fromkeys(("contains", "like", "matches", "startswith", "endswith"), _PATTERN),
    **dict.fromkeys(("exists", "exist", "notempty"), "write NOT before the key: `NOT key EMPTY`"),
    "between": "write `key >= 1 AND key <= 9`",
}
"""Comparators of other languages -> what there is."""


def diagnose(tokens: list[Token]) -> list[QueryProblem]:
    """Return the problems of the order of tokens; none where the grammar accepts them."""
    problems: list[QueryProblem] = []
    opened: list[Token] = []
    state, skipping = _Next.OPERAND, False
    for token in tokens if len(tokens) > 1 else []:
        if token.type == "unclosed":
            break  # it has a problem of its own, and swallows the rest of the text
        if skipping and token.type not in ("and", "or"):
            _follow(token, opened)
            continue
        following = _Next.OPERAND if skipping else _MOVES[state].get(token.type)
        if token.type == "end":
            problems += _at_end(token, state, opened)
        elif following is None or (token.type == ")" and not opened):
            problems.append(_unexpected(token, state))
            following = state
            skipping = True
        else:
            skipping = False
            _follow(token, opened)
        state = following or state
    return problems[:MAX_PROBLEMS]


def _follow(token: Token, opened: list[Token]) -> None:
    if token.type == "(":
        opened.append(token)
    elif token.type == ")" and opened:
        opened.pop()


def _at_end(token: Token, state: _Next, opened: list[Token]) -> list[QueryProblem]:
    if state is not _Next.DONE:
        return [QueryProblem(f"the query ends where {state.value} is expected", token.span)]
    return [QueryProblem("this `(` is never closed", bracket.span, "close it with `)`") for bracket in opened]


def _unexpected(token: Token, state: _Next) -> QueryProblem:
    if token.type == ")" and state is _Next.DONE:
        return QueryProblem("this `)` has no `(` before it", token.span, "remove it, or add the `(`")
    what = "a quoted string" if token.type == "string" else quoted(token.text)
    return QueryProblem(f"found {what} where {state.value} is expected", token.span, _hint(token, state))


def _hint(token: Token, state: _Next) -> str:
    if state is _Next.OPERAND and token.type in ("in", "notin", "empty", "and", "or") and token.text.isalpha():
        return f'a key called `{token.text}` must be quoted: "{token.text}"'
    if state is _Next.KEY and token.type == "not":
        return "write NOTIN {…}, or NOT before the key: `NOT key EMPTY`"
    if state is _Next.KEY and token.type == "word":
        return _MEANT.get(token.text.lower(), "the comparators are =, !=, <, <=, > and >=")
    if state is _Next.MEMBER:
        return "a set needs members, with one comma between them" if token.type in (",", "}") else ""
    if state is _Next.DONE and token.type in ("word", "string", "number"):
        return "join selectors with AND or OR; quote a value that has spaces"
    return "the members of a set go in braces: {a, b}" if state is _Next.SET else ""
