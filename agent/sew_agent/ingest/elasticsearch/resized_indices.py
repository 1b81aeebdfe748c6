"""The index that a new one was made of, by shrinking, splitting, cloning or restoring: same documents. Pure.

Elasticsearch reports how each shard came to be. A restored one names its index. One that was made of local shards does
not, and its settings forget it when it is there, but it keeps their numbers: the index whose shards ended at exactly
those is the one. An event is then known by the name of the index that it was first in.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sew_agent.ingest.elasticsearch.cursors import Cursor
from sew_agent.ingest.elasticsearch.shards import START, Shard

_LOCAL, _SNAPSHOT = "LOCAL_SHARDS", "SNAPSHOT"


def origin(name: str, shards: Sequence[Shard], recoveries: Mapping[str, Any], cursors: Mapping[str, Cursor]) -> str:
    """Return the name of the index that this one was made of; "" where there is none, or it is not known.

    `shards`: all of its shards. `recoveries`: as `GET _recovery` has its shards. `cursors`: of all known indices.
    """
    ways = [recovery for recovery in recoveries.get("shards", ()) if recovery.get("primary")]
    if any(recovery.get("type") == _SNAPSHOT for recovery in ways):
        restored = next(
            (recovery["source"].get("index", "") for recovery in ways if recovery.get("type") == _SNAPSHOT), ""
        )
        return "" if restored == name else str(restored)
    if not any(recovery.get("type") == _LOCAL for recovery in ways):
        return ""
    return _of_local(name, [shard.checkpoint for shard in sorted(shards, key=lambda shard: shard.number)], cursors)


def _of_local(name: str, ends: Sequence[int], cursors: Mapping[str, Cursor]) -> str:
    """Return the index whose shards ended at these numbers; of several, the one whose name is in the new one's."""
    tops: dict[str, dict[int, int]] = {}
    names: dict[str, str] = {}
    for key, cursor in cursors.items():
        uuid, _, number = key.partition("/")
        tops.setdefault(uuid, {})[int(number)] = cursor.top
        names[uuid] = cursor.index
    candidates = {names[uuid] for uuid, ends_before in tops.items() if names[uuid] != name and _fits(ends_before, ends)}
    named = {candidate for candidate in candidates if candidate in name}
    (only,) = named if len(named) == 1 else candidates if len(candidates) == 1 else ("",)
    return only


def _fits(tops: Mapping[int, int], ends: Sequence[int]) -> bool:
    if max(ends, default=START) == START or set(tops) != set(range(len(tops))):
        return False
    if len(tops) % len(ends) and len(ends) % len(tops):
        return False
    return any(
        all(end == max(tops[source] for source in sources) for end, sources in zip(ends, parts, strict=True))
        for parts in (_neighbours(len(tops), len(ends)), _apart(len(tops), len(ends)))
    )


def _apart(before: int, after: int) -> Iterator[Sequence[int]]:
    """Yield the old shards that each of `after` new ones was made of, as Elasticsearch 9.5 routes documents."""
    for number in range(after):
        yield range(number, before, after) if after < before else [number % before]


def _neighbours(before: int, after: int) -> Iterator[Sequence[int]]:
    """Yield the same as older versions and OpenSearch do."""
    for number in range(after):
        if after < before:
            factor = before // after
            yield range(number * factor, (number + 1) * factor)
        else:
            yield [number // (after // before)]
