"""The SecurityEventWebhooks of a cluster, in whichever group it serves them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kubectl_sew.kubectl import Kubectl, KubectlError, Problem
from kubectl_sew.resource import API_VERSIONS, KIND, PLURAL, State

Object = Mapping[str, Any]

GROUPS = tuple(each.partition("/")[0] for each in API_VERSIONS)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Api:
    """Where the kind is served: `api_version` is e.g. `projectcalico.org/v3`."""

    api_version: str
    has_status: bool = True
    """Whether there is a status subresource; Calico Enterprise serves the kind without."""

    @property
    def group(self) -> str:
        return self.api_version.partition("/")[0]

    @property
    def path(self) -> str:
        return f"/apis/{self.api_version}/{PLURAL}"

    @property
    def resource(self) -> str:
        """The full name for kubectl: any shorter one is ambiguous where two groups serve the kind."""
        return f"{PLURAL}.{self.api_version.partition('/')[2]}.{self.group}"

    def shown(self, name: str) -> str:
        """A webhook as kubectl names it in messages."""
        return f"{KIND.lower()}.{self.group}/{name}"


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The webhooks of one cluster. All methods raise KubectlError."""

    kubectl: Kubectl
    api: Api

    def all(self) -> list[Object]:
        found: list[Object] = self.kubectl.get(self.api.path).get("items") or []
        return found

    def one(self, name: str) -> Object:
        if not _NAME.fullmatch(name):
            said = f'{PLURAL}.{self.api.group} "{name}" not found'
            raise KubectlError(Problem.NOT_FOUND, said, "a name is of lower-case letters, digits, - and .")
        try:
            found: Object = self.kubectl.get(f"{self.api.path}/{quote(name)}")
        except KubectlError as error:
            raise _with_hint(error) from None
        return found

    def create(self, obj: Object, *, dry_run: bool = False) -> Object:
        """The object as it is then. Where one of that name exists, that is an error."""
        created: Object = self.kubectl.create(self.api.path, obj, **({"dryRun": "All"} if dry_run else {}))
        metadata = {key: value for key, value in created["metadata"].items() if key != "managedFields"}
        return {**created, "metadata": metadata}

    def set_state(self, name: str, state: State, *, dry_run: bool = False) -> Object:
        """The webhook as it is then."""
        more = ("--dry-run=server",) if dry_run else ()
        patch = {"spec": {"state": state.value}}
        changed: Object = self.kubectl.patch(self.api.resource, name, patch, *more)
        return changed


def connect(kubectl: Kubectl, group: str = "") -> Webhooks:
    """Finds the group by discovery, unless one is given. Raises KubectlError, also where none serves the kind."""
    for api_version in API_VERSIONS:
        if group in ("", api_version.partition("/")[0]) and (api := discover(kubectl, api_version)):
            return Webhooks(kubectl, api)
    wanted = group or " or ".join(GROUPS)
    said = f"the cluster serves no {KIND} in {wanted}"
    raise KubectlError(Problem.NOT_FOUND, said, "install it: `kubectl sew install | kubectl apply -f -`")


def discover(kubectl: Kubectl, api_version: str) -> Api | None:
    """The kind in this group and version; None where it is not served there."""
    try:
        resources = kubectl.get(f"/apis/{api_version}").get("resources") or []
    except KubectlError as error:
        if error.problem is Problem.NOT_FOUND:
            return None
        raise
    names = {each.get("name") for each in resources}
    return Api(api_version, f"{PLURAL}/status" in names) if PLURAL in names else None


def _with_hint(error: KubectlError) -> KubectlError:
    missing = error.problem is Problem.NOT_FOUND
    return KubectlError(error.problem, error.said, "`kubectl sew list` names those that exist") if missing else error
