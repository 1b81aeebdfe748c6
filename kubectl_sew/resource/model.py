"""A SecurityEventWebhook as frozen data, and its way from and to the API's object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubectl_sew.event import read_time
from kubectl_sew.resource import effective
from kubectl_sew.resource.conditions import OURS, Condition, read_conditions
from kubectl_sew.resource.delivery_tests import read_test_result
from kubectl_sew.resource.effective import (
    BEGIN_ANNOTATION,
    CONDITIONS_ANNOTATION,
    END_ANNOTATION,
    STATE_ANNOTATION,
    Deliverer,
    State,
    read_state,
)
from kubectl_sew.samples import sample_type
from kubectl_sew.text import parse_rfc3339

API_VERSIONS = ("projectcalico.org/v3", "crd.projectcalico.org/v1")
"""The versions that serve the kind: the first one, or the second beside Calico's aggregated API server."""

API_GROUPS = tuple(version.partition("/")[0] for version in API_VERSIONS)
KIND = "SecurityEventWebhook"
PLURAL = "securityeventwebhooks"
SECRETS_NAMESPACE = "tigera-intrusion-detection"
"""The namespace in which Calico keeps the Secrets and ConfigMaps that webhooks refer to."""

LABELS_ANNOTATION = "webhooks.projectcalico.org/labels"
TEST_EVENT_ANNOTATION = "webhooks.projectcalico.org/testEvent"
TEST_RESULT_ANNOTATION = "webhooks.projectcalico.org/testResult"
TEST_REQUESTED_ANNOTATION = "kubectl-sew/test-requested"
"""The annotation with the time of a `kubectl sew test`: a sample is sent for each, whatever was sent before."""
RECIPE_ANNOTATION = "kubectl-sew/recipe"
"""The annotation with the name of the recipe that a Generic webhook was made by."""
DEFAULT_TEST_EVENT = "waf"


@dataclass(frozen=True, slots=True)
class Reference:
    """A key of a Secret or a ConfigMap (`kind`) in the Secrets' namespace."""

    kind: str
    name: str
    key: str
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}, key {self.key}"


@dataclass(frozen=True, slots=True)
class ConfigVar:
    """A variable. Its value may be a secret, so `repr` does not show it."""

    name: str
    value: str | Reference = field(repr=False)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A SecurityEventWebhook. `consumer` as written, Calico's other spelling included; `created` in epoch seconds.

    `state` is that of the specification: what is done with events says `effective_state`.
    What the server counts and the agent itself writes makes no other webhook of it.
    """

    name: str
    consumer: str
    state: State
    query: str
    config: tuple[ConfigVar, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict, repr=False)  # kubectl keeps the last config there
    generation: int = field(default=0, compare=False)
    uid: str = ""
    resource_version: str = field(default="", compare=False)
    created: float | None = None
    conditions: tuple[Condition, ...] = field(default=(), compare=False)

    @property
    def labels_text(self) -> str:
        """The labels annotation as written: see `parse_labels`."""
        return self.annotations.get(LABELS_ANNOTATION, "")

    @property
    def test_event_text(self) -> str:
        """The annotation that chooses the sample, as written; "" without it."""
        return self.annotations.get(TEST_EVENT_ANNOTATION, "").strip()

    @property
    def test_event(self) -> str:
        """The type of the sample that state Test sends: the default where the annotation names none."""
        return sample_type(self.test_event_text) or DEFAULT_TEST_EVENT

    @property
    def test_result(self) -> str:
        """The result of the last test, as our agent's line whoever wrote it; "" before the first."""
        return read_test_result(self.annotations.get(TEST_RESULT_ANNOTATION, ""))

    @property
    def test_requested(self) -> str:
        """The request of a person that state Test answers; "" where nobody asked by `kubectl sew test`."""
        return self.annotations.get(TEST_REQUESTED_ANNOTATION, "")

    @property
    def state_text(self) -> str:
        """The annotation with the effective state, as written; "" without it."""
        return self.annotations.get(STATE_ANNOTATION, "").strip()

    @property
    def effective_state(self) -> State:
        """What is done with events: see kubectl_sew.resource.effective."""
        return effective.effective_state(self.state, self.state_text)

    @property
    def is_taken_over(self) -> bool:
        """Whether the agent delivers for it although `spec.state` is Disabled, so that Calico's processor does not."""
        return effective.is_taken_over(self.state, self.state_text)

    @property
    def is_contested(self) -> bool:
        """Whether it was taken over, and its `spec.state` has been set again meanwhile."""
        return bool(self.state_text) and self.state is not State.DISABLED

    def delivered_by(self, *, beside_calico: bool) -> Deliverer:
        """Who delivers for it."""
        return effective.delivered_by(self.state, self.state_text, beside_calico=beside_calico)

    @property
    def begin(self) -> float | None:
        """The time (epoch seconds) from which on events belong to the agent, of one that was taken over."""
        return parse_rfc3339(self.annotations.get(BEGIN_ANNOTATION, ""))

    @property
    def end(self) -> float | None:
        """The time (epoch seconds) before which events belong to the agent, of one that was handed back."""
        return parse_rfc3339(self.annotations.get(END_ANNOTATION, ""))

    @property
    def recipe(self) -> str:
        """The name of the recipe that made it, as written; "" where there is none."""
        return self.annotations.get(RECIPE_ANNOTATION, "").strip()

    def condition(self, kind: str) -> Condition | None:
        """The condition of this type, e.g. `Healthy`."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    @property
    def healthy(self) -> bool:
        """True while Healthy is True for the resource as it is now; other writers than our agent name no generation."""
        healthy = self.condition("Healthy")
        return healthy is not None and healthy.status == "True" and healthy.observed_generation in (0, self.generation)

    @property
    def references(self) -> tuple[Reference, ...]:
        """All Secrets' and ConfigMaps' keys that the configuration refers to."""
        return tuple(variable.value for variable in self.config if isinstance(variable.value, Reference))

    @classmethod
    def from_object(cls, obj: Mapping[str, Any], *, beside_calico: bool | None = None) -> "Webhook":
        """Reads an object that `check_structure` finds valid; in any other, what cannot be read is left empty.

        An unreadable state becomes Disabled, so that nothing is ever sent for it. `beside_calico`: whether the agent
        keeps its conditions in an annotation; None where that is not known.
        """
        metadata, spec, status = as_map(obj.get("metadata")), as_map(obj.get("spec")), obj.get("status")
        generation = metadata.get("generation")
        annotations = {_text(k): _text(v) for k, v in as_map(metadata.get("annotations")).items()}
        state = _state(spec.get("state"))
        taken_over = effective.is_taken_over(state, annotations.get(STATE_ANNOTATION, "").strip())
        return cls(
            name=_text(metadata.get("name")),
            consumer=_text(spec.get("consumer")),
            state=state,
            query=_text(spec.get("query")),
            config=tuple(_variable(item) for item in _list(spec.get("config")) if isinstance(item, Mapping)),
            annotations=annotations,
            generation=generation if isinstance(generation, int) else 0,
            uid=_text(metadata.get("uid")),
            resource_version=_text(metadata.get("resourceVersion")),
            created=read_time(metadata.get("creationTimestamp")),
            conditions=_conditions(_list(status), annotations if taken_over else {}, beside_calico),
        )


def to_object(webhook: Webhook, api_version: str = API_VERSIONS[0]) -> dict[str, Any]:
    """The manifest that makes this webhook: what a person writes, without what the server adds."""
    metadata: dict[str, Any] = {"name": webhook.name}
    if webhook.annotations:
        metadata["annotations"] = dict(webhook.annotations)
    spec = {
        "consumer": webhook.consumer,
        "state": webhook.state.value,
        "query": webhook.query,
        "config": [_variable_object(variable) for variable in webhook.config],
    }
    return {"apiVersion": api_version, "kind": KIND, "metadata": metadata, "spec": spec}


REFERENCE_KINDS = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}
"""The field of `valueFrom` -> the kind of object that it refers to."""


def _variable_object(variable: ConfigVar) -> dict[str, Any]:
    if isinstance(variable.value, str):
        return {"name": variable.name, "value": variable.value}
    reference = variable.value
    source = next(name for name, kind in REFERENCE_KINDS.items() if kind == reference.kind)
    target: dict[str, Any] = {"name": reference.name, "key": reference.key}
    if reference.optional:
        target["optional"] = True
    return {"name": variable.name, "valueFrom": {source: target}}


def _variable(obj: Mapping[str, Any]) -> ConfigVar:
    source = as_map(obj.get("valueFrom"))
    for name, kind in REFERENCE_KINDS.items():
        if isinstance(source.get(name), Mapping):
            target = source[name]
            optional = target.get("optional") is True
            reference = Reference(kind, _text(target.get("name")), _text(target.get("key")), optional)
            return ConfigVar(_text(obj.get("name")), reference)
    return ConfigVar(_text(obj.get("name")), _text(obj.get("value")))


def _state(value: Any) -> State:
    return read_state(_text(value)) or State.DISABLED


def _conditions(status: list[Any], annotations: Mapping[str, str], beside_calico: bool | None) -> tuple[Condition, ...]:
    """Return the agent's conditions, wherever it writes them; another's where there are none."""
    written = tuple(Condition.from_object(item) for item in status if isinstance(item, Mapping))
    kept = () if beside_calico is False else read_conditions(annotations.get(CONDITIONS_ANNOTATION, ""))
    if beside_calico is None and any(condition.type in OURS for condition in written):
        return written
    return kept or written


def as_map(value: Any) -> Mapping[str, Any]:
    """Return a manifest's value where it is a map, else an empty one: what is wrong is found elsewhere."""
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
