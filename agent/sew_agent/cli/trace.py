"""`sew-agent trace`: what became of one event, for each webhook."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from kubectl_sew.event import Event
from kubectl_sew.json_text import line
from kubectl_sew.resource import SECRETS_NAMESPACE
from kubectl_sew.terminal import json_option
from kubectl_sew.text import rfc3339
from kubectl_sew.trace import UNSEEN, fates, read_event, table
from sew_agent.cli.options import beside, print_json, state_option
from sew_agent.delivery.delivery_log import EVENT_LIMIT
from sew_agent.store.contract import Store
from sew_agent.store.opening import StorePlace
from sew_agent.store.records import DeliveryState, KeptDelivery, LoggedAttempt
from sew_agent.webhooks.base import Snapshot
from sew_agent.webhooks.files import FileWebhooks


@click.command
@state_option
@click.argument("event_id", metavar="EVENT-ID")
@click.option(
    "--webhooks",
    envvar="SEW_WEBHOOKS",
    type=click.Path(path_type=Path),
    help="The manifests: whose queries are asked where the store does not know the event.",
)
@click.option(
    "--event-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="NDJSON file with the event, where the store does not have it.",
)
@json_option
def trace(state: StorePlace, event_id: str, webhooks: Path | None, event_file: Path | None, output: str | None) -> None:
    """Show what became of one event, for each webhook: where it waits, was delivered, is dead or was not selected."""
    event_id = event_id.encode("utf-8", "backslashreplace").decode()
    given = Event("", event_id, read_event(event_file, event_id)) if event_file else None
    with beside(state) as store:
        known, event = _known(store, event_id, given)
    snapshot = _snapshot(webhooks)
    document = event.document if event else None
    rows = fates(known, document, list(snapshot.webhooks.values()), list(snapshot.exceptions.values()), time.time())
    if output:
        index = event.index if event else ""
        print_json({"event": event_id, "index": index, "webhooks": rows, "document": event.fields() if event else None})
    else:
        click.echo(table(rows) if rows else f"the store knows nothing of the event {line(event_id, EVENT_LIMIT)}")


def _snapshot(webhooks: Path | None) -> Snapshot:
    if webhooks is None:
        return Snapshot({}, {}, {})
    return FileWebhooks(webhooks, secrets_namespace=SECRETS_NAMESPACE, clock=time.time).snapshot()


def _known(store: Store, event_id: str, given: Event | None) -> tuple[list[dict[str, Any]], Event | None]:
    """Return what the store knows of an event, a row for each webhook, and the event where it is at hand."""
    attempts: dict[str, LoggedAttempt] = {}
    for attempt in store.attempts(event=line(event_id, EVENT_LIMIT)):
        attempts[attempt.webhook] = attempt
    kept = {each.delivery.webhook: each for each in store.kept_deliveries(event=event_id)}
    event = given or next((each.delivery.event for each in kept.values()), None)
    sources = {attempt.source for attempt in attempts.values()} | ({event.index} if event else {""})
    seen = store.seen_by([Event(source, event_id, {}).key for source in sources])
    names = frozenset().union(*seen.values())
    webhooks = [counters.webhook for counters in store.counters()]
    return [_row(name, kept.get(name), attempts.get(name), seen=name in names) for name in webhooks], event


def _row(name: str, kept: KeptDelivery | None, last: LoggedAttempt | None, *, seen: bool) -> dict[str, Any]:
    fate, words = _fate(kept, last, seen=seen)
    return {"webhook": name, "fate": fate, "detail": "; ".join(word for word in words if word)}


def _fate(kept: KeptDelivery | None, last: LoggedAttempt | None, *, seen: bool) -> tuple[str, Sequence[str]]:
    if kept and kept.died_at is not None:
        died = f"dead letter {kept.delivery.seq} since {rfc3339(kept.died_at)}"
        return DeliveryState.DEAD.value, [died, kept.detail]
    if kept:
        return DeliveryState.PENDING.value, list(_waits(kept, last))
    if last and last.outcome == DeliveryState.DELIVERED.value:
        at = f"{rfc3339(last.at)}, at try {last.attempt}"
        return DeliveryState.DELIVERED.value, [at, last.detail, last.receipt and f"as {last.receipt}"]
    if last:
        return DeliveryState.DROPPED.value, ["given up by hand, or because its webhook was deleted", last.detail]
    if seen:
        why = "delivered, suppressed by an exception, logged by state Debug or dropped: the log has no attempt of it"
        return "seen", [why]
    return UNSEEN, ["the store does not know it"]


def _waits(kept: KeptDelivery, last: LoggedAttempt | None) -> Iterator[str]:
    tries = kept.delivery.attempts
    yield f"tried {tries} times" if tries > 1 else "tried once" if tries else "not tried yet"
    yield kept.detail
    if tries and last and last.next_try:
        yield f"not tried again before {rfc3339(last.next_try)}"
