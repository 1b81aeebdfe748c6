"""A security event: what identifies it, when it happened, and safe access to its text."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from kubectl_sew.text import parse_rfc3339

META_KEYS = frozenset({"_id", "_index"})
"""Fields that identify a document in Elasticsearch; never sent to a receiver."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as its source gave it.

    `index` is the Elasticsearch index, "" for files. `id` is the document's `_id`. `document` is the event's JSON
    object; it may hold `_id` (a query's `_id` is looked up there), which no receiver gets.
    """

    index: str
    id: str
    document: Mapping[str, Any]

    @property
    def key(self) -> bytes:
        """16 bytes that stand for the identity (`_index`, `_id`)."""
        return sha256(f"{self.index}\0{self.id}".encode("utf-8", "surrogatepass")).digest()[:16]

    @property
    def time(self) -> float | None:
        """The event's own time in seconds since the epoch; None where it has none that can be read."""
        return read_time(self.document.get("time"))

    def fields(self) -> dict[str, Any]:
        """The event's fields as receivers get them: without what identifies it in Elasticsearch."""
        fields = dict(self.document)
        for name in META_KEYS & fields.keys():
            del fields[name]
        return fields


def own_id(document: dict[str, Any]) -> str | None:
    """The event's `_id`, else its `id`, as text; None where it has neither (or only an empty or compound one)."""
    for name in ("_id", "id"):
        value = document.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            # JSON can write halves of characters, which nothing behind this can keep or send.
            return str(value).encode("utf-8", "backslashreplace").decode()
    return None


def delivery_id(webhook: str, event: Event) -> str:
    """The one stable id of a (webhook, event): 32 hexadecimal digits, through retries, restarts and replays."""
    return sha256(webhook.encode() + b"\0" + event.key).hexdigest()[:32]


def read_time(value: Any) -> float | None:
    """Epoch seconds from a number of seconds, or from ISO 8601 with an offset (without one: UTC); else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _finite(value)
    if isinstance(value, str):
        return _from_text(value)
    return None


def _finite(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) < 1e12 else None


def _from_text(text: str) -> float | None:
    try:
        return _finite(float(text)) if len(text) <= 32 and "_" not in text else None
    except ValueError:
        pass
    return parse_rfc3339(text)
