"""Values in events, read as Elasticsearch's mapping reads them: all values below a key, each as its field holds it.

A value that the field cannot hold is None: it has no value. Nothing here raises, whatever an event holds.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kubectl_sew.query.event_numbers import read_double, read_whole
from kubectl_sew.query.event_times import as_text, read_time
from kubectl_sew.query.fields import Field, FieldType
from kubectl_sew.query.literals import fold, utf16_length
from kubectl_sew.query.values import parse_address

Read = Callable[[Any], Any]
"""Scalar of an event -> value as the field holds it, None where it cannot."""
Walk = Callable[[Mapping[str, Any]], Iterator[Any]]


def walker(name: str, flat_from: int | None = None) -> Walk:
    """Return a walk over all values below a dotted key, through lists and keys with dots; nulls and objects too."""
    if name == "_id":
        return lambda document: iter((document.get("_id", document.get("id")),))
    parts = name.split(".")
    flat = len(parts) if flat_from is None else flat_from
    steps = [
        [(".".join(parts[start:end]), end) for end in range(start + 1, len(parts) + 1)] for start in range(len(parts))
    ]

    def walk(document: Mapping[str, Any]) -> Iterator[Any]:
        stack: list[tuple[Any, int]] = [(document, 0)]
        while stack:
            value, at = stack.pop()
            if isinstance(value, list):
                if at <= flat or at == len(parts):
                    stack += [(entry, at) for entry in value]
            elif at == len(parts):
                yield value
            elif isinstance(value, Mapping):
                stack += [(value[key], end) for key, end in steps[at] if key in value]

    return walk


def reader(field: Field) -> Read:
    """Return how values of a field of that type and storage are read."""
    return _MAKERS[field.type](field)


def _anything(_: Field) -> Read:
    return lambda value: value if _has_leaf(value) else None


def _has_leaf(value: Any) -> bool:
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            stack += value.values()
        elif isinstance(value, list):
            stack += value
        elif value is not None:
            return True
    return False


def _string(field: Field) -> Read:
    limit = field.storage.ignore_above

    def read(value: Any) -> str | None:
        text = value if isinstance(value, str) else as_text(value)
        if text is None or (limit is not None and utf16_length(text) > limit):
            return None
        return fold(field, text)

    return read


def _boolean(_: Field) -> Read:
    # Elasticsearch reads the empty string as false, and no other text than these.
    texts = {"true": True, "false": False, "": False}

    def read(value: Any) -> bool | None:
        if isinstance(value, bool):
            return value
        return texts.get(value) if isinstance(value, str) else None

    return read


def _address(_: Field) -> Read:
    def read(value: Any) -> int | None:
        if not isinstance(value, str):
            return None
        number = parse_address(value)
        if number is None and "%" in value:  # an IPv6 address may have a zone, which is not kept
            base, _, zone = value.partition("%")
            return parse_address(base) if zone and ":" in base and "." not in base else None
        return number

    return read


_MAKERS: dict[FieldType, Callable[[Field], Read]] = {
    FieldType.STRING: _string,
    FieldType.INTEGER: read_whole,
    FieldType.FLOAT: read_double,
    FieldType.BOOLEAN: _boolean,
    FieldType.TIME: read_time,
    FieldType.IP: _address,
    FieldType.ANY: _anything,
}
