"""What a digest must say of its events, reckoned from the events themselves. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.proof.events import Events, identity, numbers_in
from tests.proof.groups import FULL
from tests.proof.history import Definition

NEWEST = 5
"""Events that it shows, where a webhook does not say how many."""
TOP = 10
"""Values of a list, the most frequent ones."""


def flaw(body: Mapping[str, Any], events: Events, definition: Definition) -> str:
    """Return what is wrong with a digest as a receiver got it, beside its id; "" where nothing is."""
    numbers = numbers_in(body)
    if not all(0 <= number < len(events.written) for number in numbers):
        return "an event in it is none of ours"
    if not 2 <= len(numbers) <= FULL or len(set(numbers)) < len(numbers):
        return f"a digest of {len(numbers)} events, {len(set(numbers))} different ones"
    if not definition.digest:
        return "a digest, although its webhook has none"
    members = [events.document(number) | {"id": identity(number)} for number in numbers]
    if definition.group_by and len({member[definition.group_by] for member in members}) > 1:
        return "a digest of several groups"
    digest, wanted = body["digest"], _wanted(members, definition)
    lists = {"types": "type", "severities": "severity", "sources": "source_name", "destinations": "dest_ip"}
    wrong = [name for name, field in lists.items() if not _counts(digest.get(name), members, field)]
    wrong += [
        key for key in {**wanted["digest"], **digest} if key not in lists and _differs(wanted["digest"], digest, key)
    ]
    wrong += [
        key for key in {**wanted, **body} if key not in ("id", "labels", "digest") and _differs(wanted, body, key)
    ]
    return f"a digest, altered in {', '.join(sorted(wrong))}" if wrong else ""


def _wanted(members: Sequence[Mapping[str, Any]], definition: Definition) -> dict[str, Any]:
    """Return the digest of these events, in the order in which they were read, without its lists, labels and id."""
    kinds = Counter(member["type"] for member in members)
    first, last = min(member["time"] for member in members), max(member["time"] for member in members)
    group = {definition.group_by: members[0][definition.group_by]} if definition.group_by else {}
    where = "".join(f" with {name} {value}" for name, value in group.items())
    counted = ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds, key=lambda kind: (-kinds[kind], kind)))
    newest = sorted(range(len(members)), key=lambda at: (members[at]["time"], at), reverse=True)[:NEWEST]
    return {
        "type": members[0]["type"] if len(kinds) == 1 else "digest",
        "name": f"{len(members)} events",
        "description": f"{len(members)} events{where} from {_shown(first)} to {_shown(last)}: {counted}",
        "severity": max(member["severity"] for member in members),
        "time": last,
        "digest": {
            "count": len(members),
            "first": _shown(first),
            "last": _shown(last),
            "group": group,
            "newest": [members[at] for at in newest],
            "ids": [member["id"] for member in members],
        },
    }


def _counts(shown: Any, members: Sequence[Mapping[str, Any]], field: str) -> bool:
    """Return whether a list has the most frequent values, each with its count, and how many more there are."""
    counts = Counter(str(member.get(field, "none")) for member in members)
    named = {one["value"]: one["count"] for one in shown if "value" in one}
    left = {value: count for value, count in counts.items() if value not in named}
    rest = [one for one in shown if "value" not in one]
    return (
        len(named) == min(len(counts), TOP)
        and all(counts[value] == count for value, count in named.items())
        and max(left.values(), default=0) <= min(named.values())
        and rest == ([{"others": len(left), "count": sum(left.values())}] if left else [])
    )


def _differs(wanted: Mapping[str, Any], found: Mapping[str, Any], key: str) -> bool:
    return bool(wanted.get(key, "missing") != found.get(key, "missing"))


def _shown(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
