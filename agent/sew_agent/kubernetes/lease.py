"""Which of several agents is active: the one that holds the Lease. Deciding is pure; `keeper.py` asks and writes.

As client-go does it, nobody's clock is compared with another's: a holder that has not renewed is waited for as long as
the Lease says, counted from when this agent first saw that renewal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kubectl_sew.text import rfc3339

NAME = "sew-agent"
STORE_ANNOTATION = "sew-agent/store"
"""Which store the holder delivers from: another agent's owes other deliveries."""
PLACE_ANNOTATION = "sew-agent/place"
"""How far the holder has read: see sew_agent.kubernetes.lease_position."""
LASTS = 10
"""Seconds without a renewal after which another agent may take the Lease."""
RETRY_EVERY = 2.0
"""Seconds between two renewals, and between two looks of an agent that stands by, as client-go's RetryPeriod. The one
Lease is asked for, as client-go does it: a watch that is cut off is as silent as a holder that is gone. With LASTS, an
agent takes over within 15 s of a kill."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An agent: `holder` as `NAMESPACE/POD`, and the identity of its store."""

    holder: str
    store: str


@dataclass(frozen=True, slots=True)
class Lease:
    """What the Lease says. `renewed` is compared with itself only."""

    holder: str
    store: str
    renewed: str
    lasts: float
    transitions: int
    version: str
    place: str = ""

    @classmethod
    def from_object(cls, obj: Mapping[str, Any]) -> "Lease":
        metadata, spec = obj["metadata"], obj.get("spec") or {}
        return cls(
            holder=spec.get("holderIdentity") or "",
            store=(metadata.get("annotations") or {}).get(STORE_ANNOTATION, ""),
            renewed=spec.get("renewTime") or "",
            lasts=float(spec.get("leaseDurationSeconds") or LASTS),
            transitions=spec.get("leaseTransitions") or 0,
            version=metadata["resourceVersion"],
            place=(metadata.get("annotations") or {}).get(PLACE_ANNOTATION, ""),
        )


class LeaseAction(Enum):
    """What to do next."""

    CREATE = "create"
    RENEW = "renew"
    TAKE = "take"
    WAIT = "wait"


def decide(lease: Lease | None, me: Identity, *, seen_for: float) -> LeaseAction:
    """`seen_for`: seconds since this renewal was first seen."""
    if lease is None:
        return LeaseAction.CREATE
    if (lease.holder, lease.store) == (me.holder, me.store):
        return LeaseAction.RENEW
    if lease.holder in ("", me.holder) or seen_for >= lease.lasts:
        return LeaseAction.TAKE
    return LeaseAction.WAIT


def starts_afresh(lease: Lease | None, me: Identity) -> bool:
    """Whether another agent may have delivered since this store was last used.

    A Lease that is not there says nothing: whether another agent had it is known from the looks before.
    """
    return lease is not None and lease.store != me.store


def written(
    lease: Lease | None, me: Identity, now: float, *, lasts: int = LASTS, place: str | None = None
) -> dict[str, Any]:
    """The Lease with this agent as its holder, to be created or patched; `now` in epoch seconds.

    `place`: None where what the Lease holds stays.
    """
    moment = rfc3339(now, "microseconds")
    mine = lease is not None and lease.holder == me.holder
    spec: dict[str, Any] = {"holderIdentity": me.holder, "leaseDurationSeconds": lasts, "renewTime": moment}
    if not mine:
        spec |= {"acquireTime": moment, "leaseTransitions": lease.transitions + 1 if lease else 0}
    metadata: dict[str, Any] = {"name": NAME, "annotations": {STORE_ANNOTATION: me.store}}
    if place is not None and place != (lease.place if lease else ""):
        metadata["annotations"][PLACE_ANNOTATION] = place
    if lease:
        metadata["resourceVersion"] = lease.version
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
