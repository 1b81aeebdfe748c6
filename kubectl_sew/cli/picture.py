"""How `kubectl sew status` says what is known of a webhook: to people, to programs, and what helps. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from kubectl_sew.cluster.picture import TIGHT, Lookup, Picture, Resolved
from kubectl_sew.consumers.text import line
from kubectl_sew.resource import State, Webhook, spell_duration

_LONGEST = 600
_LABEL = 15


def for_people(picture: Picture) -> str:
    """Labelled lines, and below them the commands that help."""
    helps = [f"  {each}" for each in advice(picture)]
    lines = [*_resource(picture.webhook), *_references(picture), *_agent(picture), *_delivery(picture)]
    return "\n".join(lines + (["What helps:", *helps] if helps else []))


def as_object(picture: Picture) -> dict[str, Any]:
    """All of it as JSON values; what is unknown is null."""
    webhook, agent = picture.webhook, picture.agent
    return {
        "name": webhook.name,
        "consumer": webhook.consumer,
        "state": webhook.state.value,
        "query": webhook.query,
        "generation": webhook.generation,
        "healthy": webhook.healthy,
        "conditions": [each.to_object() for each in webhook.conditions],
        "testResult": webhook.test_result or None,
        "references": [_reference_object(each) for each in picture.references],
        "agent": {"pod": agent.holder or None, "unknown": agent.unknown or None, **agent.told},
        "delivery": dict(picture.delivery) if picture.delivery is not None else None,
        "helps": list(advice(picture)),
    }


def _reference_object(resolved: Resolved) -> dict[str, Any]:
    reference = resolved.reference
    where = {"kind": reference.kind, "name": reference.name, "key": reference.key, "optional": reference.optional}
    found = None if resolved.lookup is Lookup.UNREAD else resolved.lookup is Lookup.FOUND
    return {"variable": resolved.variable, **where, "found": found, "said": _said(resolved)}


def _said(resolved: Resolved) -> str:
    return resolved.lookup.value + (f": {resolved.more}" if resolved.more else "")


def _labelled(label: str, text: str) -> str:
    return f"{label and label + ':':<{_LABEL}}{line(text, _LONGEST)}"


def _resource(webhook: Webhook) -> Iterator[str]:
    yield _labelled("Webhook", f"{webhook.name} ({webhook.consumer})")
    yield _labelled("State", webhook.state.value)
    yield _labelled("Query", webhook.query)
    if not webhook.conditions:
        yield _labelled("Healthy", "unknown: no agent has written a status yet")
    for each in webhook.conditions:
        behind = each.observed_generation not in (0, webhook.generation)
        late = " [of an earlier version of the resource]" if behind else ""
        said = f": {each.message}" if each.message else ""
        yield _labelled(line(each.type, 30), f"{each.status} ({each.reason}){said}{late}")
    if webhook.test_result:
        yield _labelled("Last test", webhook.test_result)


def _references(picture: Picture) -> Iterator[str]:
    for at, each in enumerate(picture.references):
        optional = ", optional" if each.reference.optional else ""
        text = line(f"{each.variable}: {each.reference}{optional}: {_said(each)}", _LONGEST)
        yield f"{'' if at else 'References:':<{_LABEL}}{text}"


def _agent(picture: Picture) -> Iterator[str]:
    agent, told = picture.agent, picture.agent.told
    if agent.unknown:
        yield _labelled("Agent", f"unknown: {agent.unknown}")
    elif not told.get("running"):
        yield _labelled("Agent", f"{agent.holder}: its program does not run; the figures are those of its store")
    else:
        yield _labelled("Agent", f"{agent.holder}, version {told.get('version')}")
    troubles = [each.get("message") for each in told.get("sourceTroubles") or ()]
    for problem in (*troubles, *(told.get("problems") or ())):
        yield _labelled("", f"! {problem}")


def _delivery(picture: Picture) -> Iterator[str]:
    row = picture.delivery
    if row is None:
        if not picture.agent.unknown:
            yield _labelled("Backlog", "unknown: the agent does not know this webhook (yet)")
        return
    if row.get("eventsFetched"):
        yield _labelled("Events", str(row["eventsFetched"]))
    yield _labelled("Backlog", _backlog(row))
    yield _labelled("Delivered", f"{row.get('delivered', 0):,}, the last {row.get('lastDelivery') or 'never'}")
    yield _labelled("Dead letters", f"{row.get('deadLetters', 0):,}")
    if row.get("lastError"):
        yield _labelled("Last error", str(row["lastError"]))
    if row.get("delivery") and not row.get("delivering"):
        yield _labelled("Parked" if row.get("parked") else "Failing", str(row["delivery"]))
    if row.get("nextRetry"):
        yield _labelled("Next attempt", str(row["nextRetry"]))
    if (row.get("room") or 0) >= TIGHT:
        yield _labelled("Store", f"{row['room']:.0%} of its share is used; from 100 % on nothing is read for it")


def _backlog(row: Mapping[str, Any]) -> str:
    waiting, oldest = row.get("backlog") or 0, row.get("oldestWaitingSeconds")
    if not waiting:
        return "nothing waits"
    return f"{waiting:,} waiting" + (f", the oldest for {spell_duration(oldest)}" if oldest is not None else "")


def advice(picture: Picture) -> Iterator[str]:
    """What to do, most urgent first; nothing where all is well."""
    name = picture.webhook.name
    yield from _about_references(picture)
    yield from _about_health(picture.webhook)
    yield from _about_state(picture.webhook)
    yield from _about_delivery(picture.delivery or {}, name)
    if picture.agent.unknown or not picture.agent.told.get("running") or picture.agent.told.get("sourceTroubles"):
        yield "the agent: `kubectl sew check`"


def _about_references(picture: Picture) -> Iterator[str]:
    for each in picture.references:
        if each.lacking:
            yield f"a value for {each.variable}: `{each.help(picture.secrets_namespace)}`"


def _about_health(webhook: Webhook) -> Iterator[str]:
    found = webhook.condition("Healthy")
    if found is None or found.status != "False" or webhook.state is State.DISABLED:
        return
    if found.reason in ("QueryParsing", "QueryValidation"):
        yield "the query: `kubectl sew preview-query QUERY` shows what is wrong with it, `kubectl sew fields` the keys"
    yield f"what each reason means: {REASONS_PAGE}#{found.reason.lower()}"


REASONS_PAGE = "docs/troubleshooting.md"


def _about_state(webhook: Webhook) -> Iterator[str]:
    if webhook.state is State.DISABLED:
        yield f"nothing is read or sent while it is Disabled: `kubectl sew enable {webhook.name}`"
    if webhook.state is State.DEBUG:
        yield f"nothing is sent while it is in Debug: `kubectl sew enable {webhook.name}`"


def _about_delivery(row: Mapping[str, Any], name: str) -> Iterator[str]:
    if row.get("parked"):
        yield f"sending stopped until configuration or credential change; then `kubectl sew test {name}` tries it"
    elif row.get("delivering") is False:
        yield f"it is tried again by itself and nothing is lost; `kubectl sew backlog {name}` shows what waits"
    if row.get("deadLetters"):
        yield f"dead letters: `kubectl sew dead-letters {name} list`, and `… replay` once the cause is mended"
