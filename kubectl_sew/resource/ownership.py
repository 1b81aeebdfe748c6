"""The owner of a field: after a change that is not meant to last, the field goes back to its owner. Pure.

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
    owners = {_identity(entry) for entry in before if _owns(entry)}
    if not owners or owners == {_identity(entry) for entry in after if _owns(entry)}:
        return None
    entries = [deepcopy(dict(entry)) for entry in after]
    there = {_identity(entry) for entry in entries}
    entries += [deepcopy(dict(entry)) for entry in before if _identity(entry) in owners - there]
    for entry in entries:
        spec = entry.setdefault("fieldsV1", {}).setdefault(_SPEC, {})
        if _identity(entry) in owners:
            spec[_STATE] = {}
        else:
            spec.pop(_STATE, None)
            if not spec:
                del entry["fieldsV1"][_SPEC]
    return [entry for entry in entries if entry["fieldsV1"]]


def _owns(entry: Entry) -> bool:
    return _STATE in ((entry.get("fieldsV1") or {}).get(_SPEC) or {})


def _identity(entry: Entry) -> tuple[str, ...]:
    return tuple(str(entry.get(key, "")) for key in ("manager", "operation", "apiVersion", "subresource"))
