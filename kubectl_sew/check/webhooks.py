"""Checks of the webhooks: what they refer to, whether they are valid, and how their receivers take events."""

from collections.abc import Callable, Mapping
from typing import Any

from kubectl_sew.check.agent import NO_AGENT
from kubectl_sew.check.facts import Facts, Unknown
from kubectl_sew.check.verdict import OK, Check, CheckVerdict, failed, fails_with, unknown
from kubectl_sew.cluster.objects import Held
from kubectl_sew.cluster.webhook_details import Lookup, Resolved, resolve_references
from kubectl_sew.query.fields import ANY
from kubectl_sew.resource import DeliveringReason, FetchedReason, HealthyReason, State, Webhook
from kubectl_sew.resource.conditions import TIGHT
from kubectl_sew.text import plural, spell_duration
from kubectl_sew.validation.webhook import InvalidWebhook, accept

_TAKEN_UP = 30.0
"""Seconds in which an agent that is active has written the conditions of a new webhook."""

FindProblem = Callable[[Facts, Webhook], str]
"""A function that returns the problem of a webhook, "" where none is known."""


def _namespace(facts: Facts) -> CheckVerdict:
    if isinstance(facts.namespace_exists, Unknown):
        return unknown(facts.namespace_exists.why)
    if facts.namespace_exists:
        return OK
    name = facts.secrets_namespace
    return failed(f"there is no namespace {name}", f"`kubectl create namespace {name}`, or --secrets-namespace")


def _lookup(lookup: Lookup, title: str, code: str) -> Check:
    def judge(facts: Facts) -> CheckVerdict:
        if isinstance(facts.held, Unknown) or isinstance(facts.webhooks, Unknown):
            return unknown(facts.held.why if isinstance(facts.held, Unknown) else _why(facts.webhooks))
        references = [(hook, resolved) for hook in facts.webhooks for resolved in resolve_references(hook, facts.held)]
        wrong = [(hook, resolved) for hook, resolved in references if resolved.lookup is lookup and resolved.missing]
        details = [f"{webhook.name}: {_said(resolved)}" for webhook, resolved in wrong]
        if details:
            return failed(details, f"`{wrong[0][1].help(facts.secrets_namespace)}`")
        unread = [
            f"{hook.name}: {_said(resolved)}" for hook, resolved in references if resolved.lookup is Lookup.UNREAD
        ]
        return unknown(unread[0]) if unread else OK

    return Check(code, title, judge)


def _said(resolved: Resolved) -> str:
    return f"{resolved.variable}: {resolved.reference}: {resolved.said}"


def _why(fact: object) -> str:
    return fact.why if isinstance(fact, Unknown) else ""


SECRETS = (
    Check("secrets-namespace", "their namespace exists", _namespace),
    _lookup(Lookup.NO_OBJECT, "those that webhooks refer to exist", "missing-object"),
    _lookup(Lookup.NO_KEY, "they hold the keys that webhooks refer to", "missing-key"),
)


def _each(code: str, title: str, find: FindProblem, hint: str) -> Check:
    """A check of every webhook by what the agent knows of it, or has written into its conditions."""

    def judge(facts: Facts) -> CheckVerdict:
        if isinstance(facts.webhooks, Unknown):
            return unknown(facts.webhooks.why)
        details = [f"{webhook.name}: {problem}" for webhook in facts.webhooks if (problem := find(facts, webhook))]
        if not details and facts.agent.unknown and facts.webhooks:
            return unknown(NO_AGENT)
        return fails_with(details, hint)

    return Check(code, title, judge)


def _invalid(facts: Facts, webhook: Webhook) -> str:
    """Return the problem that the agent reports for the resource as it is now; without an agent, by the rules alone."""
    if webhook in facts.left_to_calico:
        return ""
    healthy = webhook.condition("Healthy")
    if healthy and healthy.observed_generation in (webhook.generation, *([0] if webhook.is_taken_over else [])):
        passing = (HealthyReason.STATE.value, HealthyReason.PROCESSING.value, HealthyReason.TEST.value)
        fetched = webhook.condition("EventsFetched")
        is_refused = fetched is not None and fetched.reason == FetchedReason.NOT_ACCEPTED.value
        bad = healthy.status == "False" and (is_refused or healthy.reason not in passing)
        return f"{healthy.reason}: {healthy.message}" if bad else ""
    if isinstance(facts.held, Unknown) or _unread(webhook, facts.held):
        return ""
    judged = accept(webhook, facts.held.of_kind("Secret"), facts.held.of_kind("ConfigMap"), ANY)
    return f"{judged.reason.value}: {judged.message}" if isinstance(judged, InvalidWebhook) else ""


def _unread(webhook: Webhook, held: Held) -> bool:
    return any(resolved.lookup is Lookup.UNREAD for resolved in resolve_references(webhook, held))


def _complained(webhook: Webhook, kind: str, reason: str) -> str:
    """Return the message of a condition that is False for this reason."""
    condition = webhook.condition(kind)
    if (
        condition is None
        or condition.status != "False"
        or condition.reason != reason
        or webhook.effective_state is State.DISABLED
    ):
        return ""
    return condition.message or reason


def _parked(facts: Facts, webhook: Webhook) -> str:
    row = facts.agent.rows.get(webhook.name)
    if row is None:
        return _complained(webhook, "Delivering", DeliveringReason.PARKED.value)
    return f"{row.get('delivery') or 'see the log'}{_waiting(row)}" if row.get("parked") else ""


def _waiting(row: Mapping[str, Any]) -> str:
    """Return how many events wait, for how long, and since when nothing is taken."""
    backlog, oldest, since = row.get("backlog") or 0, row.get("oldestWaitingSeconds"), row.get("failingSince")
    age = f", the oldest for {spell_duration(oldest)}" if oldest is not None else ""
    return f", {backlog:,} waiting{age}" + (f", since {since}" if since else "")


def _down(facts: Facts, webhook: Webhook) -> str:
    row = facts.agent.rows.get(webhook.name)
    if row is None:
        return _complained(webhook, "Delivering", DeliveringReason.RETRYING.value)
    failing = row.get("delivering") is False and not row.get("parked")
    return f"{row.get('delivery') or 'see the log'}{_waiting(row)}" if failing else ""


def _behind(facts: Facts, webhook: Webhook) -> str:
    row = facts.agent.rows.get(webhook.name)
    if row is not None:
        return str(row.get("behind") or "") if row.get("delivering") else ""
    delivering = webhook.condition("Delivering")
    return delivering.message if delivering and delivering.reason == DeliveringReason.BEHIND.value else ""


def _dead(facts: Facts, webhook: Webhook) -> str:
    row = facts.agent.rows.get(webhook.name) or {}
    count = row.get("deadLetters") or 0
    last = f", the last error: {row['lastError']}" if row.get("lastError") else ""
    return f"{count:,} {plural(count, 'dead letter')}{last}" if count else ""


def _unanswerable(_: Facts, webhook: Webhook) -> str:
    return _complained(webhook, "EventsFetched", FetchedReason.UNANSWERABLE.value)


def _full(facts: Facts, webhook: Webhook) -> str:
    row = facts.agent.rows.get(webhook.name)
    if row is None:
        return _complained(webhook, "EventsFetched", FetchedReason.BACKLOG_FULL.value)
    room = row.get("room") or 0
    return f"{room:.0%} of its share of the store is used" if room >= TIGHT else ""


def _served(facts: Facts) -> CheckVerdict:
    if isinstance(facts.webhooks, Unknown):
        return unknown(facts.webhooks.why)
    if isinstance(facts.holder, Unknown) or facts.now is None or facts.holder.expired(facts.now):
        return unknown("no agent is known to be active")
    old = [
        webhook for webhook in facts.webhooks if webhook.created is not None and facts.now - webhook.created > _TAKEN_UP
    ]
    left = [webhook.name for webhook in old if _is_for_agent(facts, webhook) and not _is_taken_up(facts, webhook)]
    which = _selector(facts)
    return fails_with([f"{name}: {facts.holder} does not serve it{which}" for name in left], _UNSERVED)


def _is_for_agent(facts: Facts, webhook: Webhook) -> bool:
    return webhook.is_taken_over or not facts.beside_calico


def _is_taken_up(facts: Facts, webhook: Webhook) -> bool:
    """Return whether an agent serves it: by its report, or a condition that Calico's own processor does not write."""
    reported = (facts.agent.rows.get(webhook.name) or {}).get("healthy") is not None
    written = ("EventsFetched", "Delivering", *(("Healthy",) if facts.processor else ()))
    return reported or any(webhook.condition(kind) for kind in written)


def _selector(facts: Facts) -> str:
    pods = () if isinstance(facts.pods, Unknown) else facts.pods
    selector = next((pod.selector for pod in pods if str(pod) == str(facts.holder)), "")
    return f": it serves those with the labels {selector}" if selector else ""


def _exceptions(facts: Facts) -> CheckVerdict:
    if isinstance(facts.exceptions, Unknown):
        return unknown(facts.exceptions.why)
    reported = {row["name"]: row["broken"] or "" for row in facts.agent.report.get("exceptions") or ()}
    broken = {held.exception.name: held.broken for held in facts.exceptions} | reported
    return fails_with([f"{name} suppresses nothing: {why}" for name, why in broken.items() if why], _BROKEN_EXCEPTION)


_BROKEN_EXCEPTION = "`kubectl edit alertexceptions.projectcalico.org NAME`; `kubectl sew validate -f FILE` checks one"
_UNSERVED = "`kubectl label` it to match the agent's SEW_SELECTOR; if that is not set, see the agent's log"

WEBHOOKS = (
    Check("webhook-unserved", "an agent serves all that are not new", _served),
    _each(
        "webhook-invalid",
        "all webhooks are valid",
        _invalid,
        "`kubectl sew status NAME` says more, `kubectl edit securityeventwebhooks.projectcalico.org NAME` changes it",
    ),
    _each(
        "query-unanswerable",
        "the index can answer their queries",
        _unanswerable,
        "`kubectl sew fields` lists the keys, `kubectl sew preview-query QUERY --elasticsearch URL` tries a query",
    ),
    Check("exception-broken", "all AlertExceptions can be used", _exceptions),
    _each(
        "webhook-parked",
        "no receiver refuses configuration or credential",
        _parked,
        "fix what the receiver refuses, then `kubectl sew test NAME`; nothing is lost meanwhile",
    ),
    _each(
        "receiver-unavailable",
        "all receivers can be reached",
        _down,
        "fix the receiver: it is tried again by itself, and nothing is lost; `kubectl sew backlog NAME`",
    ),
    _each(
        "webhook-behind",
        "no webhook falls behind",
        _behind,
        "narrow its query, raise its limit (SEW_RATE_…), or `kubectl sew backlog NAME --drop --older-than 1h`",
    ),
    _each(
        "backlog-full",
        "no webhook fills its share of the store",
        _full,
        "fix the receiver, or `kubectl sew backlog NAME --drop`, `kubectl sew dead-letters NAME purge`",
    ),
    _each(
        "dead-letters",
        "there are no dead letters",
        _dead,
        "`kubectl sew dead-letters NAME list`; `… replay` sends them again, `… purge` gives them up",
    ),
)
