"""Webhooks as the agent reports them in a cluster, and what Argo CD is to make of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.query import CALICO
from kubectl_sew.resource import Condition, ConfigVar, FetchedReason, HealthyReason, State, Webhook, healthy
from kubectl_sew.validation.webhook import Accepted, InvalidWebhook
from sew_agent.ingest.progress import Progress
from sew_agent.status.conditions import WebhookStatus, conditions
from sew_agent.store.records import Counters, ReceiverState
from sew_agent.webhooks.base import Snapshot
from sew_agent.webhooks.validator import WebhookValidator

NOW, GENERATION = 1_800_000_000.0, 3
WEBHOOK = Webhook("w", "Generic", State.ENABLED, "type = waf", (ConfigVar("url", "https://example.com"),))


@dataclass(frozen=True)
class HealthCase:
    """An object, and how Argo CD shows it."""

    name: str
    object: Mapping[str, Any]
    argo_cd: str


def cases() -> Iterator[HealthCase]:
    accepted = WebhookStatus(
        _validated(State.ENABLED),
        Progress("True", FetchedReason.READ, "read to 2027-01-15T08:00:00Z"),
        ReceiverState("w"),
        Counters("w", 0, 0, 0, {}, None, None, "", 0),
    )
    invalid = InvalidWebhook("the query ends too soon", HealthyReason.QUERY_PARSING, WEBHOOK)
    down = ReceiverState("w", failures=2, reason="http_5xx", detail="503")
    yield HealthCase("new", _object(), "Progressing")
    yield HealthCase("changed", _reported(accepted, GENERATION - 1), "Progressing")
    yield HealthCase("accepted", _reported(accepted), "Healthy")
    yield HealthCase("refused", _reported(replace(accepted, validated=invalid)), "Degraded")
    yield HealthCase("down", _reported(replace(accepted, receiver=down)), "Degraded")
    for state in (State.DISABLED, State.DEBUG):
        known = replace(accepted, validated=_validated(state))
        yield HealthCase(state.value, _reported(known), "Suspended")
    calicos = healthy("True", HealthyReason.PROCESSING, "Calico's processor notes no generation", 0)
    yield HealthCase("Calico's", _object(calicos), "Healthy")


def _validated(state: State) -> Accepted:
    snapshot = Snapshot({"w": replace(WEBHOOK, state=state)}, {}, {})
    return WebhookValidator(lambda: CALICO, CONSUMERS).validate(snapshot).accepted["w"]


def _reported(known: WebhookStatus, generation: int = GENERATION) -> dict[str, Any]:
    return _object(*conditions(known, generation=generation, now=NOW))


def _object(*status: Condition) -> dict[str, Any]:
    written = {"status": [condition.to_object() for condition in status]} if status else {}
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "SecurityEventWebhook",
        "metadata": {"name": "w", "generation": GENERATION},
        "spec": {"consumer": "Generic", "state": "Enabled"},
        **written,
    }
