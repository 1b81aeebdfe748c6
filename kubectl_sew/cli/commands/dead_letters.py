"""`kubectl sew dead-letters`."""

import click

from kubectl_sew.cli.asking import ask_agent
from kubectl_sew.cli.reach import name_argument, secrets_namespace_option


@click.command("dead-letters")
@name_argument
@click.argument("action", type=click.Choice(["list", "show", "replay", "purge"]), default="list")
@click.argument("numbers", type=click.IntRange(min=0), nargs=-1)
@click.option("-o", "--output", type=click.Choice(["json"]), help="With list and show: print JSON.")
@secrets_namespace_option
@click.pass_context
def dead_letters(
    ctx: click.Context, name: str, action: str, numbers: tuple[int, ...], *, output: str | None, secrets_namespace: str
) -> None:
    """List, show, replay or purge what could not be delivered.

    `replay` sends again, with the same id, and `purge` gives up: those of the given numbers, else all of the webhook.
    It is the running agent that knows, so it is asked in its pod.

    \b
    Examples:
      kubectl sew dead-letters prod-slack
      kubectl sew dead-letters prod-slack show 17
      kubectl sew dead-letters prod-slack replay 17 18
    """
    arguments = [str(each) for each in numbers]
    if action == "show" and len(numbers) != 1:
        raise click.UsageError("show needs the number of one dead letter")
    if action == "list" and numbers:
        raise click.UsageError("list shows all of them: leave the numbers out, or use show")
    if output and action not in ("list", "show"):
        raise click.UsageError(f"{action} prints one line: leave --output out")
    whose = [] if action == "show" else ["--webhook", name]
    ask_agent(ctx, secrets_namespace, "dead-letters", action, *arguments, *whose, *(["-o", output] if output else []))
