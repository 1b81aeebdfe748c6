"""Asks a cluster for all facts, one after the other, but for the many small questions about rights."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

import kubectl_sew
from kubectl_sew.check.facts import NOT_SERVED, Definition, Facts, Unknown
from kubectl_sew.check.pods import agent_pods
from kubectl_sew.check.rights import Right, agent_rights, has, is_mine, own_rights
from kubectl_sew.cluster.agent import AgentError, clock_ahead, find_holder
from kubectl_sew.cluster.exceptions import read_exceptions
from kubectl_sew.cluster.objects import Held, read_objects
from kubectl_sew.cluster.webhook_details import ask_holder
from kubectl_sew.cluster.webhooks import Webhooks, served_as
from kubectl_sew.event import read_time
from kubectl_sew.install import target
from kubectl_sew.install.holders import Account, bound_accounts
from kubectl_sew.install.manifests import documents
from kubectl_sew.install.plan import NAME, NAMESPACE
from kubectl_sew.kubectl import Kubectl, KubectlError
from kubectl_sew.resource import API_GROUPS, PLURAL, Webhook
from kubectl_sew.resource.serving import API_SERVICE, DEFINITIONS, Served

T = TypeVar("T")
Clock = Callable[[], float]
Step = Callable[[str], None]

_AT_ONCE = 8


def gather(kubectl: Kubectl, secrets_namespace: str, group: str, clock: Clock, step: Step) -> Facts:
    """`group`: the API group to take, "" for the one that discovery finds. `clock`: seconds since the epoch.

    `step` is given the name of what is asked for next.
    """
    facts = Facts(kubectl_sew.__version__, secrets_namespace)
    step("the API server")
    try:
        facts = replace(facts, server_version=str(kubectl.get("/version").get("gitVersion", "")))
    except KubectlError as error:
        return replace(facts, unreachable=str(error))
    ahead = attempt(lambda: clock_ahead(kubectl, clock))
    facts = replace(facts, clock_ahead=ahead, now=None if isinstance(ahead, Unknown) else clock() - ahead)
    for what, stage in _STAGES:
        step(what)
        facts = stage(_Asking(kubectl, group, clock), facts)
    return facts


def attempt(ask: Callable[[], T]) -> T | Unknown:
    """Return the answer of `ask`, or why it cannot be known."""
    try:
        return ask()
    except (KubectlError, AgentError) as error:
        return Unknown(error.said)


def _api(asking: "_Asking", facts: Facts) -> Facts:
    kubectl = asking.kubectl
    groups = (asking.group,) if asking.group else API_GROUPS
    served = attempt(lambda: tuple(api for group in groups if (api := served_as(kubectl, group))))
    return replace(
        facts,
        served=served,
        definitions=attempt(lambda: tuple(_definitions(kubectl))),
        aggregated=attempt(lambda: _aggregated(kubectl)),
        namespace_exists=attempt(lambda: target.namespace_exists(kubectl, facts.secrets_namespace)),
        processor=attempt(lambda: target.processor(kubectl, facts.secrets_namespace)),
    )


def _definitions(kubectl: Kubectl) -> Iterable[Definition]:
    for group in API_GROUPS:
        if definition := kubectl.find(f"{DEFINITIONS}/{PLURAL}.{group}"):
            labels = definition["metadata"].get("labels") or {}
            yield Definition(group, target.is_ours(definition), labels.get("app.kubernetes.io/version", ""))


def _aggregated(kubectl: Kubectl) -> str:
    service = ((kubectl.find(API_SERVICE) or {}).get("spec") or {}).get("service") or {}
    return f"{service['namespace']}/{service['name']}" if service else ""


def _agent_place(asking: "_Asking", facts: Facts) -> Facts:
    kubectl = asking.kubectl
    holder = attempt(lambda: find_holder(kubectl, facts.secrets_namespace))
    accounts = attempt(lambda: bound_accounts(kubectl, facts.secrets_namespace))
    known = () if isinstance(accounts, Unknown) else accounts
    active = None if isinstance(holder, Unknown) else (holder.namespace, holder.pod)
    pods = attempt(lambda: agent_pods(kubectl, known or (Account(NAMESPACE, NAME),), active))
    return replace(facts, holder=holder, accounts=accounts, pods=pods)


def _agent(asking: "_Asking", facts: Facts) -> Facts:
    kubectl = asking.kubectl
    if isinstance(facts.holder, Unknown):
        return facts
    before = asking.clock()
    agent = ask_holder(kubectl, facts.holder)
    here, there = (before + asking.clock()) / 2, read_time(agent.report.get("now"))
    if there is None or isinstance(facts.clock_ahead, Unknown):
        return replace(facts, agent=agent)
    return replace(facts, agent=agent, agent_clock_ahead=there - (here - facts.clock_ahead))


def _webhooks(asking: "_Asking", facts: Facts) -> Facts:
    kubectl = asking.kubectl
    if isinstance(facts.served, Unknown) or not facts.served:
        return replace(facts, webhooks=NOT_SERVED, held=NOT_SERVED)
    used, *others = facts.served
    webhooks = attempt(lambda: tuple(_all(kubectl, used)))
    elsewhere = attempt(lambda: tuple(webhook.name for api in others for webhook in _all(kubectl, api)))
    held: Held | Unknown = Unknown(webhooks.why) if isinstance(webhooks, Unknown) else Held()
    if not isinstance(webhooks, Unknown):
        references = [reference for webhook in webhooks for reference in webhook.references]
        held = attempt(lambda: read_objects(kubectl, facts.secrets_namespace, references))
    exceptions = attempt(lambda: read_exceptions(kubectl, asking.group))
    return replace(facts, webhooks=webhooks, elsewhere=elsewhere, held=held, exceptions=exceptions)


def _all(kubectl: Kubectl, api: Served) -> list[Webhook]:
    return [Webhook.from_object(obj) for obj in Webhooks(kubectl, api).all()]


def _rights(asking: "_Asking", facts: Facts) -> Facts:
    kubectl = asking.kubectl
    used = facts.api_group
    account = facts.account
    mine = chain.from_iterable(own_rights(used, facts.secrets_namespace, account.namespace).values())
    theirs = agent_rights(documents("base/rbac.yaml"), used, facts.secrets_namespace)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        own = attempt(lambda: _answers(pool, lambda right: is_mine(kubectl, right), mine))
        agents = attempt(lambda: _answers(pool, lambda right: has(kubectl, account, right), theirs))
    return replace(facts, own_rights=own, agent_rights=agents)


def _answers(pool: ThreadPoolExecutor, ask: Callable[[Right], bool], rights: Iterable[Right]) -> Mapping[Right, bool]:
    asked = list(rights)
    return dict(zip(asked, pool.map(ask, asked), strict=True))


@dataclass(frozen=True, slots=True)
class _Asking:
    """The cluster, and the clock, that are asked."""

    kubectl: Kubectl
    group: str
    clock: Clock


_STAGES: tuple[tuple[str, Callable[[_Asking, Facts], Facts]], ...] = (
    ("the kind SecurityEventWebhook", _api),
    ("the agent's Lease and pods", _agent_place),
    ("the agent's own report", _agent),
    ("the webhooks and what they refer to", _webhooks),
    ("rights, yours and the agent's", _rights),
)
STEPS = 1 + len(_STAGES)
"""The number of calls of `step`."""
