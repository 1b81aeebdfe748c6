"""`sew-agent replay`: send the events of a past window, and see how far that is."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import click

from kubectl_sew.confirmation import confirm
from kubectl_sew.errors import SewError
from kubectl_sew.json_text import line
from kubectl_sew.query import QueryError, parse
from kubectl_sew.terminal import json_option
from kubectl_sew.text import parse_duration, parse_rfc3339, rfc3339
from sew_agent.cli.options import (
    ask,
    beside,
    by_option,
    check_webhook,
    print_json,
    state_option,
    yes_option,
)
from sew_agent.ingest.replay import (
    Phase,
    Replay,
    ReplayProgress,
    ReplayRequest,
    as_object,
    counted,
    describe,
    last_row,
    progress_row,
    replays_in,
    request_row,
    rows_of,
    to_send,
)
from sew_agent.status.report import read_report
from sew_agent.store.contract import Store
from sew_agent.store.opening import StorePlace
from sew_agent.store.records import EnqueueBatch

_SILENT = 30.0
"""Seconds without a sign of the agent after which a count is given up."""
_LOOK_EVERY = 0.2


class WindowTime(click.ParamType[float]):
    """Moment in epoch seconds: a duration back from now, or a time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        with suppress(ValueError):
            return time.time() - parse_duration(value)
        moment = parse_rfc3339(value)
        if moment is None:
            self.fail(f"{value!r}: write how long ago, such as 6h, or a time such as 2026-11-29T06:00:00Z", param, ctx)
        return moment


@click.group()
def replay() -> None:
    """Send the events of a past window to a webhook, beside what comes now.

    Works while an agent runs, which reads and sends them.
    """


@replay.command()
@state_option
@click.option("--webhook", required=True, help="The webhook that gets the events.")
@click.option("--since", type=WindowTime(), required=True, help="Beginning of the window: 6h ago, or a time.")
@click.option("--until", type=WindowTime(), help="End of the window, before which the events are. [default: now]")
@click.option("--query", default="", help="Only events that this query selects, beside the webhook's own.")
@click.option("--again", is_flag=True, help="Send what was delivered, too: its receiver gets it twice.")
@click.option("--dry-run", is_flag=True, help="Only count: send nothing.")
@click.option("--ask", "only_ask", is_flag=True, hidden=True)
@yes_option
@by_option
def start(  # noqa: PLR0913 - one for each flag
    state: StorePlace,
    webhook: str,
    since: float,
    until: float | None,
    query: str,
    *,
    again: bool,
    dry_run: bool,
    only_ask: bool,
    yes: bool,
    by: str,
) -> None:
    """Count the events of the window, ask, and have the agent send them.

    With --yes they are sent without counting and asking first.
    """
    now = time.time()
    request = ReplayRequest(uuid.uuid4().hex[:12], since, now if until is None else until, query, again, yes, by, now)
    _check(request)
    with beside(state) as store:
        check_webhook(store, webhook, state)
        _check_free(store, webhook)
        if (yes and not dry_run) or only_ask:
            _ask_for(store, webhook, request)
            click.echo(_begun(webhook))
            return
        _check_agent(store, state, now)
        with _asking(store, webhook, replace(request, confirmed=False)) as count:
            click.echo(f"{webhook}: {counted(request, count)}")
            if dry_run or not to_send(request, count):
                return
            confirm(f"send {to_send(request, count):,} to {webhook}?{_doubles(state, webhook, now)}", ask, yes=False)
            _check_free(store, webhook)
            _ask_for(store, webhook, replace(request, confirmed=True))
    click.echo(_begun(webhook))


def _begun(webhook: str) -> str:
    return f"{webhook}: asked for; the agent takes it up within seconds, and `replay status` says how far it is"


def _check(request: ReplayRequest) -> None:
    """Refuse a window that is none, and a query that is none. Raises SewError."""
    if request.until > request.asked_at + 1.0:
        raise SewError(
            f"--until is {rfc3339(request.until)}, which is still to come: what comes is delivered as it comes"
        )
    if request.since >= request.until:
        raise SewError(f"--since ({rfc3339(request.since)}) must be before --until ({rfc3339(request.until)})")
    if request.query:
        try:
            parse(request.query)
        except QueryError as error:
            raise SewError(f"--query: {error.errors[0].message}") from None


def _check_free(store: Store, webhook: str) -> None:
    """Refuse a second replay of a webhook. Raises SewError."""
    running = replays_in(store.positions()).get(webhook)
    if running and running.request.confirmed and not running.ended:
        raise SewError(f"{webhook} has a {describe(running)}: wait for its end, or `replay stop` it first")


def _check_agent(store: Store, state: StorePlace, now: float) -> None:
    """Refuse to count where no agent could. Raises SewError."""
    if not (read_report(state.folder, now) or store.members()):
        raise SewError(
            f"no agent runs on {state}, so nobody can count: start it, or add --yes, and its next run sends them"
        )


@contextmanager
def _asking(store: Store, webhook: str, request: ReplayRequest) -> Iterator[ReplayProgress]:
    """Have the agent count, and withdraw the request unless it is confirmed meanwhile. Raises SewError."""
    _ask_for(store, webhook, request)
    try:
        yield _wait_for_count(store, webhook, request)
    finally:
        kept = replays_in(store.positions()).get(webhook)
        if kept and kept.request.id == request.id and not kept.request.confirmed:
            _withdraw(store, webhook)


def _wait_for_count(store: Store, webhook: str, request: ReplayRequest) -> ReplayProgress:
    """Return the agent's count. Raises SewError."""
    last, until = None, time.monotonic() + _SILENT
    while time.monotonic() < until:
        kept = replays_in(store.positions()).get(webhook)
        if kept is None or kept.request.id != request.id:
            raise SewError(f"somebody else asked for a replay of {webhook} meanwhile, or stopped this one: ask anew")
        progress = kept.progress
        if progress and (progress.phase is Phase.FAILED or progress.why):
            raise SewError(f"the events for {webhook} cannot be counted: {progress.why}")
        if progress and progress.phase is Phase.COUNTED:
            return progress
        if progress != last:
            last, until = progress, time.monotonic() + _SILENT
        time.sleep(_LOOK_EVERY)
    raise SewError("the agent gives no sign of life: `sew-agent status` says what is wrong; nothing was asked for")


def _doubles(state: StorePlace, webhook: str, now: float) -> str:
    """Return what a second delivery does where that is dear."""
    report = read_report(state.folder, now)
    known = report.webhooks.get(webhook) if report else None
    return (
        " Jira makes a new issue of each, of one that was delivered before, too."
        if known and known.consumer == "Jira"
        else ""
    )


def _ask_for(store: Store, webhook: str, request: ReplayRequest) -> None:
    """Write the request; where it is only to be counted, the last replay is kept beside it."""
    rows = {request_row(webhook): replace(request, who=line(request.who, 80)).dump()}
    before = replays_in(store.positions()).get(webhook)
    if not request.confirmed and before and before.request.confirmed and before.ended:
        rows[last_row(webhook)] = before.dump()
    store.enqueue(EnqueueBatch((), rows, 0.0))


def _withdraw(store: Store, webhook: str) -> None:
    """Drop what was only counted: the last replay is there again."""
    store.drop_readers([request_row(webhook), progress_row(webhook)])


@replay.command()
@state_option
@click.option("--webhook", help="Only this webhook.")
@json_option
def status(state: StorePlace, webhook: str | None, output: str | None) -> None:
    """Show the replays that run, and the last one of each webhook."""
    with beside(state) as store:
        check_webhook(store, webhook, state)
        replays = {name: one for name, one in _replays(store).items() if webhook in (None, name)}
    if output:
        print_json([{"webhook": name, **as_object(one)} for name, one in replays.items()])
    else:
        click.echo("\n".join(f"{name}: {describe(one)}" for name, one in replays.items()) or "no replay")


def _replays(store: Store) -> dict[str, Replay]:
    return dict(sorted(replays_in(store.positions()).items()))


@replay.command()
@state_option
@click.option("--webhook", required=True, help="The webhook whose replay ends.")
@click.option("--asked", is_flag=True, hidden=True)
def stop(state: StorePlace, webhook: str, *, asked: bool) -> None:
    """End a replay. What it has made ready is sent; `backlog drop` gives that up, too."""
    with beside(state) as store:
        check_webhook(store, webhook, state)
        running = replays_in(store.positions()).get(webhook)
        if asked and (running is None or running.request.confirmed):
            return  # what was only counted is gone, and what another person confirmed goes on
        if running is None or (running.progress and running.progress.phase is Phase.DONE):
            raise SewError(f"{webhook} has no replay to stop")
        if running.request.confirmed:
            store.drop_readers(rows_of(webhook))
        else:
            _withdraw(store, webhook)
    click.echo(f"{webhook}: stopped the {describe(running)}")
