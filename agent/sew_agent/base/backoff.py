"""Pauses that double with each failure in a row. Pure."""

_LARGEST_POWER = 32
"""Largest exponent: a float overflows beyond the thousandth power, which an outage of some hours reaches."""


def doubled(first: float, times: int, longest: float) -> float:
    """Return `first`, doubled so many times, but at most `longest`; in seconds."""
    return min(longest, first * 2.0 ** min(times, _LARGEST_POWER))
