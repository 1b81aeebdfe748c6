"""Numbers as Go writes them."""

from decimal import Decimal


def integer_text(value: int, base: int, verb: str, flags: str, precision: int | None, zeros: int) -> str:
    """Return an integer with sign, prefix and leading zeros; `zeros`: the width that they fill where no precision is.

    "" where the precision is 0 and so is the number, as in Go.
    """
    if precision == 0 and value == 0:
        return ""
    sign = "-" if value < 0 else "+" if "+" in flags else " " if " " in flags else ""
    digits = _digits(abs(value), base)
    digits = digits.upper() if verb == "X" else digits
    digits = digits.rjust(zeros - len(sign) if precision is None else precision, "0")
    if "#" in flags:
        digits = {2: "0b", 16: f"0{verb}", 8: "" if digits.startswith("0") else "0"}.get(base, "") + digits
    return sign + ("0o" if verb == "O" else "") + digits


def _digits(value: int, base: int) -> str:
    return format(value, {2: "b", 8: "o", 10: "d", 16: "x"}[base])


def float_text(value: float, verb: str, precision: int | None) -> str:
    """Return a float by `e`, `f` or `g` (or `E`, `G`); without a precision by the fewest digits that tell it."""
    if precision is None:
        return _shortest(value, verb)
    return f"{value:.{precision}{verb}}"


def _shortest(value: float, verb: str) -> str:
    """Return a float by `g`, of as few digits as tell it from all others: with an exponent from 1e+06 on."""
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + int(exponent) if text != "0" else 1
    minus = "-" if sign else ""
    if -4 <= point - 1 < 6:
        return minus + _positional(text, point)
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    letter = "E" if verb == "G" else "e"
    return f"{minus}{text[0]}{fraction}{letter}{point - 1:+03d}"


def _positional(digits: str, point: int) -> str:
    if point <= 0:
        return f"0.{'0' * -point}{digits}"
    whole = digits[:point].ljust(point, "0")
    return f"{whole}.{digits[point:]}" if len(digits) > point else whole


def with_point(text: str, precision: int | None, verb: str) -> str:
    """Return a float's text with a decimal point, and by `g` with all its digits, as the flag `#` wants it."""
    mantissa, letter, exponent = text.partition("E" if verb == "G" else "e")
    wanted = (6 if precision is None else precision) if verb in "gG" else 0
    digits = mantissa.lstrip("-").replace(".", "")
    shown = len(digits.lstrip("0")) + (mantissa.lstrip("-") == "0")
    point = "" if "." in mantissa else "."
    return mantissa + point + "0" * (wanted - shown) + letter + exponent
