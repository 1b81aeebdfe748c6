"""Literals as values of a field's type, or the reason why they cannot be."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace

from kubectl_sew.query.ast import Literal, Operator
from kubectl_sew.query.errors import QueryProblem, quoted
from kubectl_sew.query.fields import Field, FieldType, NumberKind, closest
from kubectl_sew.query.values import (
    LAST_SECOND,
    LAST_SECOND_OF_NANOSECONDS,
    SECOND,
    Moment,
    Network,
    Pattern,
    lower,
    parse_moment,
    parse_network,
    parse_pattern,
    parse_rfc3339,
    read_number,
)

_LONGEST_SPAN_OF_NANOSECONDS = 20_000 * 86_400 * SECOND
"""Nanoseconds back from now: less than the time since 1970."""

Exact = str | int | float | bool | Network | Moment
"""A value that stands for itself."""
Typed = Exact | Pattern
"""A member of a set."""


def readings(field: Field, literal: Literal, *, ordered: bool = False) -> list[Field]:
    """Return `field` as the concrete types that it is compared with `literal` as: one, or two where it is of any.

    What a literal looks like is a guess there. So an address, a network or a time is equal to its own text too.
    """
    if field.type is not FieldType.ANY:
        return [field]
    storage = replace(field.storage, number=NumberKind.EXACT)
    guessed = replace(field, type=_type_of(literal, ordered), storage=storage)
    if ordered or guessed.type not in (FieldType.IP, FieldType.TIME):
        return [guessed]
    return [guessed, replace(guessed, type=FieldType.STRING)]


def _type_of(literal: Literal, ordered: bool) -> FieldType:
    if literal.number:
        return FieldType.FLOAT
    if parse_network(literal.text):
        return FieldType.IP
    time = parse_moment(literal.text) if ordered and literal.text.startswith("now") else parse_rfc3339(literal.text)
    return FieldType.TIME if time else FieldType.STRING


def read_literal(field: Field, literal: Literal) -> Exact | QueryProblem:
    """Return what `literal` stands for in a field of a concrete type, or the problem where it cannot stand there."""
    return _READERS[field.type](field, literal)


def read_member(field: Field, literal: Literal) -> Typed | QueryProblem:
    """Return what `literal` stands for as a member of a set: as `read_literal`, and strings can have wildcards."""
    parsed = parse_pattern(literal.text)
    if field.type is FieldType.STRING and not field.equality_only:
        if isinstance(parsed, Pattern):
            return Pattern(tuple(part and fold(field, part) for part in parsed.parts))
        return _string(field, literal, parsed)
    if isinstance(parsed, Pattern):
        return _unfit(field, literal, "wildcards are for strings only, and not for `_id`")
    return _string(field, literal, parsed) if field.type is FieldType.STRING else read_literal(field, literal)


def _string(field: Field, literal: Literal, text: str) -> str | QueryProblem:
    limit = field.storage.ignore_above
    if limit is not None and utf16_length(text) > limit:
        return _unfit(field, literal, f"the index ignores values of more than {limit} characters (ignore_above)")
    if field.equality_only and not text:
        return _unfit(field, literal, "no event has an empty id")
    return fold(field, text)


def fold(field: Field, text: str) -> str:
    """Return a string as the field compares it."""
    return lower(text) if field.storage.lowercase else text


def utf16_length(text: str) -> int:
    """Return the length as Java counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _whole(field: Field, literal: Literal) -> Exact | QueryProblem:
    number = read_number(literal.text)
    if not isinstance(number, int):
        return _must_be(field, literal, "a whole number")
    _, low, high = field.storage.number.value
    low = low if field.low is None else max(low, field.low)
    high = high if field.high is None else min(high, field.high)
    return number if low <= number <= high else _must_be(field, literal, f"a number from {low} to {high}")


def _float(field: Field, literal: Literal) -> Exact | QueryProblem:
    number = read_number(literal.text)
    if number is None:
        return _must_be(field, literal, "a number")
    rounded = narrow(field.storage.number, number)
    if rounded is None:
        kind = field.storage.number.value[0]
        return _unfit(field, literal, f"the index stores it as {kind}, which cannot hold a number this large")
    return rounded


def narrow(kind: NumberKind, number: float) -> float | None:
    """Return a number as a field of that kind holds it; None where it is too large."""
    if kind is NumberKind.EXACT and isinstance(number, int):
        return number
    try:
        value = float(number)
        if kind in (NumberKind.HALF_FLOAT, NumberKind.FLOAT):
            value = struct.unpack("f", struct.pack("f", value))[0]
        if kind is NumberKind.HALF_FLOAT:
            value = struct.unpack("e", struct.pack("e", value))[0]
    except (OverflowError, struct.error):
        return None
    return value if abs(value) < float("inf") else None


def _boolean(field: Field, literal: Literal) -> Exact | QueryProblem:
    value = {"true": True, "false": False}.get(literal.text)
    return _must_be(field, literal, "true or false") if value is None else value


def _address(field: Field, literal: Literal) -> Exact | QueryProblem:
    return parse_network(literal.text) or _must_be(field, literal, "an IP address or a CIDR")


def _time(field: Field, literal: Literal) -> Exact | QueryProblem:
    moment = parse_moment(literal.text)
    if moment is None:
        hint = 'write seconds since the epoch, or quoted RFC 3339 ("2026-01-31T12:00:00Z"), "now", "now-15m"'
        return _must_be(field, literal, "a time", hint)
    if moment.relative and field.storage.nanoseconds and moment.at > _LONGEST_SPAN_OF_NANOSECONDS:
        return _unfit(field, literal, "the index stores it as date_nanos, which has no time before 1970")
    last = LAST_SECOND_OF_NANOSECONDS if field.storage.nanoseconds else LAST_SECOND
    if not moment.relative and not 0 <= moment.at < (last + 1) * SECOND:
        end = "2262-04-11 (the index stores it as date_nanos)" if field.storage.nanoseconds else "9999"
        return _must_be(field, literal, f"a time from 1970 to {end}", "a number stands for seconds since the epoch")
    return moment


_READERS: dict[FieldType, Callable[[Field, Literal], Exact | QueryProblem]] = {
    FieldType.STRING: lambda field, literal: _string(field, literal, literal.text),
    FieldType.INTEGER: _whole,
    FieldType.FLOAT: _float,
    FieldType.BOOLEAN: _boolean,
    FieldType.IP: _address,
    FieldType.TIME: _time,
}


def interval(moment: Moment, operator: Operator, now: int, tick: int) -> tuple[int | None, int | None]:
    """Return the ticks (of `tick` nanoseconds) that a comparison selects, from the first to before the second.

    None is no bound. `now` is in nanoseconds. A whole second is equal to all that begin with it.
    """
    at = now - moment.at if moment.relative else moment.at
    floor, ceiling = at // tick, -(-at // tick)
    if operator is Operator.LESS:
        return None, ceiling
    if operator is Operator.AT_MOST:
        return None, floor + 1
    if operator is Operator.GREATER:
        return floor + 1, None
    if operator is Operator.AT_LEAST:
        return ceiling, None
    if not moment.whole:
        return floor, floor + 1
    return at // SECOND * SECOND // tick, (at // SECOND + 1) * SECOND // tick


def tick_of(field: Field) -> int:
    """Return the resolution of a time, in nanoseconds."""
    return 1 if field.storage.nanoseconds else 1_000_000


def not_allowed(field: Field, literal: Literal) -> Iterator[QueryProblem]:
    """Yield the problem of a string that is none of the allowed ones, with those that are like it."""
    if field.values and literal.text not in field.values:
        near = closest(literal.text, list(field.values))
        hint = "did you mean " + " or ".join(map(quoted, near)) + "?" if near else f"it must be one of {field.allowed}"
        yield QueryProblem(f"{quoted(literal.text)} is not a known {field.name}", literal.span, hint)


def _must_be(field: Field, literal: Literal, what: str, hint: str = "") -> QueryProblem:
    message = f"a value of {quoted(field.name)} must be {what}, but is {quoted(literal.text)}"
    return QueryProblem(message, literal.span, hint)


def _unfit(field: Field, literal: Literal, why: str, hint: str = "") -> QueryProblem:
    return QueryProblem(f"{quoted(literal.text)} cannot be a value of {quoted(field.name)}: {why}", literal.span, hint)
