"""`kubectl sew backlog`."""

import click

from kubectl_sew.cli import output as printing
from kubectl_sew.cli.agent_commands import ask_agent
from kubectl_sew.cli.cluster_options import name_argument, secrets_namespace_option
from kubectl_sew.confirmation import confirm, who
from kubectl_sew.terminal import json_option


@click.command
@name_argument
@click.option("--drop", is_flag=True, help="Give up what waits: it is never sent, and counts as dropped.")
@click.option("--older-than", metavar="TIME", help="With --drop: only events read longer ago, e.g. 1h.")
@click.option("--yes", is_flag=True, help="With --drop: do not ask.")
@json_option
@secrets_namespace_option
@click.pass_context
def backlog(  # noqa: PLR0913 - one for each flag
    ctx: click.Context,
    name: str,
    *,
    drop: bool,
    older_than: str | None,
    yes: bool,
    output: str | None,
    secrets_namespace: str,
) -> None:
    """Show what waits to be sent for a webhook, or drop it.

    The running agent answers, asked in its pod. Dropping asks first, and is recorded in `status`.

    \b
    Examples:
      kubectl sew backlog prod-slack
      kubectl sew backlog prod-slack --drop --older-than 1h
    """
    if older_than and not drop:
        raise click.UsageError("--older-than says what --drop drops: give both")
    if drop and output:
        raise click.UsageError("--drop prints one line: leave --output out")
    more = ["--older-than", older_than] if older_than else ["-o", output] if output else []
    if drop:
        confirm(f"give up what waits for {name}? It is never sent", printing.confirm, yes=yes)
        more += ["--yes", "--by", who()]
    ask_agent(ctx, secrets_namespace, "backlog", "drop" if drop else "list", "--webhook", name, *more)
