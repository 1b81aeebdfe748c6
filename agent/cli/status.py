"""`sew-agent status`."""

import time
from pathlib import Path

import click

from agent.cli.options import beside, output_option, print_json, state_option
from agent.report import read_report
from agent.status import for_people, status


@click.command("status")
@state_option
@output_option
def status_command(state: Path, output: str | None) -> None:
    """State, health, backlog and its age, last delivery and error, next retry: all without secrets."""
    now = time.time()
    with beside(state) as store:
        found = status(store, read_report(state, now), now)
    if output:
        print_json(found)
    else:
        click.echo(for_people(found))
