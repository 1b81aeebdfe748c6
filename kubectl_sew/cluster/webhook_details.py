"""Details of one webhook: the resource, what its references hold, and what the agent reports of it."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from kubectl_sew.cluster.agent import AgentError, Holder, ask_status, find_holder, silence
from kubectl_sew.cluster.objects import Held, read_objects
from kubectl_sew.cluster.webhooks import Webhooks
from kubectl_sew.kubectl import Kubectl
from kubectl_sew.resource import Deliverer, Reference, Webhook


class Lookup(Enum):
    """The result of following a reference."""

    FOUND = "found"
    NO_OBJECT = "the object does not exist"
    NO_KEY = "the object has no such key"
    UNREAD = "it could not be read"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A variable's reference, where it leads, and `more`: the keys that are there, or why it could not be read."""

    variable: str
    reference: Reference
    lookup: Lookup
    more: str = ""

    @property
    def missing(self) -> bool:
        """Return whether the variable has no value although it must."""
        return self.lookup in (Lookup.NO_OBJECT, Lookup.NO_KEY) and not self.reference.optional

    @property
    def said(self) -> str:
        """Return how following it ended, for people."""
        return self.lookup.value + (f": {self.more}" if self.more else "")

    def help(self, namespace: str) -> str:
        """The command that gives it a value; "" where it has one."""
        kind, name, key = self.reference.kind, self.reference.name, self.reference.key
        if self.lookup is Lookup.NO_KEY:
            return shlex.join(("kubectl", "-n", namespace, "edit", kind.lower(), name))
        if self.lookup is Lookup.NO_OBJECT:
            made = ("secret", "generic") if kind == "Secret" else ("configmap",)
            return shlex.join(("kubectl", "-n", namespace, "create", *made, name, f"--from-file={key}=FILE"))
        return ""


@dataclass(frozen=True, slots=True)
class AgentReport:
    """The report of the active agent; `unknown` says why there is none, and is "" otherwise."""

    holder: str = ""
    unknown: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Webhook -> what `sew-agent status -o json` says of it."""
    silent: str = ""
    """The time for which it has not renewed its Lease, where that is too long."""
    beside_calico: bool | None = None
    """Whether it leaves to Calico's processor what that delivers; None where nobody can say."""

    def deliverer(self, webhook: Webhook) -> Deliverer | None:
        """Return who delivers for a webhook; None where that depends on an agent of which nothing is known."""
        if self.beside_calico is None and not webhook.is_taken_over:
            return None
        return webhook.delivered_by(beside_calico=bool(self.beside_calico))

    @property
    def gone(self) -> str:
        """Return why nobody writes conditions any more; "" where somebody does, or that is not known."""
        if self.silent or not self.report or self.report.get("running"):
            return self.silent
        return f"the program of the agent {self.holder} reports nothing: what follows is what it last wrote"


@dataclass(frozen=True, slots=True)
class WebhookDetails:
    """A webhook as a whole."""

    webhook: Webhook
    secrets_namespace: str
    references: tuple[Resolved, ...]
    agent: AgentReport

    @property
    def delivery(self) -> Mapping[str, Any] | None:
        """The agent's report of this webhook; None where there is none."""
        return self.agent.rows.get(self.webhook.name)


def read_details(webhooks: Webhooks, name: str, secrets_namespace: str, clock: Callable[[], float]) -> WebhookDetails:
    """Read all of one webhook. Raises KubectlError where the webhook cannot be read. `clock` in epoch seconds."""
    webhook = Webhook.from_object(webhooks.one(name))
    held = read_objects(webhooks.kubectl, secrets_namespace, webhook.references)
    agent = ask_agent_report(webhooks.kubectl, secrets_namespace, clock)
    return WebhookDetails(webhook, secrets_namespace, resolve_references(webhook, held), agent)


def ask_agent_report(kubectl: Kubectl, secrets_namespace: str, clock: Callable[[], float]) -> AgentReport:
    """Return the report of the active agent; where it cannot be asked, why, and for how long it has been silent."""
    try:
        holder = find_holder(kubectl, secrets_namespace)
    except AgentError as error:
        return AgentReport(unknown=str(error))
    report = ask_holder(kubectl, holder)
    return replace(report, silent=silence(kubectl, holder, clock), beside_calico=holder.beside_calico)


def ask_holder(kubectl: Kubectl, holder: Holder) -> AgentReport:
    """Return the report of the agent in this pod; where it cannot be asked, why."""
    try:
        report = ask_status(kubectl, holder)
    except AgentError as error:
        return AgentReport(str(holder), unknown=str(error))
    if report["agent"].get("standingBy"):
        return AgentReport(str(holder), unknown=_standing_by(holder, report["agent"].get("leaseHolder")))
    return read_agent_report(str(holder), report)


def read_agent_report(holder: str, report: Mapping[str, Any]) -> AgentReport:
    """Return what `sew-agent status -o json` printed, as `read_status` reads it; `holder` names that agent."""
    lists = {key: report.get(key) or [] for key in ("exceptions", "agents")}  # an older agent has none
    beside = {"now": report.get("now"), **lists}
    rows = {row["name"]: row for row in report["webhooks"]}
    return AgentReport(holder, report=report["agent"] | beside, rows=rows)


def _standing_by(holder: Holder, other: str | None) -> str:
    """The Lease was asked before the agent: in between it changed hands, or the agent has not begun yet."""
    whom = f" for {other}" if other else ""
    return f"{holder} holds the Lease and stands by{whom}: one agent takes over from another just now; ask again"


def resolve_references(webhook: Webhook, held: Held) -> tuple[Resolved, ...]:
    """Return the variables that refer to something, in the order of the configuration."""
    pairs = [(setting.name, setting.value) for setting in webhook.config if isinstance(setting.value, Reference)]
    return tuple(Resolved(variable, reference, *_look_up(reference, held)) for variable, reference in pairs)


def _look_up(reference: Reference, held: Held) -> tuple[Lookup, str]:
    identity = (reference.kind, reference.name)
    if identity in held.unread:
        return Lookup.UNREAD, held.unread[identity]
    if identity not in held.values:
        return Lookup.NO_OBJECT, ""
    keys = "it holds " + (", ".join(sorted(held.values[identity])) or "no key at all")
    return Lookup.FOUND if reference.key in held.values[identity] else Lookup.NO_KEY, keys
