"""The APIs that serve the kind SecurityEventWebhook, by discovery."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kubectl_sew.resource.model import API_GROUPS, API_VERSIONS, KIND, PLURAL

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
API_SERVICE = f"/apis/apiregistration.k8s.io/v1/apiservices/v3.{API_GROUPS[0]}"
"""Where Calico's own API server registers itself."""


@dataclass(frozen=True, slots=True)
class Served:
    """`api_version` as in manifests; `status`: whether the status is a subresource; `plural` names the kind."""

    api_version: str
    status: bool
    plural: str = PLURAL

    @property
    def group(self) -> str:
        return self.api_version.partition("/")[0]

    @property
    def resource(self) -> str:
        """The full name for kubectl: any shorter one is ambiguous where two groups serve the kind."""
        return f"{self.plural}.{self.api_version.partition('/')[2]}.{self.group}"

    @property
    def path(self) -> str:
        return f"/apis/{self.api_version}/{self.plural}"

    def one(self, name: str) -> str:
        """The path of one webhook."""
        return f"{self.path}/{name}"

    def status_of(self, name: str) -> str:
        """The path at which the status of one webhook is written."""
        return f"{self.one(name)}/status" if self.status else self.one(name)


def shown(name: str, api_version: str) -> str:
    """A webhook as kubectl names it in messages."""
    return f"{KIND.lower()}.{api_version.partition('/')[0]}/{name}"


def discover(
    resources: Callable[[str], Mapping[str, Any] | None], only: str = "", plural: str = PLURAL
) -> Served | None:
    """The first of the API versions that serves the kind, or `only` that one (`GROUP/VERSION`, or its group).

    `resources` gives the APIResourceList of an API version, None where there is no such version.
    """
    for version in API_VERSIONS:
        if only in ("", version, version.partition("/")[0]):
            api = _served(version, resources(version), plural)
            if api:
                return api
    return None


def _served(version: str, listed: Mapping[str, Any] | None, plural: str) -> Served | None:
    names = {resource.get("name") for resource in (listed or {}).get("resources") or ()}
    return Served(version, f"{plural}/status" in names, plural) if plural in names else None
