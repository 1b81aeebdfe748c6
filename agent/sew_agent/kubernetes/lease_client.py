"""Reads and writes the Lease."""

from collections.abc import Mapping
from typing import Any

from sew_agent.base.log import locate
from sew_agent.kubernetes.client import UNREADABLE, ApiError, NotFoundError
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.lease import LEASE_DURATION, LEASE_NAME, Identity, Lease, lease_object

MATTER = "lease"
"""The name under which problems with it are reported."""
LEASE_REQUEST_SECONDS = 3.0
"""The deadline of a request: a step, the pause before it and the next one's first request are below LEASE_DURATION."""
RELEASED = 1
"""The duration in seconds of a Lease whose holder has ended as it should: the next agent need not wait."""


class LeaseClient:
    """The Lease in one namespace, for one agent. Thread-safe."""

    def __init__(self, context: ClusterContext, namespace: str, identity: Identity) -> None:
        self._client = context.client.quick(LEASE_REQUEST_SECONDS)
        self._clock = context.clock
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._object = f"{self._collection}/{LEASE_NAME}"
        self.identity = identity

    def read(self) -> Lease | None:
        """Return the Lease as it is now; None where there is none. Raises ApiError."""
        try:
            return _parsed(self._client.get(self._object))
        except NotFoundError:
            return None

    def write(self, lease: Lease | None, *, duration: int = LEASE_DURATION, position: str | None = None) -> Lease:
        """Make this agent the holder of the Lease as it was read, and return it as written. Raises ApiError.

        `duration` in seconds; `position`: None leaves what the Lease holds. ConflictError where it was changed since.
        """
        body = lease_object(lease, self.identity, self._clock(), duration=duration, position=position)
        client = self._client
        answer = client.patch(self._object, body) if lease else client.create(self._collection, body)
        return _parsed(answer)


def _parsed(answer: Mapping[str, Any]) -> Lease:
    try:
        return Lease.from_object(answer)
    except UNREADABLE as error:
        unreadable = f"the Lease cannot be read ({locate(error)})"
        raise ApiError(f"{unreadable}: delete it, and it is created again") from None
