"""What a fault means for requests and their results: when an answer is known for sure, and what was cut off. Pure."""

from collections.abc import Sequence

from tests.proof.history import Arrival, Disruption, Limits

STORE, STOP, CLOCK, POWER = "store", "stop", "clock", "power failure"
"""Kinds of faults that mean something of their own; all others cut off what is in flight."""


def later_by_stops(moment: float, cut: Sequence[Disruption], limits: Limits) -> float:
    """Return when an answer of that moment has surely been read, by an agent that is paused meanwhile."""
    known = moment + limits.in_flight
    for fault in cut:
        if fault.kind == STOP and fault.began <= known and fault.ended >= moment:
            known = max(known, fault.ended + limits.in_flight)
    return known


def later_by_faults(moment: float, cut: Sequence[Disruption], limits: Limits) -> float:
    """Return when the result of an answer of that moment is surely in the store, if its agent lives on."""
    known = later_by_stops(moment, cut, limits) + limits.in_flight
    for fault in cut:
        if fault.kind == STORE and fault.began <= known and fault.ended >= moment:
            known = max(known, fault.ended + limits.effect)
    return known


def is_cut(first: Arrival, again: Arrival, fault: Disruption, known: float, limits: Limits) -> bool:
    """Return whether a fault came before the result of the first request was in the store: at `known` it should be.

    Who sent it may have been killed before its receiver read it. A power failure may take a result back at any time.
    """
    if fault.kind == POWER:
        return first.began <= fault.ended and fault.began <= again.began
    sent = first.began - limits.in_flight
    return fault.kind != CLOCK and fault.ended >= sent and fault.began <= min(again.began, known)


def is_late(answered: Arrival, limits: Limits) -> bool:
    """Return whether its sender may have given up before the answer came."""
    return answered.ended - answered.began >= limits.timeout / 2
