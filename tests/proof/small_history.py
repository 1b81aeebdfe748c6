"""Histories of one webhook and a few events, for the tests of the judge."""

from tests.proof.history import Arrival, Books, Change, Definition, History, Limits, State, Written

LIMITS = Limits(workers=2, timeout=3.0, forget_after=10.0, in_flight=0.5, effect=2.0)
ON = Definition("w", 0, State.ENABLED, 50)


def event(number: int, at: float = 10.0, severity: int = 60, **more: object) -> Written:
    return Written(number, at, severity, **more)  # type: ignore[arg-type]


def arrival(number: int, began: float = 11.0, status: int = 204, **more: object) -> Arrival:
    return message((number,), began, status, **more)


def message(numbers: tuple[int, ...], began: float, status: int = 204, **more: object) -> Arrival:
    """Return a request with these events; each set of them has an id of its own."""
    ended = more.pop("ended", began + 0.1)
    return Arrival("w", numbers, f"id of {numbers}", began, ended, status, **more)  # type: ignore[arg-type]


def books(*, delivered: int, **more: object) -> dict[str, Books]:
    known = {"seen": delivered, "delivered": delivered, "pending": 0, "dead": 0, "dropped": 0} | more
    return {"w": Books(**known)}  # type: ignore[arg-type]


def history(*arrivals: Arrival, **more: object) -> History:
    """Return a history of one webhook that selects the events 0, 1 and 2, unless it is said otherwise."""
    known = {"events": [event(0), event(1), event(2)], "changes": [Change(ON, 0.0, 1.0)], "arrivals": arrivals} | more
    return History(**known)  # type: ignore[arg-type]
