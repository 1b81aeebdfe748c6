"""`kubectl sew replay`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from kubectl_sew.cli import output as printing
from kubectl_sew.cli.agent_commands import ask_agent
from kubectl_sew.cli.cluster_options import kubectl, name_argument, secrets_namespace_option
from kubectl_sew.cli.waiting import TIMED_OUT, timeout_option, until
from kubectl_sew.cluster.agent import AgentError, ask, find_holder
from kubectl_sew.confirmation import confirm, who

_DEAR = "Where it is one of Jira, an event that was delivered before gets a second issue."


@click.command
@name_argument
@click.argument("action", type=click.Choice(["start", "status", "stop"]), default="start")
@click.option("--since", metavar="TIME", help="Beginning of the window: 6h ago, or a time.")
@click.option(
    "--until", "before", metavar="TIME", help="End of the window, before which the events are. [default: now]"
)
@click.option("--query", help="Only events that this query selects, beside the webhook's own.")
@click.option("--again", is_flag=True, help="Send what was delivered, too: its receiver gets it twice.")
@click.option("--dry-run", is_flag=True, help="Only count: send nothing.")
@click.option("--yes", is_flag=True, help="Do not count and ask first.")
@timeout_option("How long to wait for the count; then the exit code is 124.")
@click.option("-o", "--output", type=click.Choice(["json"]), help="With status: print JSON.")
@secrets_namespace_option
@click.pass_context
def replay(  # noqa: PLR0913 - one for each flag
    ctx: click.Context,
    name: str,
    action: str,
    *,
    since: str | None,
    before: str | None,
    query: str | None,
    again: bool,
    dry_run: bool,
    yes: bool,
    timeout: float,
    output: str | None,
    secrets_namespace: str,
) -> int:
    """Send the events of a past window to a webhook, beside what comes now.

    It counts first, and asks. The ids are those of live deliveries, and what was delivered before is left out, unless
    `--again` asks for it. `status` says how far a replay is, and `stop` ends it. The running agent answers, asked in
    its pod.

    \b
    Examples:
      kubectl sew replay prod-slack --since 6h
      kubectl sew replay prod-slack --since 2026-11-28T22:00:00Z --until 8h --query 'severity >= 80' --dry-run
      kubectl sew replay prod-slack status
    """
    window = [*_given("--since", since), *_given("--until", before), *_given("--query", query)]
    window += ["--again"] if again else []
    _check_usage(action, window, since, dry_run=dry_run, yes=yes, output=output)
    whose = ["--webhook", name]
    if action != "start":
        ask_agent(ctx, secrets_namespace, "replay", action, *whose, *_given("-o", output))
        return 0
    start = ["replay", "start", *whose, *window, "--by", who()]
    if not yes:
        connected = kubectl(ctx)
        holder = find_holder(connected, secrets_namespace)

        def said(*command: str) -> str:
            return ask(connected, holder, *command)

        said(*start, "--ask")
        with _withdrawing(lambda: said("replay", "stop", *whose, "--asked")):
            count = until(lambda: _count(said("replay", "status", *whose, "-o", "json")), timeout)
            if count is None:
                printing.print_error(f"the agent has not counted within {timeout:g} s: a longer --timeout, or --yes")
                return TIMED_OUT
            printing.echo(f"{name}: {count['counted']}")
            if dry_run or not count["toSend"]:
                return 0
            confirm(f"send {count['toSend']:,} to {name}? {_DEAR}", printing.confirm, yes=False)
    ask_agent(ctx, secrets_namespace, *start, "--yes")
    return 0


def _given(flag: str, value: str | None) -> list[str]:
    return [flag, value] if value else []


def _check_usage(
    action: str, window: list[str], since: str | None, *, dry_run: bool, yes: bool, output: str | None
) -> None:
    if action == "start" and since is None:
        raise click.UsageError("say how far back: --since, e.g. --since 6h")
    if action != "start" and (window or dry_run or yes):
        raise click.UsageError(f"{action} takes no window: leave its flags out")
    if output and action != "status":
        raise click.UsageError(f"{action} prints a line: leave --output out")
    if dry_run and yes:
        raise click.UsageError("--dry-run sends nothing: leave --yes out")


@contextmanager
def _withdrawing(stop: Any) -> Iterator[None]:
    """Withdraw what was only counted: what is confirmed is asked for anew."""
    try:
        yield
    finally:
        stop()


def _count(text: str) -> Mapping[str, Any] | None:
    """Return the agent's count; None while it counts. Raises AgentError."""
    rows = json.loads(text)
    row: Mapping[str, Any] = rows[0] if rows else {}
    if row.get("why"):
        raise AgentError(f"the events cannot be counted: {row['why']}")
    return row if row.get("phase") == "counted" else None
