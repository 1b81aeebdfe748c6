"""`kubectl sew status`."""

import re
import time

import click

from kubectl_sew.cli.cluster_options import api_group_option, name_argument, secrets_namespace_option, webhooks
from kubectl_sew.cli.output import echo, print_error
from kubectl_sew.cli.status_text import as_object, for_people
from kubectl_sew.cli.waiting import TIMED_OUT, timeout_option, until
from kubectl_sew.cluster.webhook_details import WebhookDetails, read_details
from kubectl_sew.resource import Webhook
from kubectl_sew.terminal import to_json


@click.command
@name_argument
@click.option("-w", "--watch", is_flag=True, help="Print it again, with the time, whenever it changes.")
@click.option("--wait", is_flag=True, help="Wait until Healthy is True for the resource as it is now.")
@timeout_option("How long --wait waits; then the exit code is 124.")
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), help="Print an object.")
@api_group_option
@secrets_namespace_option
@click.pass_context
def status(  # noqa: PLR0913 - one for each flag
    ctx: click.Context,
    name: str,
    *,
    watch: bool,
    wait: bool,
    timeout: float,
    output: str | None,
    api_group: str | None,
    secrets_namespace: str,
) -> int:
    """Show all that is known of a webhook, and what to do.

    What only the running agent knows is asked in its pod. If the pod cannot be asked, it says `unknown` and why.

    \b
    Examples:
      kubectl sew status prod-slack
      kubectl sew status prod-slack --wait --timeout 2m
    """
    cluster = webhooks(ctx, api_group)
    screen = _Screen(output)

    def read() -> bool | None:
        if wait and not watch:
            return Webhook.from_object(cluster.one(name)).healthy or None
        details = read_details(cluster, name, secrets_namespace, time.time)
        screen.show(details)
        return True if not watch else (wait and details.webhook.healthy) or None

    reached = until(read, timeout if wait else None)
    if wait and not watch:
        screen.show(read_details(cluster, name, secrets_namespace, time.time))
    if not reached:
        print_error(f"{name} did not become healthy within {timeout:g} s")
        return TIMED_OUT
    return 0


_MOVES = re.compile(r"\((in )?[0-9]+[dhms]([0-9]+m)?( ago)?\)|silent for \S+|read to \S+|the oldest for [^;,\n]+")
"""Parts of the text that change all the time, and are no news."""


class _Screen:
    """The last text that was printed, so that only a change is printed again."""

    def __init__(self, output: str | None) -> None:
        self._output = output
        self._last = ""

    def show(self, details: WebhookDetails) -> None:
        text = _as_text(details, self._output)
        seen = text if self._output else _MOVES.sub("", text)
        if seen != self._last:
            echo(f"\n{time.strftime('%H:%M:%S')}\n{text}" if self._last and not self._output else text)
        self._last = seen


def _as_text(details: WebhookDetails, output: str | None) -> str:
    if output is None:
        return for_people(details)
    obj = as_object(details)
    if output == "json":
        return to_json(obj)
    from kubectl_sew.resource.writing import to_yaml  # noqa: PLC0415 - only for this format

    return f"---\n{to_yaml(obj)}".rstrip()
