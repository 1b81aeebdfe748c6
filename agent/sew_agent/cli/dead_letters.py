"""`sew-agent dead-letters`: read, replay or purge what could not be delivered."""

import time
from collections.abc import Sequence
from typing import Any

import click

from kubectl_sew.columns import table_of
from kubectl_sew.confirmation import confirm
from kubectl_sew.errors import SewError
from kubectl_sew.json_text import line
from kubectl_sew.terminal import json_option
from kubectl_sew.text import plural, rfc3339
from sew_agent.cli.options import (
    Command,
    ask,
    beside,
    by_option,
    check_webhook,
    print_json,
    record,
    state_option,
    yes_option,
)
from sew_agent.store.contract import Store
from sew_agent.store.opening import StorePlace
from sew_agent.store.records import DeadLetter, DropReason, owners
from sew_agent.webhooks.plan import FORGOTTEN

COLUMNS = {
    "NUMBER": "number",
    "WEBHOOK": "webhook",
    "EVENT": "event",
    "DIED": "diedAt",
    "ATTEMPTS": "attempts",
    "REASON": "reason",
    "DETAIL": "detail",
}


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show, replay or purge what could not be delivered.

    Works while an agent runs, too.
    """


def _choice(command: Command) -> Command:
    """Take the numbers of some dead letters, or a webhook's, or all."""
    options = (
        click.argument("numbers", type=int, nargs=-1),
        click.option("--webhook", help="All dead letters of this webhook."),
        click.option("--all", "everything", is_flag=True, help="All dead letters."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dead_letters.command("list")
@state_option
@click.option("--webhook", help="Only dead letters of this webhook.")
@json_option
def list_command(state: StorePlace, webhook: str | None, output: str | None) -> None:
    """List dead letters, oldest first."""
    with beside(state) as store:
        check_webhook(store, webhook, state)
        members = store.members()
        owned_by = owners(members)
        rows = [_row(letter) | {"owner": owned_by.get(letter.webhook)} for letter in store.dead_letters(webhook)]
    if output:
        print_json(rows)
    else:
        columns = COLUMNS | {"OWNER": "owner"} if members else COLUMNS
        click.echo(table_of(rows, columns) if rows else "no dead letters")


@dead_letters.command()
@state_option
@click.argument("number", type=int)
@json_option
def show(state: StorePlace, number: int, output: str | None) -> None:
    """Show one dead letter with its event."""
    with beside(state) as store:
        letter = next((letter for letter in store.dead_letters() if letter.number == number), None)
    if letter is None:
        raise _missing([number], state)
    row = _row(letter)
    if output:
        print_json(row | {"document": letter.event.fields()})
        return
    for heading, key in COLUMNS.items():
        click.echo(f"{heading.lower()}: {row[key]}")
    click.echo(f"delivery id: {letter.delivery_id}")
    print_json(letter.event.fields())


@dead_letters.command()
@state_option
@_choice
def replay(state: StorePlace, numbers: tuple[int, ...], webhook: str | None, everything: bool) -> None:
    """Send dead letters again, with the same id.

    A running agent takes them up within 2 s.
    """
    chosen = _chosen(numbers, webhook, everything)
    with beside(state) as store:
        check_webhook(store, webhook, state)
        _check_numbers(store, numbers, webhook, state)
        click.echo(f"{_count(store.replay(chosen, webhook))} replayed")
        for name in _gone(store):
            click.echo(f"{name} is not there any more: what waits for it is sent when it is created again", err=True)


@dead_letters.command()
@state_option
@_choice
@yes_option
@by_option
def purge(
    state: StorePlace, numbers: tuple[int, ...], webhook: str | None, everything: bool, *, yes: bool, by: str
) -> None:
    """Give dead letters up: they count as dropped.

    It asks first, and leaves a trace.
    """
    chosen = _chosen(numbers, webhook, everything)
    with beside(state) as store:
        check_webhook(store, webhook, state)
        _check_numbers(store, numbers, webhook, state)
        before = {row.webhook: row.dead for row in store.counters()}
        many = len(set(numbers)) or sum(dead for name, dead in before.items() if webhook in (None, name))
        whose = f" of {webhook}" if webhook else ""
        confirm(f"give up {_count(many)}{whose}? What is given up is never sent", ask, yes=yes)
        purged = store.purge(chosen, webhook)
        for row in store.counters():
            record(store, DropReason.PURGED, row.webhook, before.get(row.webhook, 0) - row.dead, by)
        click.echo(f"{_count(purged)} purged")


def _chosen(numbers: Sequence[int], webhook: str | None, everything: bool) -> Sequence[int] | None:
    """Return the numbers; None for all (of a webhook)."""
    if not (numbers or webhook or everything):
        raise click.UsageError("name dead letters by number, or give --webhook NAME or --all")
    if numbers and everything:
        raise click.UsageError("numbers and --all cannot be given together")
    return numbers or None


def _check_numbers(store: Store, numbers: Sequence[int], webhook: str | None, state: StorePlace) -> None:
    """Check that all numbers exist, before anything is changed. Raises SewError."""
    there = {letter.number for letter in store.dead_letters(webhook)} if numbers else set()
    if missing := [number for number in numbers if number not in there]:
        raise _missing(missing, state)


def _missing(numbers: Sequence[int], state: StorePlace) -> SewError:
    named = ", ".join(map(str, dict.fromkeys(numbers)))
    return SewError(f"there is no dead letter {named} in {state}: `dead-letters list` names those that are there")


def _gone(store: Store) -> Sequence[str]:
    waiting = store.pending_counts()
    return [name for name, record in store.webhook_records().items() if record.state == FORGOTTEN and name in waiting]


def _count(number: int) -> str:
    return f"{number} {plural(number, 'dead letter')}"


def _row(letter: DeadLetter) -> dict[str, Any]:
    return {
        "number": letter.number,
        "webhook": letter.webhook,
        "deliveryId": letter.delivery_id,
        "event": line(letter.event.id, 80),
        "diedAt": rfc3339(letter.died_at),
        "ageSeconds": round(time.time() - letter.died_at),
        "attempts": letter.attempts,
        "reason": letter.reason,
        "detail": letter.detail,
    }
