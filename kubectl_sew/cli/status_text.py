"""The text of `kubectl sew status`: for people, for programs, and what to do. Pure."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kubectl_sew.agents import describe_agent
from kubectl_sew.cluster.webhook_details import Lookup, Resolved, WebhookDetails
from kubectl_sew.event import read_time
from kubectl_sew.json_text import line
from kubectl_sew.pages import page
from kubectl_sew.resource import STATE_ANNOTATION, Condition, Deliverer, DeliveringReason, State, Webhook
from kubectl_sew.resource.conditions import TIGHT, with_backlog
from kubectl_sew.resource.effective import CONTESTED
from kubectl_sew.resource.exceptions import describe_exception
from kubectl_sew.text import plural, rfc3339, spell_age, spell_duration

Labelled = tuple[str, str]
"""A label, and one line of text."""

_LONGEST = 600
_LABEL = 15


def for_people(details: WebhookDetails) -> str:
    """Labelled lines, and below them the commands that help."""
    helps = [f"  {command}" for command in advice(details)]
    lines = [f"{label and label + ':':<{_LABEL}}{text}" for label, text in labelled(details)]
    return "\n".join(lines + (["What to do:", *helps] if helps else []))


def labelled(details: WebhookDetails) -> Iterator[Labelled]:
    """Yield what is known, each line below its label; a line without one belongs to the one above."""
    yield from _resource(details)
    yield from _references(details)
    yield from _agent(details)
    yield from _delivery(details)


def as_object(details: WebhookDetails) -> dict[str, Any]:
    """All of it as JSON values; what is unknown is null."""
    webhook, agent = details.webhook, details.agent
    return {
        "name": webhook.name,
        "consumer": webhook.consumer,
        "state": webhook.effective_state.value,
        "specState": webhook.state.value,
        "deliveredBy": deliverer.value if (deliverer := agent.deliverer(webhook)) else None,
        "query": webhook.query,
        "generation": webhook.generation,
        "healthy": webhook.healthy,
        "conditions": [condition.to_object() for condition in webhook.conditions],
        "testResult": webhook.test_result or None,
        "references": [_reference_object(resolved) for resolved in details.references],
        "agent": {
            "pod": agent.holder or None,
            "unknown": agent.unknown or None,
            "silent": agent.silent or None,
            **agent.report,
        },
        "delivery": dict(details.delivery) if details.delivery is not None else None,
        "helps": list(advice(details)),
    }


def _reference_object(resolved: Resolved) -> dict[str, Any]:
    reference = resolved.reference
    where = {"kind": reference.kind, "name": reference.name, "key": reference.key, "optional": reference.optional}
    exists = None if resolved.lookup is Lookup.UNREAD else resolved.lookup is Lookup.FOUND
    return {"variable": resolved.variable, **where, "found": exists, "said": resolved.said}


def _labelled(label: str, text: str) -> Labelled:
    return label, line(text, _LONGEST)


def _resource(details: WebhookDetails) -> Iterator[Labelled]:
    webhook = details.webhook
    yield _labelled("Webhook", f"{webhook.name} ({webhook.consumer})")
    yield _labelled("State", _state(webhook))
    yield from _deliverer(details)
    yield _labelled("Query", webhook.query)
    if not webhook.conditions:
        yield _labelled("Healthy", "unknown: no agent has written a status yet")
    elif details.agent.gone:
        yield _labelled("", f"! {details.agent.gone}")
    late = " [of an earlier version of the resource]"
    for condition in webhook.conditions:
        behind = condition.observed_generation not in (0, webhook.generation)
        yield _labelled(line(condition.type, 30), _condition(details, condition) + (late if behind else ""))
        late = "" if behind else late  # said once: they are written together
    if webhook.test_result:
        yield _labelled("Last test", webhook.test_result)


def _state(webhook: Webhook) -> str:
    if not webhook.is_taken_over:
        return webhook.state.value
    state = webhook.effective_state.value
    return f"{state}, by the annotation {STATE_ANNOTATION}: `spec.state` is Disabled, so that Calico's processor rests"


def _deliverer(details: WebhookDetails) -> Iterator[Labelled]:
    """Say who delivers, where there are two who might."""
    webhook, row = details.webhook, details.delivery or {}
    if not (details.agent.beside_calico or webhook.state_text):
        return
    match details.agent.deliverer(webhook):
        case None:
            yield _labelled("Delivered by", "unknown: whether the agent leaves it to Calico's processor is not known")
        case Deliverer.NOBODY:
            yield _labelled("Delivered by", "nobody")
        case Deliverer.AGENT:
            yield _labelled("Delivered by", "sew-agent")
        case Deliverer.CALICO if row:
            dated = f"what is dated before {rfc3339(webhook.end)}, and " if webhook.end is not None else ""
            yield _labelled("Delivered by", f"Calico's processor; the agent delivers {dated}what waits")
        case Deliverer.CALICO:
            yield _labelled("Delivered by", "Calico's processor")


def _condition(details: WebhookDetails, condition: Condition) -> str:
    """Return a condition as it was written; the backlog as the agent reports it, where that is known."""
    message, row = condition.message, details.delivery
    if row is not None and condition.type == "Delivering":
        message = with_backlog(message, row.get("backlog") or 0, row.get("oldestWaitingSeconds") or 0)
    since = ""
    if condition.status == "False" and condition.last_transition_time:
        since = f" [since {_moment(condition.last_transition_time, read_time(details.agent.report.get('now')))}]"
    return f"{condition.status} ({condition.reason})" + (f": {message}" if message else "") + since


def _references(details: WebhookDetails) -> Iterator[Labelled]:
    for at, resolved in enumerate(details.references):
        optional = ", optional" if resolved.reference.optional else ""
        text = f"{resolved.variable}: {resolved.reference}{optional}: {resolved.said}"
        yield _labelled("" if at else "References", text)


def _agent(details: WebhookDetails) -> Iterator[Labelled]:
    agent, report = details.agent, details.agent.report
    if agent.unknown:
        yield _labelled("Agent", f"unknown: {agent.unknown}")
    elif not report.get("running"):
        yield _labelled("Agent", f"{agent.holder}: its program is not running; the figures are from its store")
    else:
        yield _labelled("Agent", f"{agent.holder}, version {report.get('version')}")
    for one in report.get("agents") or ():
        yield _labelled("", describe_agent(one))
    reasons = [row.get("message") for row in report.get("sourceTroubles") or ()]
    for problem in (*reasons, *(report.get("sourceCaveats") or ()), *(report.get("problems") or ())):
        yield _labelled("", f"! {problem}")


def _delivery(details: WebhookDetails) -> Iterator[Labelled]:
    row = details.delivery
    if row is None:
        yield from _no_delivery(details)
        return
    now = read_time(details.agent.report.get("now"))
    if row.get("eventsFetched"):
        yield _labelled("Events", str(row["eventsFetched"]))
    if row.get("start"):
        seen = row.get("seen") or 0
        events = f"{seen:,} {plural(seen, 'event')}"
        yield _labelled("Matched", f"{events} since {_moment(row['start'], now)}, where it began")
    yield from _owner(row)
    yield _labelled("Backlog", _backlog(row, _is_refused(details.webhook)))
    if row.get("replay"):
        yield _labelled("Replay", str(row["replay"]["text"]))
    yield _labelled("Delivered", f"{row.get('delivered', 0):,}, the last {_moment(row.get('lastDelivery'), now)}")
    yield _labelled("Dead letters", f"{row.get('deadLetters', 0):,}")
    yield from _suppressed(row, details.agent.report.get("exceptions") or ())
    for act in row.get("byHand") or ():
        yield _labelled("Given up", f"{act['count']:,} by {act['who']}, {_moment(act['at'], now)} ({act['what']})")
    if row.get("lastError"):
        at = f", at {_moment(row['lastErrorAt'], now)}" if row.get("lastErrorAt") else ""
        yield _labelled("Last error", f"{row['lastError']}{at}")
    if row.get("delivery") and not row.get("delivering"):
        since = f", since {_moment(row['failingSince'], now)}" if row.get("failingSince") else ""
        yield _labelled("Parked" if row.get("parked") else "Failing", f"{row['delivery']}{since}")
    if row.get("nextRetry"):
        yield _labelled("Next attempt", _moment(row["nextRetry"], now))
    if (row.get("room") or 0) >= TIGHT:
        yield _labelled("Store", f"{row['room']:.0%} of its share is used; from 100 % on nothing is read for it")


def _no_delivery(details: WebhookDetails) -> Iterator[Labelled]:
    """Say why the agent reports nothing of a webhook."""
    if details.agent.deliverer(details.webhook) is Deliverer.CALICO:
        yield _labelled("Backlog", "none of the agent's: Calico's processor delivers it")
    elif not details.agent.unknown:
        yield _labelled("Backlog", "unknown: the agent does not know this webhook (yet)")


def _owner(row: Mapping[str, Any]) -> Iterator[Labelled]:
    """Say which agent delivers, where several share a store."""
    if row.get("owner"):
        yield _labelled("Owner", str(row["owner"]))


def _suppressed(row: Mapping[str, Any], exceptions: Sequence[Mapping[str, Any]]) -> Iterator[Labelled]:
    """Say how many of this webhook's events were suppressed, and what each exception did for all webhooks."""
    count = (row.get("dropped") or {}).get("suppressed") or 0
    lines = [describe_exception(one) for one in exceptions if one["broken"] or one["inForce"] or one["suppressed"]]
    if count or lines:
        yield _labelled("Suppressed", f"{count:,} {plural(count, 'event')} of this webhook, by AlertExceptions")
    yield from (_labelled("", text) for text in lines)


def _moment(date: Any, now: float | None) -> str:
    """A date, and how far away it is, where that is known."""
    at = read_time(date)
    if at is None:
        return str(date or "never")
    return str(date) + (f" ({spell_age(at - now)})" if now is not None else "")


def _is_refused(webhook: Webhook) -> bool:
    delivering = webhook.condition("Delivering")
    return delivering is not None and delivering.reason == DeliveringReason.NOT_ACCEPTED.value


def _backlog(row: Mapping[str, Any], refused: bool) -> str:
    waiting, oldest = row.get("backlog") or 0, row.get("oldestWaitingSeconds")
    later = "; what matches meanwhile is read when the webhook runs" if refused else ""
    if not waiting:
        return f"nothing waits{later}"
    if row.get("behind"):
        return f"{waiting:,} waiting: {row['behind']}"
    return f"{waiting:,} waiting" + (f", the oldest for {spell_duration(oldest)}" if oldest is not None else "") + later


def advice(details: WebhookDetails) -> Iterator[str]:
    """Return what to do, most urgent first; nothing where all is well."""
    if details.agent.beside_calico and details.webhook.is_contested:
        yield CONTESTED.format(name=details.webhook.name)
    yield from _about_references(details)
    yield from _about_health(details.webhook)
    yield from _about_state(details.webhook)
    yield from _about_delivery(details)
    agent = details.agent
    if agent.gone or agent.unknown or agent.report.get("sourceTroubles") or agent.report.get("sourceCaveats"):
        yield "the agent: `kubectl sew check`"


def _about_references(details: WebhookDetails) -> Iterator[str]:
    for resolved in details.references:
        if resolved.missing:
            yield f"a value for {resolved.variable}: `{resolved.help(details.secrets_namespace)}`"


def _about_health(webhook: Webhook) -> Iterator[str]:
    healthy = webhook.condition("Healthy")
    if healthy is None or healthy.status != "False" or webhook.effective_state is State.DISABLED:
        return
    if healthy.reason in ("QueryParsing", "QueryValidation"):
        yield "the query: `kubectl sew preview-query QUERY` shows what is wrong with it, `kubectl sew fields` the keys"
    yield f"what each reason means: {page('troubleshooting', healthy.reason.lower())}"


def _about_state(webhook: Webhook) -> Iterator[str]:
    if webhook.effective_state is State.DISABLED:
        yield f"nothing is read or sent while it is Disabled: `kubectl sew enable {webhook.name}`"
    if webhook.effective_state is State.DEBUG:
        yield f"nothing is sent while it is in Debug: `kubectl sew enable {webhook.name}`"


def _about_delivery(details: WebhookDetails) -> Iterator[str]:
    row, name = details.delivery or {}, details.webhook.name
    tried = f"at once: `kubectl sew test {name}`"
    if row.get("parked"):
        fix = f"fix {_values(details)}, or the webhook"
        yield f"sending stopped until configuration or credential change: {fix}; {tried}"
    elif row.get("delivering") is False:
        waits = f"`kubectl sew backlog {name}` shows what waits"
        yield f"it is tried again by itself and nothing is lost; {waits}; {tried}"
    elif row.get("behind"):
        yield (
            "more matches than is sent: narrow the query, raise its limit (SEW_RATE_…), or give up what is old: "
            f"`kubectl sew backlog {name} --drop --older-than 1h`"
        )
    if row.get("deadLetters"):
        yield f"dead letters: `kubectl sew dead-letters {name} list`, and `… replay` once the cause is fixed"
    if _is_silent(row, details.agent.report.get("now")):
        query = shlex.quote(line(details.webhook.query, _LONGEST))
        yield f"nothing has matched yet: `kubectl sew preview-query {query} --elasticsearch URL` shows what would"


def _values(details: WebhookDetails) -> str:
    """The Secrets and ConfigMaps that hold what a receiver may refuse."""
    sources = dict.fromkeys(f"{resolved.reference.kind} {resolved.reference.name}" for resolved in details.references)
    return " and ".join(sources) or "its variables"


def _is_silent(row: Mapping[str, Any], now: Any) -> bool:
    """Return whether a webhook that runs for a while has had no event."""
    start, moment = read_time(row.get("start")), read_time(now)
    return start is not None and moment is not None and row.get("seen") == 0 and moment - start > _A_WHILE


_A_WHILE = 600.0
