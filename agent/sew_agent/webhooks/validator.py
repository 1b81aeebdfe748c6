"""Validates webhooks; one that has not changed is not validated again. Pure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from kubectl_sew.consumers.base import Consumer
from kubectl_sew.exceptions import NO_EXCEPTIONS, AcceptedException, ValidatedExceptions, accept_exception
from kubectl_sew.query import FieldSet
from kubectl_sew.resource import Webhook
from kubectl_sew.resource.exceptions import AlertException
from kubectl_sew.validation.webhook import Accepted, InvalidWebhook, accept
from sew_agent.webhooks.base import Snapshot

_ENDPOINT = ("url", "username", "authentication")
"""Variables that are no secrets and yet say where, or as whom, to send."""


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """Valid and invalid webhooks of a snapshot, and its exceptions."""

    accepted: Mapping[str, Accepted] = field(default_factory=dict)
    invalid: Mapping[str, InvalidWebhook] = field(default_factory=dict)
    exceptions: ValidatedExceptions = NO_EXCEPTIONS


class WebhookValidator:
    """Keeps its results, so an unchanged webhook stays the same object, and its query is compiled once."""

    def __init__(self, fields: Callable[[], FieldSet], consumers: Mapping[str, Consumer]) -> None:
        """`fields`: the fields that queries may ask for now; another object where they changed."""
        self._fields = fields
        self._validated_for: FieldSet | None = None
        self._consumers = consumers
        self._validated: dict[str, tuple[object, Accepted | InvalidWebhook]] = {}
        self._exceptions: dict[str, tuple[tuple[AlertException, FieldSet], AcceptedException | str]] = {}

    @property
    def stale(self) -> bool:
        """True when the fields have changed since the last validation."""
        return self._validated_for is not self._fields()

    def validate(self, snapshot: Snapshot) -> ValidationResult:
        """Validate every webhook of the snapshot; those that its source refused are invalid."""
        fields = self._validated_for = self._fields()
        self._validated = {
            name: self._validate_one(webhook, snapshot, fields) for name, webhook in snapshot.webhooks.items()
        }
        results = {name: result for name, (_, result) in self._validated.items()}
        return ValidationResult(
            {name: result for name, result in results.items() if isinstance(result, Accepted)},
            {name: result for name, result in results.items() if isinstance(result, InvalidWebhook)}
            | dict(snapshot.refused),
            self._validate_exceptions(snapshot, fields),
        )

    def _validate_exceptions(self, snapshot: Snapshot, fields: FieldSet) -> ValidatedExceptions:
        self._exceptions = {name: self._of(exception, fields) for name, exception in snapshot.exceptions.items()}
        results = {name: result for name, (_, result) in self._exceptions.items()}
        return ValidatedExceptions(
            tuple(result for result in results.values() if isinstance(result, AcceptedException)),
            {name: result for name, result in results.items() if isinstance(result, str)}
            | dict(snapshot.broken_exceptions),
        )

    def _of(
        self, exception: AlertException, fields: FieldSet
    ) -> tuple[tuple[AlertException, FieldSet], AcceptedException | str]:
        before = self._exceptions.get(exception.name)
        if before and before[0][0] == exception and before[0][1] is fields:
            return before
        return (exception, fields), accept_exception(exception, fields)

    def _validate_one(
        self, webhook: Webhook, snapshot: Snapshot, fields: FieldSet
    ) -> tuple[object, Accepted | InvalidWebhook]:
        basis = (webhook, _values(webhook, snapshot), fields)
        before = self._validated.get(webhook.name)
        if before and before[0] == basis:
            return before
        result = accept(webhook, snapshot.secrets, snapshot.config_maps, fields, consumers=self._consumers)
        if isinstance(result, Accepted):
            return basis, before[1] if before and before[1] == result else result
        return basis, result


def content_digest(accepted: Accepted) -> str:
    """Return a digest of all that a webhook sends with, its state aside: a test is sent once for each."""
    webhook = accepted.webhook
    return _digest([webhook.consumer, webhook.query, webhook.test_event, accepted.config, accepted.labels])


def settings_digest(accepted: Accepted) -> str:
    """Return a digest of the spec with all values: a change ends backoff and parking."""
    return _digest([content_digest(accepted), accepted.webhook.effective_state.value])


def endpoint_digest(accepted: Accepted) -> str:
    """Return a digest of URL and credentials: a change ends a wait, too.

    A variable that the consumer does not know by itself is a secret of its template.
    """
    other = {
        variable.name
        for variable in accepted.consumer.variables
        if not variable.secret and variable.name not in _ENDPOINT
    }
    return _digest({name: value for name, value in accepted.config.items() if name not in other})


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True, default=dict).encode()).hexdigest()[:32]


def _values(webhook: Webhook, snapshot: Snapshot) -> list[object]:
    """Return the values of the references; where a key is missing, the existing keys, which the message names."""
    objects = {"Secret": snapshot.secrets, "ConfigMap": snapshot.config_maps}
    held = [(objects[reference.kind].get(reference.name), reference.key) for reference in webhook.references]
    return [values and values.get(key, tuple(values)) for values, key in held]
