"""Decides which of several agents is the leader: the one that holds the Lease. Pure.

As in client-go, nobody's clock is compared with another's: a holder that does not renew is waited for as long as the
Lease says, counted from when this agent first observed the last renewal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kubectl_sew.resource.effective import BESIDE_CALICO_ANNOTATION
from kubectl_sew.text import rfc3339

LEASE_NAME = "sew-agent"
STORE_ANNOTATION = "sew-agent/store"
"""The store that the holder delivers from: another agent's has other pending deliveries."""
POSITION_ANNOTATION = "sew-agent/place"
"""The position that the holder has read to: see sew_agent.kubernetes.lease_position."""
LEASE_DURATION = 10
"""Seconds without a renewal after which another agent may acquire the Lease."""
RETRY_PERIOD = 2.0
"""Seconds between two renewals, and between two tries of an agent that stands by, as in client-go. The Lease is asked
for and not watched: a watch that is cut off is as silent as a holder that is gone. With LEASE_DURATION, an agent takes
over within 15 s of a kill."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An agent: `holder` as `NAMESPACE/POD`, and the identity of its store.

    `beside_calico`: it leaves to Calico's processor what that delivers, which the Lease tells the plugin.
    """

    holder: str
    store: str
    beside_calico: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """The Lease as read. `renewed` is compared with itself only."""

    holder: str
    store: str
    renewed: str
    duration: float
    transitions: int
    version: str
    position: str = ""

    @classmethod
    def from_object(cls, obj: Mapping[str, Any]) -> "Lease":
        """Return an object of the API as a Lease."""
        metadata, spec = obj["metadata"], obj.get("spec") or {}
        annotations = metadata.get("annotations") or {}
        return cls(
            holder=spec.get("holderIdentity") or "",
            store=annotations.get(STORE_ANNOTATION, ""),
            renewed=spec.get("renewTime") or "",
            duration=float(spec.get("leaseDurationSeconds") or LEASE_DURATION),
            transitions=spec.get("leaseTransitions") or 0,
            version=metadata["resourceVersion"],
            position=annotations.get(POSITION_ANNOTATION, ""),
        )


class LeaseAction(Enum):
    """The next thing to do about the Lease."""

    CREATE = "create"
    RENEW = "renew"
    ACQUIRE = "acquire"
    WAIT = "wait"


def decide(lease: Lease | None, me: Identity, *, observed_for: float) -> LeaseAction:
    """Return what to do. `observed_for`: seconds since this renewal was first observed."""
    if lease is None:
        return LeaseAction.CREATE
    if (lease.holder, lease.store) == (me.holder, me.store):
        return LeaseAction.RENEW
    if lease.holder in ("", me.holder) or observed_for >= lease.duration:
        return LeaseAction.ACQUIRE
    return LeaseAction.WAIT


def held_with_another_store(lease: Lease | None, me: Identity) -> bool:
    """Return whether another agent may have delivered since this store was last used.

    A Lease that does not exist says nothing: whether another agent held it is known from the reads before.
    """
    return lease is not None and lease.store != me.store


def lease_object(
    lease: Lease | None, me: Identity, now: float, *, duration: int = LEASE_DURATION, position: str | None = None
) -> dict[str, Any]:
    """Return the Lease with this agent as its holder, to be created or patched; `now` in epoch seconds.

    `position`: None leaves what the Lease holds.
    """
    moment = rfc3339(now, "microseconds")
    mine = lease is not None and lease.holder == me.holder
    spec: dict[str, Any] = {"holderIdentity": me.holder, "leaseDurationSeconds": duration, "renewTime": moment}
    if not mine:
        spec |= {"acquireTime": moment, "leaseTransitions": lease.transitions + 1 if lease else 0}
    annotations = {STORE_ANNOTATION: me.store, BESIDE_CALICO_ANNOTATION: "true" if me.beside_calico else "false"}
    metadata: dict[str, Any] = {"name": LEASE_NAME, "annotations": annotations}
    if position is not None and position != (lease.position if lease else ""):
        metadata["annotations"][POSITION_ANNOTATION] = position
    if lease:
        metadata["resourceVersion"] = lease.version
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
