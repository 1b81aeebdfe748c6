"""The SecurityEventWebhooks of a cluster, in whichever group it serves them."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kubectl_sew.kubectl import Kubectl, KubectlError, KubectlProblem
from kubectl_sew.resource import API_GROUPS, KIND, PLURAL, TEST_REQUESTED_ANNOTATION, State, Webhook
from kubectl_sew.resource.handover import state_patch
from kubectl_sew.resource.ownership import give_back
from kubectl_sew.resource.serving import Served, discover, shown

Object = Mapping[str, Any]
PatchOf = Callable[[Object], Object]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The webhooks of one cluster. All methods raise KubectlError."""

    kubectl: Kubectl
    api: Served

    def shown(self, name: str) -> str:
        """A webhook as kubectl names it in messages."""
        return shown(name, self.api.api_version)

    def all(self) -> list[Object]:
        objects: list[Object] = self.kubectl.get(self.api.path).get("items") or []
        return objects

    def one(self, name: str) -> Object:
        if not _NAME.fullmatch(name):
            message = f'{PLURAL}.{self.api.group} "{name}" not found'
            raise KubectlError(
                KubectlProblem.NOT_FOUND, message, "a name consists of lower-case letters, digits, - and ."
            )
        try:
            obj: Object = self.kubectl.get(self.api.one(name))
        except KubectlError as error:
            raise _with_hint(error) from None
        return obj

    def create(self, obj: Object, *, dry_run: bool = False) -> Object:
        """The object as it is then. Where one of that name exists, that is an error."""
        created: Object = self.kubectl.create(self.api.path, obj, **({"dryRun": "All"} if dry_run else {}))
        metadata = {key: value for key, value in created["metadata"].items() if key != "managedFields"}
        return {**created, "metadata": metadata}

    def change(self, name: str, patch_of: PatchOf, *, dry_run: str = "none", seen: Object | None = None) -> Object:
        """Apply one patch to the webhook as it is; return it as it is then.

        `patch_of` sees it again where it was changed meanwhile, be it by who writes its status. With `dry_run` `server`
        nothing is changed, and with `client` nothing is asked of the server but the webhook. `seen`: the webhook as it
        was read a moment ago.
        """
        more = ("--dry-run=server",) if dry_run == "server" else ()
        for _ in range(_TRIES):
            before, seen = seen or self.one(name), None
            patch = patch_of(before)
            if not patch or dry_run == "client":
                return before
            try:
                guarded = _guarded(patch, before)
                changed: Object = self.kubectl.patch(self.api.resource, name, guarded, *more)
            except KubectlError as error:
                if error.problem is not KubectlProblem.CONFLICT:
                    raise
            else:
                return changed
        message = f"{self.shown(name)} changes all the time, and was left as it is"
        raise KubectlError(KubectlProblem.CONFLICT, message, "try again")

    def request_test(self, name: str, at: str) -> Object:
        """Set state Test for a moment: the state stays whose it was. `at` marks this request."""
        before = self.one(name)
        state = state_patch(Webhook.from_object(before), State.TEST)
        annotations = {TEST_REQUESTED_ANNOTATION: at, **state.get("metadata", {}).get("annotations", {})}
        patch = {**state, "metadata": {"annotations": annotations}}
        after: Object = self.kubectl.patch(self.api.resource, name, patch, "--show-managed-fields")
        fields = (obj["metadata"].get("managedFields") or () for obj in (before, after))
        if (owned := give_back(*fields)) is None:
            return after
        metadata = {"resourceVersion": after["metadata"]["resourceVersion"], "managedFields": owned}
        with suppress(KubectlError):  # whoever wrote in between has the newer word
            self.kubectl.patch(self.api.resource, name, {"metadata": metadata})
        return after


_TRIES = 10


def _guarded(patch: Object, obj: Object) -> Object:
    """Return the patch for this version of the object alone."""
    metadata = {**patch.get("metadata", {}), "resourceVersion": obj["metadata"]["resourceVersion"]}
    return {**patch, "metadata": metadata}


def connect(kubectl: Kubectl, group: str = "") -> Webhooks:
    """Finds the group by discovery, unless one is given. Raises KubectlError, also where none serves the kind."""
    if served := served_as(kubectl, group):
        return Webhooks(kubectl, served)
    message = f"the cluster serves no {KIND} in {group or ' or '.join(API_GROUPS)}"
    raise KubectlError(KubectlProblem.NOT_FOUND, message, "install it: `kubectl sew install | kubectl apply -f -`")


def served_as(kubectl: Kubectl, group: str = "") -> Served | None:
    """Return the API that serves the kind, the first group before the second, or only this one. Raises KubectlError."""
    return discover(lambda version: kubectl.find(f"/apis/{version}"), group)


def _with_hint(error: KubectlError) -> KubectlError:
    missing = error.problem is KubectlProblem.NOT_FOUND
    return KubectlError(error.problem, error.said, "`kubectl sew list` names those that exist") if missing else error
