"""Values as Go's package fmt prints them: `print`, `println`, and the verbs of `printf`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubectl_sew.consumers.go_template.numbers import float_text, integer_text, with_point
from kubectl_sew.consumers.go_template.quoting import quote, quote_character
from kubectl_sew.consumers.go_template.values import GoValueError, as_bytes, go_value, type_name
from kubectl_sew.consumers.template_budget import Budget

_VERB = re.compile(r"%(?P<flags>[#0+\- ]*)(?P<width>\d*)(?:\.(?=.)(?P<precision>\d*))?(?P<verb>.?)", re.DOTALL)
_WIDEST = 1_000_000
_NIL = "<nil>"
_BASES = {"d": 10, "v": 10, "b": 2, "o": 8, "O": 8, "x": 16, "X": 16}
_FLOAT_PRECISION = {"v": None, "g": None, "G": None, "e": 6, "E": 6, "f": 6, "F": 6}


@dataclass(frozen=True, slots=True)
class _Form:
    """How one verb wants its value: its letter, flags, width and precision."""

    verb: str
    flags: str = ""
    width: int = 0
    precision: int | None = None

    def pad(self, text: str, *, zeros: bool = True) -> str:
        if "-" in self.flags:
            return text.ljust(self.width)
        return text.rjust(self.width, "0" if zeros and "0" in self.flags else " ")


_PLAIN = _Form("v")


def show(value: Any, budget: Budget) -> str:
    """Return one value as `print` does."""
    return value if isinstance(value, str) else "".join(_printed(value, _PLAIN, budget))


def show_all(values: list[Any], budget: Budget) -> str:
    """Return values as `print` does: with a blank between two that are no texts."""
    parts: list[str] = []
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            parts.append(" ")
        parts.append(show(value, budget))
    return _joined(parts, budget)


def show_line(values: list[Any], budget: Budget) -> str:
    """Return values as `println` does."""
    return _joined([" ".join(show(value, budget) for value in values), "\n"], budget)


def show_formatted(template: str, values: list[Any], budget: Budget) -> str:
    """Return values as `printf` does. Raises GoValueError for what is not taken of it."""
    budget.spend_on_text(len(template))
    parts: list[str] = []
    at = used = 0
    for found in _VERB.finditer(template):
        budget.spend(1)
        parts.append(template[at : found.start()])
        at = found.end()
        verb = found["verb"]
        if verb in ("", "%"):
            parts.append("%" if verb else "%!(NOVERB)")
        elif used >= len(values):
            _form(found)
            parts.append(f"%!{verb}(MISSING)")
        else:
            parts += _printed(values[used], _form(found), budget)
            used += 1
    parts.append(template[at:])
    if used < len(values):
        extra = [_with_type(value, _PLAIN, budget) for value in values[used:]]
        parts.append(f"%!(EXTRA {', '.join(extra)})")
    return _joined(parts, budget)


def _joined(parts: list[str], budget: Budget) -> str:
    budget.spend_on_new_text(sum(map(len, parts)))
    return "".join(parts)


def _form(found: re.Match[str]) -> _Form:
    verb, flags = found["verb"], found["flags"]
    width, precision = int(found["width"] or 0), found["precision"]
    if verb in "*[" or verb in "pTw" or (verb == "v" and "#" in flags):
        raise GoValueError(f"`printf` with `%{flags}{verb}` cannot be used")
    if max(width, int(precision or 0)) > _WIDEST:
        raise GoValueError("`printf` with a width or precision beyond 1,000,000 cannot be used")
    if verb == "v":
        flags = flags.replace("+", "")
    return _Form(verb, flags, width, None if precision is None else int(precision or 0))


def _printed(value: Any, form: _Form, budget: Budget) -> Iterator[str]:
    """Yield the pieces of a value, each charged for before it is made."""
    budget.spend(1 + (form.width + (form.precision or 0)) // 64)
    match value:
        case None:
            yield form.pad(_NIL) if form.verb == "v" else f"%!{form.verb}(<nil>)"
        case list():
            yield "["
            yield from _elements([(None, member) for member in value], form, budget)
            yield "]"
        case Mapping():
            yield "map["
            yield from _elements(_sorted(value, budget), form, budget)
            yield "]"
        case _:
            yield _scalar(value, form, budget)


def _sorted(members: Mapping[str, Any], budget: Budget) -> list[tuple[str | None, Any]]:
    budget.spend(len(members))
    return [(key, members[key]) for key in sorted(members)]


def _elements(members: list[tuple[str | None, Any]], form: _Form, budget: Budget) -> Iterator[str]:
    for number, (key, raw) in enumerate(members):
        if number:
            yield " "
        if key is not None:
            yield from _printed(go_value(key), form, budget)
            yield ":"
        value = go_value(raw)
        if value is None:
            yield _NIL
        else:
            yield from _printed(value, form, budget)


def _scalar(value: Any, form: _Form, budget: Budget) -> str:
    match value:
        case bool():
            return form.pad("true" if value else "false") if form.verb in "tv" else _bad_verb(value, form, budget)
        case int():
            return _integer(value, form, budget)
        case float():
            return _float(value, form, budget)
        case _:
            return _text(str(value), form, budget)


def _bad_verb(value: Any, form: _Form, budget: Budget) -> str:
    plain = _Form("v", form.flags, form.width, form.precision)
    return f"%!{form.verb}({_with_type(value, plain, budget)})"


def _with_type(value: Any, form: _Form, budget: Budget) -> str:
    if value is None:
        return _NIL
    return f"{type_name(value)}={''.join(_printed(value, form, budget))}"


def _integer(value: int, form: _Form, budget: Budget) -> str:
    if base := _BASES.get(form.verb):
        zeros = form.width if "0" in form.flags and "-" not in form.flags else 0
        return form.pad(integer_text(value, base, form.verb, form.flags, form.precision, zeros), zeros=False)
    if form.verb in "cqU":
        code = value if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else 0xFFFD
        if form.verb == "U":
            return form.pad(_unicode(value, form), zeros=False)
        return form.pad(chr(code) if form.verb == "c" else quote_character(chr(code), ascii_only="+" in form.flags))
    return _bad_verb(value, form, budget)


def _unicode(value: int, form: _Form) -> str:
    digits = f"U+{value % 2**64:0{max(4, form.precision or 0)}X}"
    shown = "#" in form.flags and 0 <= value <= 0x10FFFF and chr(value).isprintable()
    return f"{digits} '{chr(value)}'" if shown else digits


def _float(value: float, form: _Form, budget: Budget) -> str:
    if form.verb in "bxX":
        raise GoValueError(f"`printf` with `%{form.flags}{form.verb}` of a number cannot be used")
    if form.verb not in _FLOAT_PRECISION:
        return _bad_verb(value, form, budget)
    precision = _FLOAT_PRECISION[form.verb] if form.precision is None else form.precision
    verb = form.verb.replace("v", "g").replace("F", "f")
    text = float_text(value, verb, precision)
    text = with_point(text, precision, verb) if "#" in form.flags else text
    sign = "-" if text.startswith("-") else "+" if "+" in form.flags else " " if " " in form.flags else ""
    digits = text.removeprefix("-")
    if "0" in form.flags and "-" not in form.flags:
        return sign + digits.rjust(form.width - len(sign), "0")
    return form.pad(sign + digits)


def _text(value: str, form: _Form, budget: Budget) -> str:
    if form.verb not in ("v", "s", "q", "x", "X"):
        return _bad_verb(value, form, budget)
    budget.spend_on_text(len(value))
    if form.verb in "xX":
        return _hexadecimal(as_bytes(value), form)
    if form.precision is not None:
        value = value[: form.precision]
    if form.verb == "q":
        return form.pad(quote(value, ascii_only="+" in form.flags, raw="#" in form.flags))
    return form.pad(value)


def _hexadecimal(data: bytes, form: _Form) -> str:
    if form.precision is not None:
        data = data[: form.precision]
    digits = [f"{byte:02{form.verb}}" for byte in data]
    prefix = f"0{form.verb}" if "#" in form.flags and data else ""
    joined = f" {prefix}".join(digits) if " " in form.flags else "".join(digits)
    return form.pad(prefix + joined)
