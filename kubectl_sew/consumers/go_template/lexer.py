"""Tokens of a template: its texts, and what stands between `{{` and `}}`.

The rules are those of Go's text/template, trim markers among them: `{{- ` takes the blanks before, ` -}}` those after.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from kubectl_sew.consumers.go_template.errors import GoSyntaxError

SPACES = " \t\r\n"
_ENDS_WORD = {"", ".", ",", "|", ":", ")", "(", *SPACES}
_RIGHT = re.compile(r"(?:[ \t\r\n]-)?\}\}")
_BLANKS = re.compile(r"[ \t\r\n]+")
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_CHARACTER = re.compile(r"'(?:[^'\\\n]|\\[^\n])*'")
_RAW = re.compile(r"`[^`]*`")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*|0[bB][01_]*"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
_KEYWORDS = ("block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with")


class Kind(Enum):
    """Kinds of tokens, with the words that an error calls them by."""

    TEXT = "text"
    LEFT = "{{"
    RIGHT = "}}"
    SPACE = "a space"
    KEYWORD = "a keyword"
    IDENTIFIER = "a function"
    FIELD = "a field"
    VARIABLE = "a variable"
    DOT = "."
    BOOLEAN = "a truth value"
    NUMBER = "a number"
    CHARACTER = "a character"
    STRING = "a text"
    RAW = "a raw text"
    DECLARE = ":="
    ASSIGN = "="
    PIPE = "|"
    OPEN = "("
    CLOSE = ")"
    OTHER = "a sign"
    END = "the end"


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A token with its line, counted from 1."""

    kind: Kind
    text: str
    line: int


_QUOTES = {
    '"': (_QUOTED, Kind.STRING, "a text in quotes does not end"),
    "`": (_RAW, Kind.RAW, "a raw text in backquotes does not end"),
    "'": (_CHARACTER, Kind.CHARACTER, "a character in single quotes does not end"),
}
_SIGNS = {"=": Kind.ASSIGN, "|": Kind.PIPE, "(": Kind.OPEN, ")": Kind.CLOSE}


def scan(source: str) -> list[Lexeme]:
    """Return the tokens, an END last. Raises GoSyntaxError."""
    return list(_Lexer(source).tokens())


def is_word(char: str) -> bool:
    """Return whether a character can stand in a name."""
    return char == "_" or char.isalpha() or char.isdecimal()


class _Lexer:
    """Scanner of one template."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._counted = 0
        self._lines = 1

    def tokens(self) -> Iterator[Lexeme]:
        while (left := self._source.find("{{", self._at)) >= 0:
            inside = left + 2
            trims = self._source[inside : inside + 1] == "-" and self._source[inside + 1 : inside + 2] in {*SPACES}
            text = self._source[self._at : left]
            if text := text.rstrip(SPACES) if trims else text:
                yield self._lexeme(Kind.TEXT, text)
            self._at = inside + 2 * trims
            if self._source.startswith("/*", self._at):
                self._skip_comment()
            else:
                yield Lexeme(Kind.LEFT, "{{", self._line(left))
                yield from self._action()
        if self._at < len(self._source):
            yield self._lexeme(Kind.TEXT, self._source[self._at :])
        yield Lexeme(Kind.END, "", self._line(len(self._source)))

    def _line(self, at: int) -> int:
        """Return the line of a place, which is none before the last one that was asked for."""
        self._lines += self._source.count("\n", self._counted, at)
        self._counted = max(self._counted, at)
        return self._lines

    def _lexeme(self, kind: Kind, text: str) -> Lexeme:
        return Lexeme(kind, text, self._line(self._at))

    def _error(self, message: str) -> GoSyntaxError:
        return GoSyntaxError(self._line(self._at), message)

    def _skip_comment(self) -> None:
        end = self._source.find("*/", self._at + 2)
        if end < 0:
            raise self._error("a comment does not end")
        self._at = end + 2
        if not self._at_right():
            raise self._error("a comment ends before the `}}`")
        self._skip_right()

    def _at_right(self) -> bool:
        return _RIGHT.match(self._source, self._at) is not None

    def _skip_right(self) -> None:
        trims = self._source[self._at] != "}"
        self._at += 4 if trims else 2
        if trims and (blanks := _BLANKS.match(self._source, self._at)):
            self._at = blanks.end()

    def _action(self) -> Iterator[Lexeme]:
        depth = 0
        while not self._at_right():
            token = self._token()
            depth += (token.kind is Kind.OPEN) - (token.kind is Kind.CLOSE)
            if depth < 0:
                raise self._error("there is a `)` without its `(`")
            self._at += len(token.text)
            yield token
        if depth:
            raise self._error("there is a `(` without its `)`")
        yield self._lexeme(Kind.RIGHT, "}}")
        self._skip_right()

    def _token(self) -> Lexeme:
        char = self._source[self._at : self._at + 1]
        if not char:
            raise self._error("an action does not end: its `}}` is missing")
        if char in SPACES:
            return self._lexeme(Kind.SPACE, self._blanks())
        if char in _QUOTES:
            return self._quoted(*_QUOTES[char])
        if char in _SIGNS:
            return self._lexeme(_SIGNS[char], char)
        if char == ":":
            if self._source[self._at + 1 : self._at + 2] != "=":
                raise self._error("`:` must be `:=`")
            return self._lexeme(Kind.DECLARE, ":=")
        return self._word_or_number(char)

    def _blanks(self) -> str:
        """Return blanks, but for the one that belongs to a trim marker behind them."""
        found = _BLANKS.match(self._source, self._at)
        blanks = found.group() if found else ""
        last = self._at + len(blanks) - 1
        return blanks[:-1] if len(blanks) > 1 and _RIGHT.match(self._source, last) else blanks

    def _quoted(self, pattern: re.Pattern[str], kind: Kind, unended: str) -> Lexeme:
        found = pattern.match(self._source, self._at)
        if found is None:
            raise self._error(unended)
        return self._lexeme(kind, found.group())

    def _word_or_number(self, char: str) -> Lexeme:
        following = self._source[self._at + 1 : self._at + 2]
        if char in "+-0123456789" or (char == "." and following in set("0123456789")):
            return self._number()
        if char in "$." or is_word(char):
            return self._word(char)
        if char.isascii() and char.isprintable():
            return self._lexeme(Kind.OTHER, char)
        raise self._error("there is a character that cannot stand in an action")

    def _number(self) -> Lexeme:
        found = _NUMBER.match(self._source, self._at)
        text = found.group() if found else ""
        behind = self._source[self._at + len(text) : self._at + len(text) + 1]
        if is_word(behind) or (behind and behind in "+-"):
            raise self._error("this is no number")
        return self._lexeme(Kind.NUMBER, text)

    def _word(self, first: str) -> Lexeme:
        end = self._at + 1
        while end < len(self._source) and is_word(self._source[end]):
            end += 1
        text = self._source[self._at : end]
        if self._source[end : end + 1] not in _ENDS_WORD and not self._source.startswith("}}", end):
            raise self._error(f"`{self._source[end]}` cannot stand behind a name")
        return self._lexeme(_kind_of(text, first), text)


def _kind_of(word: str, first: str) -> Kind:
    if first == "$":
        return Kind.VARIABLE
    if first == ".":
        return Kind.FIELD if len(word) > 1 else Kind.DOT
    if word in _KEYWORDS:
        return Kind.KEYWORD
    return Kind.BOOLEAN if word in ("true", "false") else Kind.IDENTIFIER
