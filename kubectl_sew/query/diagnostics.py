"""What is wrong with a run of tokens that the grammar refuses: the first token that cannot stand where it stands.

Reads the tokens once, with the state of what may come next; after a problem it goes on behind the next AND or OR, so
that independent problems are all found.
"""

from enum import Enum

from kubectl_sew.query.errors import QueryProblem, quoted
from kubectl_sew.query.lexer import MAX_PROBLEMS, Token


class _State(Enum):
    OPERAND = "a key, NOT or `(`"
    KEY = "a comparator, IN, NOTIN or EMPTY"
    COMPARATOR = "a value"
    SET = "`{`"
    MEMBER = "a member of the set"
    AFTER_MEMBER = "`,` or `}`"
    DONE = "AND, OR or the end"


_MOVES: dict[_State, dict[str, _State]] = {
    _State.OPERAND: {
        "not": _State.OPERAND,
        "(": _State.OPERAND,
        "word": _State.KEY,
        "string": _State.KEY,
    },
    _State.KEY: {"comparator": _State.COMPARATOR, "in": _State.SET, "notin": _State.SET, "empty": _State.DONE},
    _State.COMPARATOR: dict.fromkeys(("word", "string", "number"), _State.DONE),
    _State.SET: {"{": _State.MEMBER},
    _State.MEMBER: dict.fromkeys(("word", "string", "number"), _State.AFTER_MEMBER),
    _State.AFTER_MEMBER: {",": _State.MEMBER, "}": _State.DONE},
    _State.DONE: {"and": _State.OPERAND, "or": _State.OPERAND, ")": _State.DONE},
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
    """The problems of the order of tokens; none where the grammar accepts them."""
    problems: list[QueryProblem] = []
    opened: list[Token] = []
    state, skipping = _State.OPERAND, False
    for token in tokens if len(tokens) > 1 else []:
        if token.type == "unclosed":
            break  # it has a problem of its own, and swallows the rest of the text
        if skipping and token.type not in ("and", "or"):
            _follow(token, opened)
            continue
        following = _State.OPERAND if skipping else _MOVES[state].get(token.type)
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


def _at_end(token: Token, state: _State, opened: list[Token]) -> list[QueryProblem]:
    if state is not _State.DONE:
        return [QueryProblem(f"the query ends where {state.value} is expected", token.span)]
    return [QueryProblem("this `(` is never closed", bracket.span, "close it with `)`") for bracket in opened]


def _unexpected(token: Token, state: _State) -> QueryProblem:
    if token.type == ")" and state is _State.DONE:
        return QueryProblem("this `)` has no `(` before it", token.span, "remove it, or add the `(`")
    found = "a quoted string" if token.type == "string" else quoted(token.text)
    return QueryProblem(f"found {found} where {state.value} is expected", token.span, _hint(token, state))


def _hint(token: Token, state: _State) -> str:
    if state is _State.OPERAND and token.type in ("in", "notin", "empty", "and", "or") and token.text.isalpha():
        return f'a key called `{token.text}` must be quoted: "{token.text}"'
    if state is _State.KEY and token.type == "not":
        return "write NOTIN {…}, or NOT before the key: `NOT key EMPTY`"
    if state is _State.KEY and token.type == "word":
        return _MEANT.get(token.text.lower(), "the comparators are =, !=, <, <=, > and >=")
    if state is _State.MEMBER:
        return "a set needs members, with one comma between them" if token.type in (",", "}") else ""
    if state is _State.DONE and token.type in ("word", "string", "number"):
        return "join selectors with AND or OR; quote a value that has spaces"
    return "the members of a set go in braces: {a, b}" if state is _State.SET else ""
