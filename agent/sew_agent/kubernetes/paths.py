"""Finds where the API server serves a collection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kubectl_sew.resource import API_VERSIONS, KIND
from kubectl_sew.resource.exceptions import EXCEPTION_KIND, EXCEPTION_PLURAL
from kubectl_sew.resource.serving import Served, discover
from sew_agent.kubernetes.client import ApiError, KubernetesClient, NotFoundError


class NotServedError(ApiError):
    """Nothing serves the kind, which it may well not: there are no objects of it."""


class ResourcePath(Protocol):
    """The path of a collection."""

    def resolve(self) -> str:
        """Return the path. Raises ApiError where the collection is not served, or where that is not known.

        NotServedError is of a kind that need not be served: the collection is empty then.
        """

    def forget(self) -> None:
        """Ask the server again at the next `resolve`: nothing was at the last path."""


@dataclass(frozen=True, slots=True)
class FixedPath:
    """The path of a built-in kind, always the same."""

    at: str

    def resolve(self) -> str:
        """Return the path."""
        return self.at

    def forget(self) -> None:
        """Do nothing: a built-in kind has no other path."""


class WebhookPath:
    """The path of the webhooks, by discovery: one of two API groups serves them."""

    def __init__(self, client: KubernetesClient, api_group: str) -> None:
        """`api_group`: the only one to look into; "" for both."""
        self._client = client
        self._api_group = api_group
        self.served: Served | None = None
        """The answer of the last `resolve`; None before, and after `forget`."""

    def resolve(self) -> str:
        """Return the path. Raises ApiError, also where nothing serves the kind."""
        self.served = self.served or discover(self._resources, self._api_group)
        if self.served is None:
            asked = self._api_group or " and ".join(API_VERSIONS)
            raise NotFoundError(f"no API here serves {KIND}s ({asked}): `kubectl sew install` brings it")
        return self.served.path

    def forget(self) -> None:
        """Ask the server again at the next `resolve`."""
        self.served = None

    def _resources(self, version: str) -> Mapping[str, Any] | None:
        return api_resources(self._client, version)


class ExceptionPath:
    """The path of the AlertExceptions, by discovery: the same groups serve them, or none."""

    def __init__(self, client: KubernetesClient, api_group: str) -> None:
        """`api_group`: the only one to look into; "" for both."""
        self._client = client
        self._api_group = api_group
        self._path = ""

    def resolve(self) -> str:
        """Return the path. Raises ApiError; NotServedError where there is no such kind, and so no exception."""
        if not self._path:
            served = discover(lambda version: api_resources(self._client, version), self._api_group, EXCEPTION_PLURAL)
            if served is None:
                raise NotServedError(f"no API here serves {EXCEPTION_KIND}s")
            self._path = served.path
        return self._path

    def forget(self) -> None:
        """Ask the server again at the next `resolve`."""
        self._path = ""


def api_resources(client: KubernetesClient, version: str) -> Mapping[str, Any] | None:
    """Return what an API version serves; None where there is no such version. Raises ApiError."""
    try:
        return client.get(f"/apis/{version}")
    except NotFoundError:
        return None
