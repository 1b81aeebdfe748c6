"""`sew-agent status`."""

import time
from contextlib import nullcontext

import click

from kubectl_sew.terminal import json_option
from sew_agent.cli.options import beside, print_json, state_option
from sew_agent.status.report import read_report
from sew_agent.status.status import for_people, status
from sew_agent.store.opening import StorePlace


@click.command("status")
@state_option
@json_option
def status_command(state: StorePlace, output: str | None) -> None:
    """Show state, health, backlog and last error of each webhook.

    No secrets are shown.
    """
    now = time.time()
    report = read_report(state.folder, now)
    new = report is not None and report.standing_by and not state.exists()
    with nullcontext() if new else beside(state) as store:
        shown = status(store, report, now)
    if output:
        print_json(shown)
    else:
        click.echo(for_people(shown))
