"""`kubectl sew enable`, `disable` and `debug`: the state, and nothing else, is changed."""

import click

from kubectl_sew.cli.cluster_options import DRY_RUN_NOTES, api_group_option, dry_run_option, names_argument, webhooks
from kubectl_sew.cli.output import echo, print_error
from kubectl_sew.cluster.webhooks import Webhooks
from kubectl_sew.kubectl import KubectlError
from kubectl_sew.resource import State, Webhook


def _command(name: str, state: State, done: str, text: str) -> click.Command:
    @click.command(name, help=text)
    @names_argument
    @dry_run_option
    @api_group_option
    @click.pass_context
    def command(ctx: click.Context, names: tuple[str, ...], dry_run: str, api_group: str | None) -> int:
        cluster = webhooks(ctx, api_group)
        failed = 0
        for webhook in names:  # as with kubectl, one that fails keeps none of the others from it
            try:
                changed = _change(cluster, webhook, state, dry_run)
            except KubectlError as error:
                print_error(error.render())
                failed = error.exit_code
            else:
                note = "" if changed else " (no change)"
                echo(f"{cluster.shown(webhook)} {done}{note}{DRY_RUN_NOTES[dry_run]}")
        return failed

    return command


def _change(cluster: Webhooks, name: str, state: State, dry_run: str) -> bool:
    """Set the state; return whether it was another one."""
    before = Webhook.from_object(cluster.one(name)).state
    if before is not state and dry_run != "client":
        cluster.set_state(name, state, dry_run=dry_run == "server")
    return before is not state


enable = _command(
    "enable",
    State.ENABLED,
    "enabled",
    """Enable a webhook: its events are delivered.

    A webhook that was disabled begins with the events of this moment; what was queued before is delivered.""",
)
disable = _command(
    "disable",
    State.DISABLED,
    "disabled",
    """Stop a webhook: nothing is read or sent for it.

    What is queued stays queued, and is delivered once the webhook is enabled again.""",
)
debug = _command(
    "debug",
    State.DEBUG,
    "set to Debug",
    """Have the agent log a webhook's events instead of sending them.

    They are not sent later. `kubectl sew enable NAME` ends it.""",
)
