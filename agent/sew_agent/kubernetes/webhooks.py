"""Watches the webhooks, and the Secrets and ConfigMaps of one namespace that they refer to."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kubectl_sew.resource import (
    API_VERSIONS,
    BEGIN_ANNOTATION,
    END_ANNOTATION,
    KIND,
    LABELS_ANNOTATION,
    STATE_ANNOTATION,
    TEST_EVENT_ANNOTATION,
    TEST_REQUESTED_ANNOTATION,
    HealthyReason,
    Reference,
    Webhook,
    check_structure,
)
from kubectl_sew.resource.exceptions import EXCEPTION_PLURAL, AlertException, problem_of
from kubectl_sew.resource.objects import PLURALS
from kubectl_sew.validation.webhook import InvalidWebhook, reason_of
from sew_agent.base.health import Health, Heartbeat
from sew_agent.base.threads import start_thread
from sew_agent.kubernetes.client import ApiError
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.informer import LONGEST_SILENCE, Informer, WatchedResource
from sew_agent.kubernetes.paths import ExceptionPath, FixedPath
from sew_agent.kubernetes.secrets import SecretReader
from sew_agent.webhooks.base import Snapshot

_VALUES = "values"
_RETRY_SECONDS = 2.0
_BEAT_SECONDS = 5.0
_TOLERATED = "SEW015"
"""A label that is none is left out, and the webhook runs."""
_UNREADABLE = HealthyReason.CONFIGURATION_PARSING
_OURS = (
    *(LABELS_ANNOTATION, TEST_EVENT_ANNOTATION, TEST_REQUESTED_ANNOTATION),
    *(STATE_ANNOTATION, BEGIN_ANNOTATION, END_ANNOTATION),
)
"""The annotations that say what a webhook does; others come and go, and change nothing."""


@dataclass(frozen=True, slots=True)
class CachedWebhook:
    """A webhook as the server has it, and why it is refused where its structure forbids it."""

    webhook: Webhook
    refusal: InvalidWebhook | None = None


@dataclass(frozen=True, slots=True)
class CachedException:
    """An exception as the server has it, and why it suppresses nothing where its structure forbids it."""

    exception: AlertException
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the cluster that this agent serves."""

    secrets_namespace: str
    selector: str = ""
    secret_selector: str = ""
    beside_calico: bool = False
    api_group: str = ""
    """The only API group to look into for exceptions; "" for both."""
    believe_after: float = 600.0
    """Seconds for which a list that is empty after an error is not believed."""


class KubernetesWebhooks:
    """A thread that makes a new snapshot when an informer has seen a change."""

    def __init__(self, context: ClusterContext, scope: Scope, health: Health) -> None:
        self._problems = context.problems
        self._health = health
        self._secret_selector = scope.secret_selector
        self._changed = threading.Event()
        self._stopped = False
        self._snapshot = Snapshot({}, {}, {}, complete=False, known=False)
        self._read: Mapping[str, CachedWebhook] = {}
        """The webhooks when all that they refer to was last read."""

        def informer(resource: WatchedResource[Any], believe_after: float = scope.believe_after) -> Informer[Any]:
            return Informer(context, resource, self._changed.set, health, believe_after=believe_after)

        read = partial(read_webhook, beside_calico=scope.beside_calico)
        resource = WatchedResource("webhooks", context.path, read, scope.selector)
        self._webhooks: Informer[CachedWebhook] = informer(resource)
        exceptions = ExceptionPath(context.client, scope.api_group)
        self._exceptions: Informer[CachedException] = informer(
            WatchedResource(EXCEPTION_PLURAL, exceptions, read_exception),
            believe_after=0.0,  # one that may be deleted suppresses nothing
        )
        self._secret_readers = [
            SecretReader(context.client, kind, scope.secrets_namespace, informer(_metadata(plural, scope)))
            for kind, plural in PLURALS.items()
        ]

    def start(self) -> None:
        """Begin to watch."""
        for informer in self._informers():
            informer.start()
        start_thread(self._run, "webhooks", self._health.heartbeat("webhooks", LONGEST_SILENCE))

    def snapshot(self) -> Snapshot:
        """Return the webhooks as they were when all that they refer to was last read."""
        return self._snapshot

    @property
    def current(self) -> Mapping[str, Webhook]:
        """The webhooks as the server last showed them, with conditions and resourceVersion."""
        return {name: cached.webhook for name, cached in self._webhooks.objects.items()}

    def close(self) -> None:
        """End all threads."""
        self._stopped = True
        for informer in self._informers():
            informer.stop()
        self._changed.set()

    def _informers(self) -> Iterator[Informer[Any]]:
        yield self._webhooks
        yield self._exceptions
        yield from (reader.metadata for reader in self._secret_readers)

    def _run(self, heartbeat: Heartbeat) -> None:
        again = False
        while not self._stopped:
            heartbeat.beat()
            changed = self._changed.wait(_RETRY_SECONDS if again else _BEAT_SECONDS)
            self._changed.clear()
            if not (changed or again):
                continue
            try:
                self._refresh(heartbeat)
                again = False
            except ApiError as error:
                self._problems.report(_VALUES, f"{error}; what was known before goes on; it is tried again")
                again = True

    def _refresh(self, heartbeat: Heartbeat) -> None:
        """Make a new snapshot, once all that it needs has been read: until then the last one stays."""
        if not all(informer.settled for informer in self._informers()):
            return
        cached, exceptions = self._webhooks.objects, self._exceptions.objects
        changed = [entry for name, entry in cached.items() if self._read.get(name) != entry]
        values = {
            reader.kind: reader.read(
                _references(reader.kind, cached.values()), _references(reader.kind, changed), heartbeat.beat
            )
            for reader in self._secret_readers
        }
        self._read = cached
        self._report_refused()
        snapshot = Snapshot(
            webhooks={name: entry.webhook for name, entry in cached.items() if not entry.refusal},
            secrets=values["Secret"],
            config_maps=values["ConfigMap"],
            refused={name: entry.refusal for name, entry in cached.items() if entry.refusal},
            exceptions={name: entry.exception for name, entry in exceptions.items() if not entry.broken},
            broken_exceptions={name: entry.broken for name, entry in exceptions.items() if entry.broken},
            problems=self._doubts(len(cached)),
            complete=self._webhooks.synced and not self._webhooks.stale,
            known=self._webhooks.synced,
        )
        unreadable = {reader.kind: _unreadable(reader) for reader in self._secret_readers}
        snapshot = _without(snapshot, unreadable, self._secret_selector)
        if snapshot != self._snapshot:
            self._snapshot = snapshot

    def _doubts(self, held: int) -> tuple[str, ...]:
        if not self._webhooks.doubted:
            return ()
        return (f"the list of webhooks is empty after an error: the {held} that were there before go on for a while",)

    def _report_refused(self) -> None:
        refused = [error for reader in self._secret_readers for error in reader.refused.values()]
        if refused:
            self._problems.report(_VALUES, refused[0].advice)
        else:
            self._problems.clear(_VALUES)


def read_webhook(obj: Mapping[str, Any], *, beside_calico: bool = False) -> CachedWebhook:
    """Return an object of the API as a webhook. An item of a list may come without the kind that the list has.

    `beside_calico`: where our conditions are, see sew_agent.kubernetes.status_writer.
    """
    whole = {"apiVersion": API_VERSIONS[0], "kind": KIND, **obj}
    webhook = Webhook.from_object(whole, beside_calico=beside_calico)
    webhook = replace(webhook, annotations={k: v for k, v in webhook.annotations.items() if k in _OURS})
    findings = [issue.finding for issue in check_structure(whole)]
    wrong = next((finding for finding in findings if finding.is_error and finding.code != _TOLERATED), None)
    if wrong is None:
        return CachedWebhook(webhook)
    message = f"{wrong.message}: {wrong.hint}" if wrong.hint else wrong.message
    return CachedWebhook(webhook, InvalidWebhook(message, reason_of(wrong), webhook))


def read_exception(obj: Mapping[str, Any]) -> CachedException:
    """Return an object of the API as an exception."""
    return CachedException(AlertException.from_object(obj), problem_of(obj))


def _metadata(plural: str, scope: Scope) -> WatchedResource[str]:
    path = FixedPath(f"/api/v1/namespaces/{scope.secrets_namespace}/{plural}")
    return WatchedResource(plural, path, _version, scope.secret_selector, metadata_only=True)


def _version(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"]["resourceVersion"])


def _references(kind: str, cached: Iterable[CachedWebhook]) -> Mapping[str, set[str]]:
    """Return object -> keys, for all that webhooks refer to of one kind."""
    keys: dict[str, set[str]] = {}
    for entry in cached:
        for reference in entry.webhook.references:
            if reference.kind == kind:
                keys.setdefault(reference.name, set()).add(reference.key)
    return keys


def _unreadable(reader: SecretReader) -> Mapping[str, str] | str:
    """Return why objects of a kind cannot be read: one text for all, or by object."""
    if not reader.metadata.synced:
        return reader.metadata.refused
    return {name: str(error) for name, error in reader.refused.items()}


def _without(snapshot: Snapshot, unreadable: Mapping[str, Mapping[str, str] | str], selector: str) -> Snapshot:
    """Refuse the webhooks that refer to what may not be read, with that as the reason: it may well exist."""
    objects = {"Secret": snapshot.secrets, "ConfigMap": snapshot.config_maps}

    def why(reference: Reference) -> str:
        texts = unreadable[reference.kind]
        if text := texts if isinstance(texts, str) else texts.get(reference.name, ""):
            return text
        absent = not reference.optional and reference.name not in objects[reference.kind]
        return _unselected(selector) if selector and absent else ""

    refused = {
        name: InvalidWebhook(f"{reference.kind} `{reference.name}`: {why(reference)}", _UNREADABLE, webhook)
        for name, webhook in snapshot.webhooks.items()
        for reference in reversed(webhook.references)
        if why(reference)
    }
    kept = {name: webhook for name, webhook in snapshot.webhooks.items() if name not in refused}
    return replace(snapshot, webhooks=kept, refused={**snapshot.refused, **refused})


def _unselected(selector: str) -> str:
    return (
        f"it does not exist, or the agent's SEW_SECRET_SELECTOR (`{selector}`) does not select it: "
        "create it in the Secrets' namespace, or label it so"
    )
