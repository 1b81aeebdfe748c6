"""A template's own text as HTML, by the rules of Go's html/template.

A `<` that begins no tag is escaped, and comments are left out. Of html/template's contexts those are taken in which a
value is escaped in one and the same way: between tags, in `title` and `textarea`, and in quotes as the value of an
attribute that is no address, style or script. A value in any other place is refused.
"""

import re
from dataclasses import dataclass
from enum import Enum

from kubectl_sew.consumers.go_template.errors import GoSyntaxError
from kubectl_sew.consumers.go_template.nodes import ActionNode, Body, BranchNode, RangeNode, TemplateNode, TextNode

_TAG_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9]|[:-][A-Za-z0-9])*")
_BLANKS = re.compile(r"[ \t\n\f\r]*")
_ATTRIBUTE_NAME = re.compile(r"[^ \t\n\f\r=>]*")
_UNQUOTED_END = re.compile(r"[ \t\n\f\r>]")
_NO_TEXT = ("script", "style", "meta")
_PLAIN_TEXT_ONLY = ("title", "textarea")
"""Elements in which no tags are but their own end."""

_ADDRESSES = (
    *("action", "archive", "background", "cite", "classid", "codebase", "data", "formaction", "href", "icon"),
    *("longdesc", "manifest", "poster", "profile", "src", "usemap", "xmlns"),
)
_PARTS_OF_ADDRESSES = ("src", "uri", "url")
_PLAIN_TEXT = (
    "for a plain text set `Content-Type: text/plain` and write no `<` before a letter; for JSON begin with `{`"
)


class HtmlPlace(Enum):
    """Place in HTML that the text has come to."""

    TEXT = "text"
    TITLE = "title or textarea"
    COMMENT = "comment"
    TAG = "tag"
    NAME = "name"
    AFTER_NAME = "after name"
    BEFORE_VALUE = "before value"
    QUOTED = '"'
    SINGLE_QUOTED = "'"
    UNQUOTED = "unquoted"


_QUOTES = {'"': HtmlPlace.QUOTED, "'": HtmlPlace.SINGLE_QUOTED}


def as_html(body: Body) -> Body:
    """Return the template with its own text as HTML. Raises GoSyntaxError."""
    html = _Html()
    written = html.body(body)
    html.expect_end(body[-1].line if body else 1)
    return written


def _is_plain(attribute: str) -> bool:
    """Return whether an attribute is, by its name, neither an address nor a style nor a script."""
    name = attribute.lower()
    if name.startswith("xmlns:"):
        return False
    name = name[5:] if name.startswith("data-") else name.partition(":")[2] or name
    if name in (*_ADDRESSES, "style", "srcset") or name.startswith("on"):
        return False
    return not any(part in name for part in _PARTS_OF_ADDRESSES)


@dataclass(slots=True)
class _Html:
    """Reader of a template's texts in their order."""

    place: HtmlPlace = HtmlPlace.TEXT
    element: str = ""
    """Name of the element whose tag it is in, or whose text, where that is no HTML."""
    attribute: str = ""

    def body(self, body: Body) -> Body:
        return tuple(self._node(node) for node in body)

    def expect_end(self, line: int) -> None:
        if self.place is not HtmlPlace.TEXT:
            raise GoSyntaxError(line, "the template ends inside an HTML tag, comment or title", _PLAIN_TEXT)

    def _expect_plain(self, line: int, what: str) -> None:
        quoted = self.place in _QUOTES.values() and _is_plain(self.attribute)
        if not quoted and self.place not in (HtmlPlace.TEXT, HtmlPlace.TITLE):
            message = f"{what} inside an HTML tag or comment where it cannot be escaped here"
            raise GoSyntaxError(line, message, _PLAIN_TEXT)

    def _node(self, node: TemplateNode) -> TemplateNode:
        match node:
            case TextNode(line, text):
                return TextNode(line, self._text(text, line))
            case ActionNode() if not node.pipeline.variables:
                self._expect_plain(node.line, "there is a value")
            case BranchNode(line, moves_dot, arms, otherwise):
                inner = [(pipeline, self._inner(body, line)) for pipeline, body in arms]
                return BranchNode(line, moves_dot, tuple(inner), self._inner(otherwise, line))
            case RangeNode(line, pipeline, body, otherwise):
                return RangeNode(line, pipeline, self._inner(body, line), self._inner(otherwise, line))
        return node

    def _inner(self, body: Body, line: int) -> Body:
        self._expect_plain(line, "an action with `end` stands")
        before = self.place, self.element, self.attribute
        written = self.body(body)
        self._expect_plain(line, "an action with `end` ends")
        if before[0] is not self.place:
            raise GoSyntaxError(line, "an action with `end` ends in another place of HTML than it begins", _PLAIN_TEXT)
        self.place, self.element, self.attribute = before
        return written

    def _text(self, text: str, line: int) -> str:
        parts: list[str] = []
        at = 0
        while at < len(text):
            written, at = self._piece(text, at, line)
            parts.append(written)
        return "".join(parts)

    def _piece(self, text: str, at: int, line: int) -> tuple[str, int]:
        """Return what is written of the text from `at` on to the next change of place, and where that is."""
        match self.place:
            case HtmlPlace.TEXT:
                return self._between_tags(text, at, line)
            case HtmlPlace.TITLE:
                return self._in_title(text, at)
            case HtmlPlace.COMMENT:
                end = text.find("-->", at)
                self.place = HtmlPlace.COMMENT if end < 0 else HtmlPlace.TEXT
                return "", len(text) if end < 0 else end + 3
            case _:
                end = self._in_tag(text, at, line)
                return text[at:end], end

    def _between_tags(self, text: str, at: int, line: int) -> tuple[str, int]:
        begin = at
        while (begin := text.find("<", begin)) >= 0:
            if text.startswith("<!--", begin):
                self.place = HtmlPlace.COMMENT
                return _escape_brackets(text[at:begin]), begin + 4
            name = _TAG_NAME.match(text, begin + 1 + text.startswith("/", begin + 1))
            if name:
                if name.group().lower() in _NO_TEXT and text[begin + 1] != "/":
                    raise GoSyntaxError(line, f"the element `{name.group()}` cannot be used", _PLAIN_TEXT)
                self.place = HtmlPlace.TAG
                self.element = "" if text[begin + 1] == "/" else name.group().lower()
                return _escape_brackets(text[at:begin]) + text[begin : name.end()], name.end()
            begin += 1
        return _escape_brackets(text[at:]), len(text)

    def _in_title(self, text: str, at: int) -> tuple[str, int]:
        end = re.compile(rf"(?i)</{self.element}[> \t\n\f/]").search(text, at)
        if end is None:
            return _escape_brackets(text[at:]), len(text)
        self.place = HtmlPlace.TEXT
        return _escape_brackets(text[at : end.start()]), end.start()

    def _in_tag(self, text: str, at: int, line: int) -> int:
        """Return where a part of a tag that goes on at `at` ends, and move on."""
        if self.place in _QUOTES.values():
            end = text.find(self.place.value, at)
            self.place = self.place if end < 0 else HtmlPlace.TAG
            return len(text) if end < 0 else end + 1
        if self.place is HtmlPlace.UNQUOTED:
            return self._unquoted(text, at, line)
        if self.place is HtmlPlace.NAME:
            return self._name(text, at, line)
        blanks = _BLANKS.match(text, at)
        at = blanks.end() if blanks else at
        return self._word(text, at, line) if at < len(text) else at

    def _word(self, text: str, at: int, line: int) -> int:
        """Move over what stands at `at`, which is no blank."""
        char = text[at]
        if self.place is HtmlPlace.AFTER_NAME:
            self.place = HtmlPlace.BEFORE_VALUE if char == "=" else HtmlPlace.TAG
            return at + (char == "=")
        if self.place is HtmlPlace.BEFORE_VALUE:
            self.place = _QUOTES.get(char, HtmlPlace.UNQUOTED)
            return at + (char in _QUOTES)
        if char == ">":
            self.place = HtmlPlace.TITLE if self.element in _PLAIN_TEXT_ONLY else HtmlPlace.TEXT
            return at + 1
        if char == "=":
            raise GoSyntaxError(line, "an attribute of an HTML tag has no name", _PLAIN_TEXT)
        return self._name(text, at, line)

    def _name(self, text: str, at: int, line: int) -> int:
        name = _ATTRIBUTE_NAME.match(text, at)
        end = name.end() if name else at
        if any(char in text[at:end] for char in "'\"<"):
            raise GoSyntaxError(line, "an attribute's name in an HTML tag holds a quote or a `<`", _PLAIN_TEXT)
        self.attribute = self.attribute if self.place is HtmlPlace.NAME else text[at:end]
        self.place = HtmlPlace.NAME if end == len(text) else HtmlPlace.AFTER_NAME
        return end

    def _unquoted(self, text: str, at: int, line: int) -> int:
        found = _UNQUOTED_END.search(text, at)
        end = found.start() if found else len(text)
        if any(char in text[at:end] for char in "\"'<=`"):
            raise GoSyntaxError(line, "an attribute's value in an HTML tag needs quotes", _PLAIN_TEXT)
        self.place = HtmlPlace.TAG if found else HtmlPlace.UNQUOTED
        return end


def _escape_brackets(text: str) -> str:
    return re.sub(r"(?i)<(?!!DOCTYPE)", "&lt;", text)
