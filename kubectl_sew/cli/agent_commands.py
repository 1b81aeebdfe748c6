"""Commands that the agent answers itself, in its pod."""

import click

from kubectl_sew.cli.cluster_options import kubectl
from kubectl_sew.cli.output import pass_through
from kubectl_sew.cluster.agent import ask, find_holder


def ask_agent(ctx: click.Context, secrets_namespace: str, *command: str) -> None:
    """Prints what `sew-agent …` says there. Raises AgentError where no agent can be asked."""
    connected = kubectl(ctx)
    pass_through(ask(connected, find_holder(connected, secrets_namespace), *command))
