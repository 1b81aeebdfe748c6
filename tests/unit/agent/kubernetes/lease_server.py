"""An API server that is made up, and has nothing but one Lease."""

from collections.abc import Mapping
from typing import Any

from sew_agent.kubernetes.client import ApiError, NotFoundError


class LeaseServer:
    """Holds one Lease. `away`: it cannot be reached."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] = {}
        self.away = False
        self.requests = 0

    def quick(self, _seconds: float) -> "LeaseServer":
        return self

    def get(self, _path: str) -> dict[str, Any]:
        self._reach()
        if not self.lease:
            raise NotFoundError("not found")
        return self.lease

    def create(self, _path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self.patch("", body)

    def patch(self, _path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self._reach()
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": "1"}}
        return self.lease

    def _reach(self) -> None:
        self.requests += 1
        if self.away:
            raise ApiError("away")
