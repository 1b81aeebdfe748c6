"""`kubectl sew dead-letters`."""

import click

from kubectl_sew.cli import output as printing
from kubectl_sew.cli.agent_commands import ask_agent
from kubectl_sew.cli.cluster_options import name_argument, secrets_namespace_option
from kubectl_sew.confirmation import confirm, who


@click.command("dead-letters")
@name_argument
@click.argument("action", type=click.Choice(["list", "show", "replay", "purge"]), default="list")
@click.argument("numbers", type=click.IntRange(min=0), nargs=-1)
@click.option("--all", "everything", is_flag=True, help="With purge: all dead letters of the webhook.")
@click.option("--yes", is_flag=True, help="With purge: do not ask.")
@click.option("-o", "--output", type=click.Choice(["json"]), help="With list and show: print JSON.")
@secrets_namespace_option
@click.pass_context
def dead_letters(  # noqa: PLR0913 - one for each flag
    ctx: click.Context,
    name: str,
    action: str,
    numbers: tuple[int, ...],
    *,
    everything: bool,
    yes: bool,
    output: str | None,
    secrets_namespace: str,
) -> None:
    """List, show, replay or purge what could not be delivered.

    `replay` sends dead letters again, with the same id: the given numbers, or all of the webhook. `purge` gives up the
    given numbers, or with --all all of the webhook: it asks first, and is recorded in `status`. The running agent
    answers, asked in its pod.

    \b
    Examples:
      kubectl sew dead-letters prod-slack
      kubectl sew dead-letters prod-slack show 17
      kubectl sew dead-letters prod-slack replay 17 18
    """
    arguments = [str(number) for number in numbers]
    if action == "show" and len(numbers) != 1:
        raise click.UsageError("show needs the number of one dead letter")
    if action == "list" and numbers:
        raise click.UsageError("list shows all of them: leave the numbers out, or use show")
    if output and action not in ("list", "show"):
        raise click.UsageError(f"{action} prints one line: leave --output out")
    if (everything or yes) and action != "purge":
        raise click.UsageError(f"--all and --yes are for purge: leave them out with {action}")
    if action == "purge":
        arguments += _sure(name, numbers, everything=everything, yes=yes)
    whose = [] if action == "show" else ["--webhook", name]
    ask_agent(ctx, secrets_namespace, "dead-letters", action, *arguments, *whose, *(["-o", output] if output else []))


def _sure(name: str, numbers: tuple[int, ...], *, everything: bool, yes: bool) -> list[str]:
    """Return the further arguments for the agent, after asking the person where that is due."""
    if not (numbers or everything):
        raise click.UsageError("purge needs the numbers of dead letters, or --all")
    if numbers and everything:
        raise click.UsageError("numbers and --all cannot be given together")
    which = f"{len(set(numbers))} of the" if numbers else "all"
    confirm(f"give up {which} dead letters of {name}? What is given up is never sent", printing.confirm, yes=yes)
    return ["--yes", "--by", who()]
