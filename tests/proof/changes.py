"""The changes of a webhook: what a fault of it consists of, one step after the other. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.proof.history import Definition, State
from tests.proof.schedule import Fault
from tests.proof.setup import FORGET_AFTER

Step = tuple[float, Callable[[Definition], Definition]]
"""Seconds to wait after the change before, and the next change."""
NARROWED = 5
"""Severity by which a changed query selects fewer events, and then more again."""
OTHER_DIGESTS = (1, "type")
"""Digests that a webhook without any has for a while."""


def steps_of(fault: Fault, first: Definition) -> Sequence[Step]:
    """Return the steps of a fault of a webhook. `first`: its first definition."""
    if fault.what == "query":
        return [(0.0, _narrow), (fault.lasts, _widen)]
    if fault.what == "digest":
        other = (0, "") if first.digest else OTHER_DIGESTS
        return [(0.0, _gathers(*other)), (fault.lasts, _gathers(first.digest, first.group_by))]
    if fault.what == "secret":
        return [(0.0, with_new_secret)]
    if fault.what == "token":
        return [(0.0, lambda now: replace(now, token=now.token + 1))]
    state = State.DISABLED if fault.what == "disabled" else State.ABSENT
    lasts = fault.lasts if fault.what != "forgotten" else FORGET_AFTER + fault.lasts
    return [
        (0.0, lambda now: replace(now, state=state)),
        (lasts, lambda now: replace(now, state=State.ENABLED)),
    ]


def with_new_secret(now: Definition) -> Definition:
    return replace(now, secret=now.secret + 1)


def _gathers(digest: int, group_by: str) -> Callable[[Definition], Definition]:
    return lambda now: replace(now, digest=digest, group_by=group_by)


def _narrow(now: Definition) -> Definition:
    return replace(now, severity=now.severity + NARROWED)


def _widen(now: Definition) -> Definition:
    return replace(now, severity=now.severity - NARROWED)
