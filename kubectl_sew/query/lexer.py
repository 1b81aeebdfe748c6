"""Tokens of a query's text, in one linear pass before the grammar: with the limits, and problems of single tokens."""

import re
from dataclasses import dataclass

from kubectl_sew.query.ast import is_identifier, quote
from kubectl_sew.query.errors import QueryError, QueryProblem, Span, quoted
from kubectl_sew.query.strings import unquote
from kubectl_sew.text import SURROGATES

MAX_BYTES = 16 * 1024
MAX_NESTING = 32
MAX_LEAVES = 1_000
MAX_PROBLEMS = 20
_KEYWORDS = {"and": "and", "or": "or", "not": "not", "in": "in", "notin": "notin", "empty": "empty"}
_SYMBOLS = {"&&": "and", "||": "or", "!": "not"}
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_BREAK = r"\s\"'`(){},=<>!&|≥≤≠"
_GAP = r"(?:[ \t\r\n]|//[^\n]*(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*\*/)"
# Every text is a run of these; a word is whatever stands between blanks, comments, quotes and signs. Two slashes after
# a colon are no comment but a URL without its quotes. No quantifier is possessive: Python 3.11.2 reads those wrongly.
_TOKENS = re.compile(
    rf"""(?P<blank>{_GAP}+)
    |(?P<comment>/\*.*)
    |(?P<string>"(?:[^"\\\n\r]|\\.)*"|'(?:[^'\\\n\r]|\\.)*'|`[^`]*`)
    |(?P<number>{_NUMBER}(?=$|[{_BREAK}]|/[/*]|(?:[aA][nN][dD]|[oO][rR])\b))
    |(?P<word>(?:[^/{_BREAK}]|/(?![/*])|(?<=:)/(?=/))+)
    |(?P<wrong>=~|!~|==|=>|=<|<>|[≥≤≠])
    |(?P<comparator>[!<>]{_GAP}*=|[=<>])
    |(?P<symbol>&&|\|\||!)
    |(?P<sign>[(){{}},])
    |(?P<open>["'`].*)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_WILDCARDS = "for a pattern write a set with wildcards: "
_MEANT = {
    "==": "write `=`",
    "=>": "write `>=`",
    "=<": "write `<=`",
    "<>": "write `!=`",
    "≥": "write `>=`",
    "≤": "write `<=`",
    "≠": "write `!=`",
    "~": _WILDCARDS + 'IN {"*text*"}',
    "=~": _WILDCARDS + 'IN {"*text*"}',
    "!~": _WILDCARDS + 'NOTIN {"*text*"}',
}
_CURLY = "\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb"
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]{1,16}")


@dataclass(frozen=True, slots=True)
class Token:
    """`type` as the grammar names it; `text` with quotes and escapes resolved; offsets in the query's text."""

    type: str
    text: str
    start: int
    end: int

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Tokenized:
    """All tokens, the last of type `end`, and problems of single tokens, which have the type that was meant."""

    tokens: list[Token]
    problems: list[QueryProblem]


def tokenize(text: str) -> Tokenized:
    """Split a text into tokens. Raises QueryError where a limit is passed: 16 KiB, 32 levels, 1,000 leaves."""
    _check_characters(text)
    tokens: list[Token] = []
    problems: list[QueryProblem] = []
    in_braces = False
    for hit in _TOKENS.finditer(text):
        if hit.lastgroup == "blank":
            continue
        literal = in_braces or (bool(tokens) and tokens[-1].type == "comparator")
        token, problem = _read(hit, literal)
        tokens.append(token)
        in_braces = token.type == "{" or (in_braces and token.type != "}")
        if problem and len(problems) < MAX_PROBLEMS:
            problems.append(problem)
    _check_leaves(text, tokens)
    _check_nesting(text, tokens)
    tokens.append(Token("end", "", len(text), len(text)))
    return Tokenized(tokens, problems)


def _check_characters(text: str) -> None:
    surrogate = SURROGATES.search(text)
    if surrogate:
        message = "this is half of a surrogate pair, which is not a character by itself"
        raise QueryError(text, [QueryProblem(message, Span(*surrogate.span()), "write the text in UTF-8")])
    size = len(text.encode())
    if size > MAX_BYTES:
        message = f"the query has {size:,} bytes; at most {MAX_BYTES:,} are allowed"
        raise QueryError(text, [QueryProblem(message, Span(0, 1), "split it into several")])


def _read(hit: "re.Match[str]", literal: bool) -> tuple[Token, QueryProblem | None]:
    group, text = hit.lastgroup or "", hit[0]
    span = Span(*hit.span())
    kind, content, problem = group, text, None
    if group == "word":
        kind, problem = _word(text, span, literal)
    elif group == "string":
        content, problem = unquote(text, span)
    elif group == "comparator":
        content = text[0] + "=" * (len(text) > 1)
    elif group in ("sign", "symbol"):
        kind = _SYMBOLS.get(text, text)
    elif group == "wrong":
        kind, problem = "comparator", QueryProblem(f"{quoted(text)} is not a comparator", span, _MEANT[text])
    elif group in ("open", "comment"):
        kind, problem = "unclosed", QueryProblem(*_unclosed(text, span))
    elif group == "other":
        problem = _stray(text, span)
    return Token(kind, content, *hit.span()), problem


def _word(text: str, span: Span, literal: bool) -> tuple[str, QueryProblem | None]:
    if is_identifier(text):
        return ("word" if literal else _KEYWORDS.get(text.lower(), "word")), None
    if text == "~":
        return "comparator", QueryProblem("`~` is not a comparator", span, _MEANT[text])
    return "word", _unseen(text, span) or _must_be_quoted(text, span, literal)


def _unseen(text: str, span: Span) -> QueryProblem | None:
    """Return the problem of a character without width, as pages and editors leave it in what is copied."""
    unseen = next((char for char in text if not char.isprintable()), None)
    if unseen is None:
        return None
    at = span.start + text.index(unseen)
    return QueryProblem(f"there is an invisible character here, U+{ord(unseen):04X}", Span(at, at + 1), "remove it")


def _must_be_quoted(text: str, span: Span, literal: bool) -> QueryProblem:
    if _HEXADECIMAL.fullmatch(text):
        hint = f"write `{int(text, 16)}`, or {quote(text)} where the field holds text"
        return QueryProblem("hexadecimal numbers are not read", span, hint)
    message, hint = _unquoted(text, literal)
    return QueryProblem(message, span, hint)


def _unquoted(text: str, literal: bool) -> tuple[str, str]:
    """Return what is wrong with a word that is no identifier, and what to write."""
    message, hint = f"{quoted(text)} must be quoted", f"write {quote(text)}"
    key, colon, value = text.partition(":")
    straight = text.strip(_CURLY)
    if straight != text:
        return message, f"use straight quotes: {quote(straight)}"
    if text[0] == "[" or text[-1] == "]":
        return "a set is not written in square brackets", "the members of a set go in braces: {a, b}"
    if "*" in text or "?" in text:
        return f"the wildcard {quoted(text)} must be quoted", hint
    if colon and not literal and is_identifier(key):
        return "`:` is not a comparator", f"write `{key} = {value or '…'}`"
    if all(map(is_identifier, text.split("."))):
        dotted = f"{quoted(text)} has a dot and must be quoted"
        return dotted, f"{'write' if literal else 'quote a key with dots:'} {quote(text)}"
    return message, hint


def _unclosed(text: str, span: Span) -> tuple[str, Span, str]:
    mark = text[0]
    if mark == "/":
        return "this comment is never closed", Span(span.start, span.start + 2), "end it with `*/`"
    return (
        f"this {mark} is never closed",
        Span(span.start, span.start + 1),
        f"close the string with {mark} on the same line",
    )


def _stray(text: str, span: Span) -> QueryProblem:
    if text in "&|":
        return QueryProblem(f"a single {quoted(text)} is not an operator", span, f"write `{text * 2}`")
    if text.isspace():
        return QueryProblem(f"the space U+{ord(text):04X} is not allowed outside quotes", span, "use an ordinary space")
    return QueryProblem(f"{quoted(text)} cannot stand here", span)


def _check_leaves(text: str, tokens: list[Token]) -> None:
    leaves, in_braces = 0, False
    for token in tokens:
        in_braces = token.type == "{" or (in_braces and token.type != "}")
        member = in_braces and token.type not in ("{", ",")
        leaves += member or token.type in ("comparator", "empty")
        if leaves > MAX_LEAVES:
            message = f"more than {MAX_LEAVES:,} selectors, emptiness tests and set members"
            raise QueryError(text, [QueryProblem(message, token.span, "split the query into several")])


def _check_nesting(text: str, tokens: list[Token]) -> None:
    """Refuse too many levels: a bracket is one, and a run of NOTs is one until what it negates ends."""
    opened: list[int] = []
    level = negated = 0
    for token in tokens:
        if token.type == "not":
            negated = 1
        elif token.type == "(":
            opened.append(1 + negated)
            level, negated = level + 1 + negated, 0
        elif token.type == ")":
            level, negated = level - (opened.pop() if opened else 0), 0
        elif token.type in ("and", "or", "comparator", "empty", "in", "notin"):
            negated = 0
        if level + negated > MAX_NESTING:
            message = f"brackets and NOTs are nested more than {MAX_NESTING} deep here"
            raise QueryError(text, [QueryProblem(message, token.span, "remove brackets that change nothing")])
