"""Webhooks from a cluster, with the Secrets and ConfigMaps of one namespace that they refer to."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubectl_sew.resource import (
    API_VERSIONS,
    KIND,
    LABELS_ANNOTATION,
    TEST_EVENT_ANNOTATION,
    TEST_REQUESTED_ANNOTATION,
    HealthyReason,
    Reference,
    Webhook,
    check_structure,
)
from kubectl_sew.resource.serving import Served, discover
from kubectl_sew.validation import InvalidWebhook, reason_of
from sew_agent.base.threads import start_thread
from sew_agent.kubernetes.client import ApiError, KubernetesClient
from sew_agent.kubernetes.informer import FixedPath, Informer, WatchedResource
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.secrets import PLURALS, SecretReader
from sew_agent.webhooks.base import Snapshot

_VALUES = "values"
_TRY_AGAIN = 2.0
_LOOK_EVERY = 5.0
_UNKNOWN = 404
_TAKEN_ANYWAY = "SEW015"
"""A label that is none is left out, and the webhook runs."""
_UNREAD = HealthyReason.CONFIGURATION_PARSING
_OURS = (LABELS_ANNOTATION, TEST_EVENT_ANNOTATION, TEST_REQUESTED_ANNOTATION)
"""The annotations that say what a webhook does; others come and go, and change nothing."""


@dataclass(frozen=True, slots=True)
class CachedResources:
    """One webhook as the server has it, and why it cannot be taken, where its structure forbids that."""

    webhook: Webhook
    refusal: InvalidWebhook | None = None


class WebhookPath:
    """Where the webhooks are served, looked for again when they are not there any more."""

    def __init__(self, api: KubernetesClient, only: str) -> None:
        self._api = api
        self._only = only
        self.served: Served | None = None
        """As last found."""

    def path(self) -> str:
        """Raises ApiError, also where nothing serves the kind."""
        self.served = self.served or discover(self._resources, self._only)
        if self.served is None:
            looked = self._only or " and ".join(API_VERSIONS)
            raise ApiError(f"no API here serves {KIND}s ({looked}): `kubectl sew install` brings it", _UNKNOWN)
        return self.served.path

    def lost(self) -> None:
        self.served = None

    def _resources(self, version: str) -> Mapping[str, Any] | None:
        try:
            return self._api.get(f"/apis/{version}")
        except ApiError as error:
            if error.status == _UNKNOWN:
                return None
            raise


@dataclass(frozen=True, slots=True)
class Scope:
    """What is ours in the cluster."""

    secrets_namespace: str
    selector: str = ""
    secret_selector: str = ""
    believe_after: float = 600.0
    """Seconds for which a list that is empty after an error is not believed."""


class KubernetesWebhooks:
    """See the module."""

    def __init__(
        self,
        api: KubernetesClient,
        place: WebhookPath,
        scope: Scope,
        problems: Problems,
        begin: Callable[[Snapshot], None],
        heartbeat: Callable[[str], Callable[[], None]],
    ) -> None:
        """`begin` is given the first webhooks that are known, before anybody else has them.

        `heartbeat` makes the sign of life of a loop, by its name; it comes at least once in
        sew_agent.kubernetes.informer.LONGEST_SILENCE.
        """
        self._begin: Callable[[Snapshot], None] | None = begin
        self._problems = problems
        self._secret_selector = scope.secret_selector
        self._changed = threading.Event()
        self._beat = heartbeat("webhooks")
        self._stopped = False
        self._snapshot = Snapshot({}, {}, {}, complete=False, known=False)

        def watcher(collection: WatchedResource[Any]) -> Informer[Any]:
            return Informer(
                api,
                collection,
                problems,
                self._changed.set,
                believe_after=scope.believe_after,
                beat=heartbeat(f"watch-{collection.matter}"),
            )

        self._webhooks: Informer[CachedResources] = watcher(
            WatchedResource("webhooks", place, read_webhook, scope.selector)
        )
        self._values = [
            SecretReader(api, kind, scope.secrets_namespace, watcher(_metadata(plural, scope)), self._beat)
            for kind, plural in PLURALS.items()
        ]
        for each in self._watchers():
            each.start()
        start_thread(self._run, "webhooks")

    def snapshot(self) -> Snapshot:
        snapshot = self._snapshot
        if snapshot.known and self._begin:
            self._begin(snapshot)
            self._begin = None
        return snapshot

    @property
    def current(self) -> Mapping[str, Webhook]:
        """The webhooks as the server last told them, with conditions and resourceVersion."""
        return {name: each.webhook for name, each in self._webhooks.objects.items()}

    def close(self) -> None:
        self._stopped = True
        for each in self._watchers():
            each.stop()
        self._changed.set()

    def _watchers(self) -> Iterator[Informer[Any]]:
        yield self._webhooks
        yield from (each.metadata for each in self._values)

    def _run(self) -> None:
        again = False
        while not self._stopped:
            self._beat()
            changed = self._changed.wait(_TRY_AGAIN if again else _LOOK_EVERY)
            self._changed.clear()
            if not (changed or again):
                continue
            try:
                self._look()
                again = False
            except ApiError as error:
                self._problems.say(_VALUES, f"{error}; what was known before goes on; it is tried again")
                again = True

    def _look(self) -> None:
        """A new snapshot, once all that it needs has been read: until then the last one stays."""
        if not all(each.settled for each in self._watchers()):
            return
        seen = self._webhooks.objects
        found = {each.kind: each.read(_wanted(each.kind, seen.values())) for each in self._values}
        self._tell_refused()
        snapshot = Snapshot(
            webhooks={name: each.webhook for name, each in seen.items() if not each.refusal},
            secrets=found["Secret"],
            config_maps=found["ConfigMap"],
            refused={name: each.refusal for name, each in seen.items() if each.refusal},
            problems=self._doubts(len(seen)),
            complete=self._webhooks.known and not self._webhooks.stale,
            known=self._webhooks.known,
        )
        unreadable = {each.kind: self._unreadable(each) for each in self._values}
        snapshot = _without(snapshot, unreadable, self._secret_selector)
        if snapshot != self._snapshot:
            self._snapshot = snapshot

    def _doubts(self, held: int) -> tuple[str, ...]:
        if not self._webhooks.doubted:
            return ()
        return (f"the list of webhooks is empty after an error: the {held} that were there before go on for a while",)

    def _tell_refused(self) -> None:
        refused = [text for each in self._values for text in each.refused.values()]
        if refused:
            self._problems.say(_VALUES, f"{refused[0]}: grant it as manifests/base/rbac.yaml does")
        else:
            self._problems.over(_VALUES)

    def _unreadable(self, values: SecretReader) -> Mapping[str, str] | str:
        """Why objects of a kind cannot be read: one text for all, or by object."""
        return values.refused if values.metadata.known else values.metadata.refused


def read_webhook(obj: Mapping[str, Any]) -> CachedResources:
    """An object of the API; a list's items may lack the kind that the list has."""
    whole = {"apiVersion": API_VERSIONS[0], "kind": KIND, **obj}
    webhook = Webhook.from_object(whole)
    webhook = replace(webhook, annotations={k: v for k, v in webhook.annotations.items() if k in _OURS})
    errors = [each.finding for each in check_structure(whole)]
    wrong = next((each for each in errors if each.is_error and each.code != _TAKEN_ANYWAY), None)
    if wrong is None:
        return CachedResources(webhook)
    message = f"{wrong.message}: {wrong.hint}" if wrong.hint else wrong.message
    return CachedResources(webhook, InvalidWebhook(message, reason_of(wrong), webhook))


def _metadata(plural: str, scope: Scope) -> WatchedResource[str]:
    place = FixedPath(f"/api/v1/namespaces/{scope.secrets_namespace}/{plural}")
    return WatchedResource(plural, place, _version, scope.secret_selector, metadata_only=True)


def _version(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"]["resourceVersion"])


def _wanted(kind: str, seen: Iterable[CachedResources]) -> Mapping[str, set[str]]:
    wanted: dict[str, set[str]] = {}
    for each in seen:
        for reference in each.webhook.references:
            if reference.kind == kind:
                wanted.setdefault(reference.name, set()).add(reference.key)
    return wanted


def _without(snapshot: Snapshot, unreadable: Mapping[str, Mapping[str, str] | str], selector: str) -> Snapshot:
    """Webhooks that refer to what may not be read are refused, with that as the reason: it may well exist."""
    objects = {"Secret": snapshot.secrets, "ConfigMap": snapshot.config_maps}

    def why(reference: Reference) -> str:
        found = unreadable[reference.kind]
        if text := found if isinstance(found, str) else found.get(reference.name, ""):
            return text
        absent = not reference.optional and reference.name not in objects[reference.kind]
        return _unselected(selector) if selector and absent else ""

    refused = {
        name: InvalidWebhook(f"{reference.kind} `{reference.name}`: {why(reference)}", _UNREAD, webhook)
        for name, webhook in snapshot.webhooks.items()
        for reference in reversed(webhook.references)
        if why(reference)
    }
    kept = {name: each for name, each in snapshot.webhooks.items() if name not in refused}
    return replace(snapshot, webhooks=kept, refused={**snapshot.refused, **refused})


def _unselected(selector: str) -> str:
    return (
        f"it does not exist, or the agent's SEW_SECRET_SELECTOR (`{selector}`) does not select it: "
        "create it in the Secrets' namespace, or label it so"
    )
