"""`kubectl sew enable`, `disable` and `debug`: the effective state, and nothing else, is changed."""

import click

from kubectl_sew.cli.cluster_options import (
    DRY_RUN_NOTES,
    api_group_option,
    dry_run_option,
    names_argument,
    secrets_namespace_option,
    webhooks,
)
from kubectl_sew.cli.output import echo, print_error
from kubectl_sew.cluster.agent import is_beside_calico
from kubectl_sew.cluster.webhooks import Object, Webhooks
from kubectl_sew.kubectl import KubectlError
from kubectl_sew.resource import State, Webhook
from kubectl_sew.resource.handover import Patch, state_patch


def _command(name: str, state: State, done: str, text: str) -> click.Command:
    @click.command(name, help=text)
    @names_argument
    @dry_run_option
    @api_group_option
    @secrets_namespace_option
    @click.pass_context
    def command(
        ctx: click.Context, names: tuple[str, ...], dry_run: str, api_group: str | None, secrets_namespace: str
    ) -> int:
        cluster = webhooks(ctx, api_group)
        beside_calico = is_beside_calico(cluster.kubectl, secrets_namespace)
        failed = 0
        for webhook in names:  # as with kubectl, one that fails keeps none of the others from it
            try:
                before = change_state(cluster, webhook, state, dry_run)
            except KubectlError as error:
                print_error(error.render())
                failed = error.exit_code
            else:
                note = " (no change)" if before.effective_state is state else ""
                whose = _deliverer(before, state, beside_calico=beside_calico)
                echo(f"{cluster.shown(webhook)} {done}{note}{DRY_RUN_NOTES[dry_run]}{whose}")
        return failed

    return command


def change_state(cluster: Webhooks, name: str, state: State, dry_run: str = "none") -> Webhook:
    """Set the state; return the webhook as it was before. Raises KubectlError."""
    seen: list[Webhook] = []

    def patch(obj: Object) -> Patch:
        seen.append(Webhook.from_object(obj))
        return state_patch(seen[-1], state)

    cluster.change(name, patch, dry_run=dry_run)
    return seen[-1]


def _deliverer(webhook: Webhook, state: State, *, beside_calico: bool | None) -> str:
    """Say who delivers, where there are two who might."""
    if state is State.DISABLED or not (beside_calico or webhook.is_taken_over):
        return ""
    ours = webhook.is_taken_over or not beside_calico
    return f", {'delivered' if state is not State.DEBUG else 'logged'} by " + (
        "sew-agent" if ours else f"Calico's processor: `kubectl sew takeover {webhook.name}` has the agent do it"
    )


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
