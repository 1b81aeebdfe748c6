"""`sew-agent backlog`: see a flood, and end it."""

import time
from typing import Any

import click

from kubectl_sew.columns import table_of
from kubectl_sew.confirmation import confirm
from kubectl_sew.terminal import json_option
from kubectl_sew.text import spell_seconds
from sew_agent.cli.options import (
    Duration,
    ask,
    beside,
    by_option,
    check_webhook,
    print_json,
    record,
    state_option,
    yes_option,
)
from sew_agent.store.opening import StorePlace
from sew_agent.store.records import DropReason, owners

COLUMNS = {"WEBHOOK": "webhook", "WAITING": "pending", "OLDEST": "oldest", "DEAD": "dead", "BYTES": "bytes"}


@click.group()
def backlog() -> None:
    """List what waits to be sent, or drop it.

    Works while an agent runs, too.
    """


@backlog.command("list")
@state_option
@click.option("--webhook", help="Only this webhook.")
@json_option
def list_command(state: StorePlace, webhook: str | None, output: str | None) -> None:
    """List how much waits for each webhook, and for how long.

    Dead letters are counted too: DEAD. BYTES is what both fill of the store.
    """
    with beside(state) as store:
        check_webhook(store, webhook, state)
        counters = [row for row in store.counters() if webhook in (None, row.webhook)]
        members = store.members()
    now, owned_by = time.time(), owners(members)
    rows: list[dict[str, Any]] = [
        {
            "webhook": row.webhook,
            "pending": row.pending,
            "oldestWaitingSeconds": None if row.oldest_pending is None else round(now - row.oldest_pending),
            "dead": row.dead,
            "bytes": row.bytes_used,
            "owner": owned_by.get(row.webhook),
        }
        for row in counters
    ]
    if output:
        print_json(rows)
    else:
        columns = COLUMNS | {"OWNER": "owner"} if members else COLUMNS
        shown = [{**row, "oldest": _age(row["oldestWaitingSeconds"])} for row in rows]
        click.echo(table_of(shown, columns) if rows else "nothing waits")


def _age(seconds: float | None) -> str | None:
    return None if seconds is None else spell_seconds(seconds)


@backlog.command()
@state_option
@click.option("--webhook", required=True, help="The webhook whose backlog to drop.")
@click.option("--older-than", type=Duration(), help="Only events read longer ago, e.g. 1h.")
@yes_option
@by_option
def drop(state: StorePlace, webhook: str, older_than: float | None, *, yes: bool, by: str) -> None:
    """Give up what waits: it is never sent, and counts as dropped. It asks first, and leaves a trace."""
    now = time.time()
    before = None if older_than is None else now - older_than
    with beside(state) as store:
        check_webhook(store, webhook, state)
        waiting = store.pending_counts().get(webhook, 0)
        some = "those old enough " if older_than else ""
        confirm(f"{waiting} wait for {webhook}: give {some or 'them '}up? They are never sent", ask, yes=yes)
        dropped = store.drop(webhook, DropReason.BACKLOG_DROPPED, older_than=before)
        record(store, DropReason.BACKLOG_DROPPED, webhook, dropped, by)
    verb = "was" if dropped == 1 else "were"
    click.echo(f"{dropped} of the deliveries waiting for {webhook} {verb} dropped")
