"""A cluster, by kubectl with the person's own rights: the functions of `list`, `status`, `check` and others."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property

from kubectl_sew.check.checks import judge
from kubectl_sew.check.gather import gather
from kubectl_sew.cli.commands.state import change_state
from kubectl_sew.cli.commands.test import read_result
from kubectl_sew.cli.waiting import until
from kubectl_sew.cluster.agent import ask, find_holder
from kubectl_sew.cluster.exceptions import ClusterException, read_exceptions
from kubectl_sew.cluster.webhook_details import WebhookDetails, ask_agent_report, read_details
from kubectl_sew.cluster.webhooks import Webhooks, connect
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.dashboard.reach import Diagnosis, Fleet, Step
from kubectl_sew.kubectl import Kubectl, chosen_by
from kubectl_sew.query import FieldSet
from kubectl_sew.resource import SECRETS_NAMESPACE, Finding, State, Webhook, to_object
from kubectl_sew.resource.manifests import load_manifests
from kubectl_sew.validation.manifests import validate_manifests

Clock = Callable[[], float]

TEST_SECONDS = 60.0
"""Seconds for which a test's answer is waited for, as `kubectl sew test` does."""


class ClusterReach:
    """The webhooks of a cluster, and the agent that holds the Lease."""

    changes_webhooks = True

    def __init__(self, kubectl: Kubectl, secrets_namespace: str, group: str, fields: FieldSet, clock: Clock) -> None:
        """`group`: the API group to take, "" for the one that discovery finds; `clock` in epoch seconds."""
        self._kubectl = kubectl
        self._secrets_namespace = secrets_namespace
        self._group = group
        self._fields = fields
        self._clock = clock

    @property
    def place(self) -> str:
        chosen = shlex.join(chosen_by(self._kubectl.flags))
        return f"the cluster of {chosen}" if chosen else "the cluster of kubectl's current context"

    @cached_property
    def _webhooks(self) -> Webhooks:
        return connect(self._kubectl, self._group)

    def fleet(self) -> Fleet:
        webhooks = self._webhooks  # asked for alone the first time: a login helper must not run twice side by side
        with ThreadPoolExecutor(1) as beside:
            agent = beside.submit(ask_agent_report, self._kubectl, self._secrets_namespace, self._clock)
            listed = tuple(Webhook.from_object(obj) for obj in webhooks.all())
            return Fleet(listed, agent.result())

    def details(self, name: str) -> WebhookDetails:
        return read_details(self._webhooks, name, self._secrets_namespace, self._clock)

    def findings(self, webhook: Webhook) -> Sequence[Finding]:
        return findings_of(webhook, self._fields)

    def exceptions(self) -> tuple[ClusterException, ...]:
        return read_exceptions(self._kubectl, self._group)

    def diagnose(self, step: Step) -> Diagnosis:
        facts = gather(self._kubectl, self._secrets_namespace, self._group, self._clock, step)
        return Diagnosis(tuple(judge(facts)))

    def ask_agent(self, *command: str) -> str:
        return ask(self._kubectl, find_holder(self._kubectl, self._secrets_namespace), *command)

    def agent_command(self, webhook: str, *command: str) -> str:
        verb, *rest = command
        if verb == "backlog":
            return self.plugin_command("backlog", webhook, *(["--drop"] if rest[0] == "drop" else []))
        return self.plugin_command(verb, webhook, *rest)

    def trace_command(self, event: str) -> str:
        return f"{self.plugin_command('trace')} {shlex.join(['--', event])}"

    def plugin_command(self, *words: str) -> str:
        namespace = self._secrets_namespace
        elsewhere = ["--secrets-namespace", namespace] if words[0] in _AGENTS and namespace != SECRETS_NAMESPACE else []
        return shlex.join(["kubectl", "sew", *words, *elsewhere, *chosen_by(self._kubectl.flags)])

    def set_state(self, name: str, state: State) -> str:
        before = change_state(self._webhooks, name, state)
        same = " already" if before.effective_state is state else ""
        return f"{name} is{same} {state.value}"

    def test(self, name: str) -> str:
        cluster = self._webhooks
        before = Webhook.from_object(cluster.one(name))
        asked = Webhook.from_object(cluster.request_test(name, datetime.now(UTC).isoformat(timespec="milliseconds")))

        def read() -> object:
            return read_result(Webhook.from_object(cluster.one(name)), before, asked.generation)

        result = until(read, TEST_SECONDS)
        return getattr(result, "said", f"no agent tested it within {TEST_SECONDS:g} s: see Check")

    def create(self, webhook: Webhook) -> str:
        made: Mapping[str, object] = self._webhooks.create(to_object(webhook, self._webhooks.api.api_version))
        return f"{self._webhooks.shown(webhook.name)} created" if made else ""


_AGENTS = ("backlog", "dead-letters", "deliveries", "trace", "status", "list", "check")
"""Commands that take the namespace of the agent's Lease."""


def findings_of(webhook: Webhook, fields: FieldSet) -> Sequence[Finding]:
    """Return what `validate` says of a webhook alone; what it refers to is looked up elsewhere."""
    manifests = load_manifests(json.dumps(to_object(webhook)), "")
    return validate_manifests(manifests, fields, consumers=CONSUMERS)
