"""Where the kind SecurityEventWebhook is served, found out by discovery."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kubectl_sew.resource import API_VERSIONS, PLURAL


@dataclass(frozen=True, slots=True)
class Served:
    """`api_version` as in manifests; `status`: whether the status is a subresource."""

    api_version: str
    status: bool

    @property
    def path(self) -> str:
        return f"/apis/{self.api_version}/{PLURAL}"

    def one(self, name: str) -> str:
        """The path of one webhook."""
        return f"{self.path}/{name}"

    def status_of(self, name: str) -> str:
        """The path at which the status of one webhook is written."""
        return f"{self.one(name)}/status" if self.status else self.one(name)


def discover(resources: Callable[[str], Mapping[str, Any] | None], only: str = "") -> Served | None:
    """The first of the API versions that serves the kind, or `only` that one (`GROUP/VERSION`, or its group).

    `resources` gives the APIResourceList of an API version, None where there is no such version.
    """
    for version in API_VERSIONS:
        if only in ("", version, version.partition("/")[0]):
            found = _served(version, resources(version))
            if found:
                return found
    return None


def _served(version: str, listed: Mapping[str, Any] | None) -> Served | None:
    names = {each.get("name") for each in (listed or {}).get("resources") or ()}
    return Served(version, f"{PLURAL}/status" in names) if PLURAL in names else None
