"""What of a pattern a login may not see: Elasticsearch leaves that out of its answers, and does not say so. Pure.

Asked is whether each name of the pattern is covered, whatever indices there are now: an index that comes later is left
out as silently.
"""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

HAS_PRIVILEGES = "/_security/user/_has_privileges"
"""Path at which every user may ask for their own privileges."""
_NOT_ASKED = ("-", "<", ".ds-")
"""How names begin that no privilege is asked by: what is left out, a date to be reckoned, an index of a data stream."""


def question(pattern: str, privileges: Json) -> Json | None:
    """Return the body that asks for a login's privileges; None where there is nothing to ask.

    `privileges`: each with an action of it, which a role may grant in its place.
    """
    names = [name for name in pattern.split(",") if not name.startswith(_NOT_ASKED)]
    if not names or not privileges:
        return None
    return {"index": [{"names": names, "privileges": [*privileges, *privileges.values()]}]}


def uncovered(answer: Any, privileges: Json) -> str:
    """Return what the login lacks, as ``read` on all of `events-*``; "" where it lacks nothing."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for name, granted in answer.items() if isinstance(answer, Mapping) else ():
        given = granted if isinstance(granted, Mapping) else dict.fromkeys(privileges, True)
        lacks = tuple(f"`{each}`" for each, action in privileges.items() if not (given.get(each) or given.get(action)))
        if lacks:
            lacking.setdefault(lacks, []).append(f"`{name}`")
    return "; ".join(f"{_listed(lacks)} on all of {', '.join(names)}" for lacks, names in lacking.items())


def _listed(words: tuple[str, ...]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
