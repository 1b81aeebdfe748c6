"""Room of a store, and how it is divided among the webhooks. Pure."""

from collections.abc import Mapping

OVERHEAD = 300
"""Bytes that a delivery takes beside its event's payload."""
SEEN_EVENT = 64
"""Bytes that one seen event of one webhook fills."""
ATTEMPT = 1024
"""Bytes that an attempt in the log of deliveries is counted as: about what it fills at most, few fill a third."""
LEAST_SHARE = 0.05
RESERVED = 0.04
READABLE_FOR = 600.0
"""Seconds for which the counters of a webhook that is gone for good can still be read, and any seen event is kept."""
_TIGHT = 0.8
_LEAST_SEEN = 0.25
_LOG_SHARE = 0.1


def filled(used: Mapping[str, int], max_bytes: int, seen: int) -> Mapping[str, float]:
    """Return how full each webhook's share is. `used`: bytes of its deliveries; `seen`: bytes of all seen events."""
    return {name: used[name] / share for name, share in shares(used, max_bytes, seen).items()}


def shares(used: Mapping[str, int], max_bytes: int, seen: int) -> Mapping[str, float]:
    """Return the bytes that each webhook may fill: an even part of what others leave, at least 5 % while there is room.

    4 % are reserved for webhooks that hold little, and divided evenly, whatever others fill.
    """
    reserved = RESERVED * max_bytes
    most, whole = max_bytes - reserved, sum(used.values()) + seen
    least = LEAST_SHARE * max_bytes if whole < most else 0.0
    own = reserved / max(len(used), 1)
    even = {name: (most - whole + size) / len(used) for name, size in used.items()}
    return {name: max(part if whole < most else 0.0, least, own) for name, part in even.items()}


def forgettable_until(now: float, known_for: float, max_bytes: int, *, used: int, seen: int) -> float:
    """Return the moment up to which seen events may be forgotten: later where the room is needed."""
    tight = used + seen > _TIGHT * max_bytes and seen > _LEAST_SEEN * max_bytes
    return now + max(known_for - READABLE_FOR, 0.0) if tight else now


def attempts_kept(most: int, max_bytes: int, *, used: int, seen: int, webhooks: int) -> int:
    """Return how many attempts of each webhook the log of deliveries may hold: `most`, fewer where there is no room.

    The log has a tenth of the store, divided evenly, of what nothing else fills: it gives way to what waits to be sent.
    """
    room = min(_LOG_SHARE * max_bytes, max_bytes - used - seen)
    return max(min(most, int(room / (ATTEMPT * max(webhooks, 1)))), 0)
