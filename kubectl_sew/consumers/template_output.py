"""What templates write into: a body that is bounded, and knows how a value must be escaped where it stands."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.template_budget import Budget

OUTPUT_LIMIT = 1024 * 1024
_CHECK_EVERY = 64
"""Pieces of the result between two checks of the clock."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INSIDE = re.compile(r'(?:[^"\\]|\\[^u]|\\u[0-9a-fA-F]{4})*', re.DOTALL)
_BROKEN_OFF = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_PUNCTUATION = re.compile(r"[\[\]{},:\s]*")
_DUMP = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class BesideEvent:
    """What a template has beside the event, and no `json .` shows: the delivery's id, the time, secrets by name.

    `filled`: what an event of another kind than Calico's has elsewhere, by Calico's names, which it has not itself.
    """

    delivery_id: str = ""
    now: int = 0
    """Seconds since the epoch."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    filled: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> Mapping[str, Any]:
        ours = {"delivery_id": self.delivery_id, "now": self.now} if self.delivery_id else {}
        return {**self.filled, **ours}


NOTHING_BESIDE = BesideEvent()

Lazily = Callable[[], str]


class JsonText(str):
    """A text that is JSON already."""

    __slots__ = ()


class ConstantText(str):
    """A text of the template itself that stands where a value could."""

    __slots__ = ()


class ScriptText(str):
    """A text that is escaped for JavaScript, with what it was before."""

    __slots__ = ("original",)
    original: str


def is_json_scalar(text: str) -> bool:
    """Return whether a text is a number, a truth value or null of JSON."""
    return text in ("true", "false", "null") or _NUMBER.fullmatch(text) is not None


def begins_as_json(texts: Iterable[str]) -> bool:
    """Return whether a template's own texts begin as JSON does, or there are none but blanks."""
    beginning = next((stripped for text in texts if (stripped := text.lstrip())), "{")
    return beginning[0] in '{["'


class Output:
    """A body that grows: the template's own text and values, both as they are. Raises RenderError beyond 1 MiB."""

    errors = "replace"
    """How what UTF-8 cannot hold is written."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._parts: list[bytes] = []
        self._size = 0

    def text(self, text: str) -> None:
        """Write the template's own text."""
        self._append(text)

    def value(self, shown: Lazily, as_json: Lazily) -> None:  # noqa: ARG002 - for those who write JSON
        """Write a value: as the language shows it, or as JSON."""
        self._append(shown())

    def constant(self, text: str) -> None:
        """Write a text of the template itself that stands where a value could."""
        self.value(lambda: text, lambda: _DUMP(text))

    def escaped(self, text: str) -> None:
        """Write a value that the template has escaped for HTML itself."""
        self.value(lambda: text, lambda: _DUMP(text))

    def script(self, text: ScriptText) -> None:
        """Write a value that the template has escaped for JavaScript itself."""
        self.value(lambda: text, lambda: _DUMP(text))

    def body(self) -> bytes:
        return b"".join(self._parts)

    def _append(self, text: str) -> None:
        if not len(self._parts) % _CHECK_EVERY:
            self._budget.check_time()
        self._parts.append(text.encode("utf-8", self.errors))
        self._size += len(self._parts[-1])
        if self._size > OUTPUT_LIMIT:
            raise RenderError("the template's result exceeds 1 MiB")


class EscapedOutput(Output):
    """A body in which values are escaped for the receiver."""

    def __init__(self, budget: Budget, escape: Callable[[str], str]) -> None:
        super().__init__(budget)
        self._escape = escape

    def value(self, shown: Lazily, as_json: Lazily) -> None:  # noqa: ARG002 - as above
        self._append(self._escape(shown()))


class HtmlOutput(EscapedOutput):
    """A body as Go's html/template writes it; bytes that are no UTF-8 stay as they are."""

    errors = "surrogateescape"

    def escaped(self, text: str) -> None:
        self._append(text)


class JsonOutput(Output):
    """A body of JSON: inside a string of the template's own text a value is escaped for it, elsewhere it is JSON."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget)
        self._in_string = False
        self._broken_off = ""
        """Beginning of an escape that the template's text ends with."""

    def text(self, text: str) -> None:
        self._append(text)
        self._follow(self._broken_off + text)

    def value(self, shown: Lazily, as_json: Lazily) -> None:
        if self._broken_off:
            raise RenderError("in the template a value stands in the midst of an escape (`\\`) of a JSON string")
        self._append(_DUMP(shown())[1:-1] if self._in_string else as_json())

    def constant(self, text: str) -> None:
        if not self._in_string and _PUNCTUATION.fullmatch(text):
            self.text(text)
        else:
            super().constant(text)

    def script(self, text: ScriptText) -> None:
        """Write what the value was before: that it is safe in a string is all that it was escaped for."""
        self.value(lambda: text.original, lambda: _DUMP(text.original))

    def _follow(self, text: str) -> None:
        """Keep whether the text ends inside a string, and with half an escape."""
        at, self._broken_off = 0, ""
        while at < len(text):
            if not self._in_string:
                quote = text.find('"', at)
                at = quote + 1 if quote >= 0 else len(text)
                self._in_string = quote >= 0
                continue
            found = _INSIDE.match(text, at)
            at = found.end() if found else at
            if text[at : at + 1] == '"':
                self._in_string = False
            elif _BROKEN_OFF.fullmatch(text, at):
                self._broken_off = text[at:]
                return
            at += 1
