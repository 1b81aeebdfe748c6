"""`eq`, `ne`, `lt`, `le`, `gt` and `ge`: an integer is compared with an integer, a float with a float, as in Go."""

from collections.abc import Mapping
from typing import Any

from kubectl_sew.consumers.go_template.values import GoValueError, as_bytes, type_name
from kubectl_sew.consumers.template_budget import Budget

_KINDS = {"bool": "bool", "int": "int", "uint8": "uint", "float64": "float", "string": "string"}
_INTEGERS = ("int", "uint")


def equal_any(values: list[Any], budget: Budget) -> bool:
    """Return whether the first value is equal to one of the others. Raises GoValueError where they do not compare."""
    first, *others = values
    if not others:
        raise GoValueError("`eq` compares with nothing")
    return any(_equal(first, other, budget) for other in others)


def less(first: Any, second: Any, budget: Budget) -> bool:
    """Return whether a value is less than another. Raises GoValueError where they have no order."""
    kinds = _kind(first), _kind(second)
    if "" in kinds:
        raise GoValueError("null, lists and objects have no order")
    if kinds[0] != kinds[1] and not all(kind in _INTEGERS for kind in kinds):
        raise _incompatible(first, second)
    if kinds[0] == "bool":
        raise GoValueError("truth values have no order")
    if isinstance(first, str):
        budget.spend_on_text(min(len(first), len(second)))
        return as_bytes(first) < as_bytes(second)
    return bool(first < second)


def _equal(first: Any, second: Any, budget: Budget) -> bool:
    kinds = _kind(first), _kind(second)
    if kinds[0] != kinds[1]:
        if all(kind in _INTEGERS for kind in kinds):
            return bool(first == second)
        if first is None or second is None:
            return False
        raise _incompatible(first, second)
    if kinds[0]:
        if isinstance(first, str):
            budget.spend_on_text(min(len(first), len(second)))
        return bool(first == second)
    if first is None or second is None:
        return first is second
    raise GoValueError(f"{type_name(first)} and {type_name(second)} cannot be compared")


def _kind(value: Any) -> str:
    return "" if value is None or isinstance(value, list | Mapping) else _KINDS[type_name(value)]


def _incompatible(first: Any, second: Any) -> GoValueError:
    names = type_name(first), type_name(second)
    hint = ""
    if set(names) == {"int", "float64"}:
        hint = ": an event's numbers are floats, so write `80.0` and not `80`"
    return GoValueError(f"{names[0]} and {names[1]} cannot be compared{hint}")
