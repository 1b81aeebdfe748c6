"""Limit of open files: each connection to a receiver is one."""

import resource

_OTHERS = 200
"""Files beside the connections to receivers: the store, the log, the page of metrics, events, other servers."""


def deliveries_within(wanted: int, requests: int) -> int:
    """Return how many deliveries may be in flight, of so many: each may leave another connection idle.

    `requests`: those of one delivery, side by side. The limit is raised to what all need, as far as the system allows.
    """
    each = requests + 1
    needed = each * wanted + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(needed, soft)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return wanted if soft == resource.RLIM_INFINITY else max(min(wanted, (soft - _OTHERS) // each), 1)
