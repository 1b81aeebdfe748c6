"""Whose a field is: of a change that is not meant to last, the field goes back to whom it belonged to. Pure.

Kubernetes notes in `metadata.managedFields` who set which field, and refuses a server-side apply that would change
another's. Who sets a state for a moment would keep it for ever.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

Entry = Mapping[str, Any]

_SPEC, _STATE = "f:spec", "f:state"


def give_back(before: Sequence[Entry], after: Sequence[Entry]) -> list[dict[str, Any]] | None:
    """The entries of `after` with the owners of `.spec.state` that `before` had; None where these are the same.

    `before` and `after`: managedFields of one resource, before its state was set and after.
    """
    owners = {_identity(each) for each in before if _owns(each)}
    if not owners or owners == {_identity(each) for each in after if _owns(each)}:
        return None
    entries = [deepcopy(dict(each)) for each in after]
    there = {_identity(each) for each in entries}
    entries += [deepcopy(dict(each)) for each in before if _identity(each) in owners - there]
    for each in entries:
        spec = each.setdefault("fieldsV1", {}).setdefault(_SPEC, {})
        if _identity(each) in owners:
            spec[_STATE] = {}
        else:
            spec.pop(_STATE, None)
            if not spec:
                del each["fieldsV1"][_SPEC]
    return [each for each in entries if each["fieldsV1"]]


def _owns(entry: Entry) -> bool:
    return _STATE in ((entry.get("fieldsV1") or {}).get(_SPEC) or {})


def _identity(entry: Entry) -> tuple[str, ...]:
    return tuple(str(entry.get(key, "")) for key in ("manager", "operation", "apiVersion", "subresource"))
