"""`sew-agent deliveries`: the newest attempts of a webhook, one delivery as a whole, and to send some again."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from kubectl_sew.confirmation import MAY_COME_TWICE, confirm
from kubectl_sew.deliveries import SHORT_ID, Row, describe, table, unseen
from kubectl_sew.errors import SewError
from kubectl_sew.json_text import line
from kubectl_sew.terminal import json_option
from kubectl_sew.text import rfc3339, spell_seconds
from sew_agent.cli.options import Duration, ask, beside, check_webhook, print_json, state_option, yes_option
from sew_agent.cli.previews import preview_of
from sew_agent.delivery.delivery_log import EVENT_LIMIT
from sew_agent.store.contract import Store
from sew_agent.store.opening import StorePlace
from sew_agent.store.records import DeliveryState, KeptDelivery, LoggedAttempt

_PAUSE = 1.0
"""Seconds between two looks at the log."""
_DELIVERED = DeliveryState.DELIVERED.value


@click.group()
def deliveries() -> None:
    """List what was sent and what came back, show one delivery, or send some again.

    Works while an agent runs, too.
    """


@deliveries.command("list")
@state_option
@click.option("--webhook", help="Only attempts of this webhook.")
@click.option("--failed", is_flag=True, help="Only attempts that did not deliver.")
@click.option("--since", type=Duration(), metavar="TIME", help="Only attempts of so long, e.g. 1h.")
@click.option("--event", metavar="ID", help="Only attempts of the event with this id.")
@click.option("-w", "--watch", is_flag=True, help="Go on with those that follow, until it is interrupted.")
@json_option
def list_command(  # noqa: PLR0913 - one for each flag
    state: StorePlace,
    webhook: str | None,
    *,
    failed: bool,
    since: float | None,
    event: str | None,
    watch: bool,
    output: str | None,
) -> None:
    """List attempts, oldest first."""
    seen: set[tuple[Any, ...]] = set()
    with beside(state) as store:
        check_webhook(store, webhook, state)
        while True:
            before = float("-inf") if since is None else time.time() - since
            chosen = [
                _row(attempt)
                for attempt in store.attempts(webhook, event=line(event, EVENT_LIMIT))
                if attempt.at >= before and not (failed and attempt.outcome == _DELIVERED)
            ]
            first, new = not seen, unseen(sorted(chosen, key=lambda row: str(row["at"])), seen)
            _print(new, output, first=first, webhooks=webhook is None, watch=watch)
            if not watch:
                return
            time.sleep(_PAUSE)


@deliveries.command()
@state_option
@click.argument("delivery", metavar="ID")
@click.option("--webhook", help="The webhook whose delivery it is.")
@click.option(
    "--webhooks",
    envvar="SEW_WEBHOOKS",
    type=click.Path(path_type=Path),
    help="The manifests: of which the request is made that would be sent.",
)
@json_option
def show(state: StorePlace, delivery: str, webhook: str | None, webhooks: Path | None, output: str | None) -> None:
    """Show one delivery: every attempt in the log, and if its event is still there that, and the request with it.

    A delivered event is not kept. Of the request no secret is shown, as by `kubectl sew preview-payload`.
    """
    with beside(state) as store:
        check_webhook(store, webhook, state)
        ((attempts, kept),) = _find(store, [delivery], webhook, state)
    last = attempts[-1]
    request = preview_of(kept.delivery, webhooks) if kept else None
    whole = {
        "webhook": last.webhook,
        "deliveryId": last.delivery_id,
        "event": kept.delivery.event.id if kept else last.event,
        "index": last.source,
        "state": _state(last, kept),
        "again": bool(kept and kept.delivery.again),
        "attempts": [_row(attempt) for attempt in attempts],
        "document": kept.delivery.event.fields() if kept else None,
    }
    if output:
        print_json(whole | {"request": asdict(request) if request else None})
    else:
        click.echo(describe(whole, request))


@deliveries.command()
@state_option
@click.argument("chosen", metavar="ID...", nargs=-1, required=True)
@click.option("--webhook", help="The webhook whose deliveries they are.")
@yes_option
def redeliver(state: StorePlace, chosen: tuple[str, ...], webhook: str | None, *, yes: bool) -> None:
    """Send pending deliveries and dead letters again, at once and with the same id.

    What was delivered cannot be sent again from here, since its event is not kept. It asks first. A running agent takes
    them up within 2 s.
    """
    with beside(state) as store:
        check_webhook(store, webhook, state)
        found = [_redeliverable(attempts, kept) for attempts, kept in _find(store, chosen, webhook, state)]
        many = "1 delivery" if len(found) == 1 else f"{len(found)} deliveries"
        confirm(f"send {many} again? {MAY_COME_TWICE}", ask, yes=yes)
        dead = [kept.delivery.seq for kept in found if kept.died_at is not None]
        store.replay(dead)
        store.hasten([kept.delivery.seq for kept in found if kept.died_at is None])
        click.echo(f"{many} {'is' if len(found) == 1 else 'are'} due at once")
        for name in dict.fromkeys(kept.delivery.webhook for kept in found):
            _report_pause(store, name)


def _report_pause(store: Store, webhook: str) -> None:
    """Say on stderr where a receiver's pause still holds a webhook back."""
    receiver, now = store.receivers().get(webhook), time.time()
    if receiver and receiver.held_until > now:
        what = "is parked" if receiver.parked else "rests"
        wait = spell_seconds(receiver.held_until - now)
        click.echo(f"{webhook} {what}, for up to {wait} more: {receiver.detail}", err=True)


def _find(
    store: Store, chosen: Sequence[str], webhook: str | None, state: StorePlace
) -> list[tuple[list[LoggedAttempt], KeptDelivery | None]]:
    """Return each delivery's attempts, and what is kept of it. Raises SewError before anything is changed."""
    log = store.attempts(webhook)
    found = []
    for beginning in dict.fromkeys(chosen):
        attempts = [attempt for attempt in log if attempt.delivery_id.startswith(beginning.lower())]
        ids = dict.fromkeys(attempt.delivery_id for attempt in attempts)
        if not ids:
            hint = "`deliveries list` names those that are there, the newest of each webhook"
            raise SewError(f"the log of deliveries in {state} has no {beginning!r}: {hint}")
        if len(ids) > 1:
            raise SewError(f"{beginning!r} stands for {len(ids)} deliveries: write more of the id")
        kept = store.kept_deliveries(number=attempts[-1].delivery)
        found.append((attempts, kept[0] if kept else None))
    return found


def _redeliverable(attempts: Sequence[LoggedAttempt], kept: KeptDelivery | None) -> KeptDelivery:
    if kept:
        return kept
    last = attempts[-1]
    what = "was delivered" if last.outcome == _DELIVERED else "was given up"
    raise SewError(
        f"{last.delivery_id[:SHORT_ID]} (event {last.event}) {what}, and its event is not kept: only what is pending, "
        "or a dead letter, can be sent again from the store; `replay --again` sends a window of events once more"
    )


def _state(last: LoggedAttempt, kept: KeptDelivery | None) -> str:
    if kept:
        state = DeliveryState.PENDING if kept.died_at is None else DeliveryState.DEAD
    else:
        state = DeliveryState.DELIVERED if last.outcome == _DELIVERED else DeliveryState.DROPPED
    return str(state.value)


def _print(rows: Sequence[Row], output: str | None, *, first: bool, webhooks: bool, watch: bool) -> None:
    if output and watch:
        for row in rows:
            print_json(row)
    elif output:
        print_json(rows)
    elif rows:
        text = table(rows, webhooks=webhooks)
        click.echo(text if first else text.partition("\n")[2])
    elif not watch:
        click.echo("no attempts in the log")


def _row(attempt: LoggedAttempt) -> dict[str, Any]:
    return {
        "webhook": attempt.webhook,
        "deliveryId": attempt.delivery_id,
        "event": attempt.event,
        "index": attempt.source,
        "eventTime": None if attempt.time is None else rfc3339(attempt.time),
        "type": attempt.type,
        "severity": attempt.severity,
        "attempt": attempt.attempt,
        "at": rfc3339(attempt.at, "milliseconds"),
        "milliseconds": attempt.milliseconds,
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "detail": attempt.detail,
        "status": attempt.status,
        "sentTo": attempt.sent_to,
        "sentBytes": attempt.sent_bytes,
        "receipt": attempt.receipt,
        "digest": attempt.digest,
        "nextTry": None if attempt.next_try is None else rfc3339(attempt.next_try),
        "again": attempt.again,
    }
