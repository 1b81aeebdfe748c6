"""`sew-agent backlog`: see a flood, and end it."""

import time
from pathlib import Path

import click

from agent.cli.options import Duration, beside, check_webhook, output_option, print_json, state_option
from agent.status import table
from agent.store.base import DropReason

COLUMNS = {"WEBHOOK": "webhook", "WAITING": "pending", "OLDEST (SECONDS)": "oldestWaitingSeconds", "BYTES": "bytes"}


@click.group()
def backlog() -> None:
    """What waits to be sent: list it, or drop it, also beside a running agent."""


@backlog.command("list")
@state_option
@click.option("--webhook", help="Only this webhook.")
@output_option
def list_command(state: Path, webhook: str | None, output: str | None) -> None:
    """How much waits for each webhook, and for how long."""
    with beside(state) as store:
        check_webhook(store, webhook, state)
        books = [each for each in store.books() if webhook in (None, each.webhook)]
    now = time.time()
    rows = [
        {
            "webhook": each.webhook,
            "pending": each.pending,
            "oldestWaitingSeconds": None if each.oldest_pending is None else round(now - each.oldest_pending),
            "bytes": each.bytes_used,
        }
        for each in books
    ]
    if output:
        print_json(rows)
    else:
        click.echo(table(rows, COLUMNS) if rows else "nothing waits")


@backlog.command()
@state_option
@click.option("--webhook", required=True, help="Whose backlog.")
@click.option("--older-than", type=Duration(), help="Only what was read longer ago, e.g. 1h.")
def drop(state: Path, webhook: str, older_than: float | None) -> None:
    """Give up what waits: it is never sent, and counts as dropped."""
    before = None if older_than is None else time.time() - older_than
    with beside(state) as store:
        check_webhook(store, webhook, state)
        dropped = store.drop(webhook, DropReason.BACKLOG_DROPPED, older_than=before)
    click.echo(f"{dropped} of the deliveries waiting for {webhook} were dropped")
