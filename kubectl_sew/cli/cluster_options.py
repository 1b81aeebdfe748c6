"""Access to a cluster for commands: kubectl with the person's connection flags, and the options that they share."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from kubectl_sew.cli.connection import completing, connection
from kubectl_sew.cli.output import to_terminal
from kubectl_sew.cluster.webhooks import Webhooks, connect
from kubectl_sew.kubectl import Kubectl
from kubectl_sew.resource import API_GROUPS, KIND, PLURAL, SECRETS_NAMESPACE, Webhook

Command = TypeVar("Command", bound=Callable[..., Any])

_TYPE = re.compile(rf"(sew|{PLURAL[:-1]}s?(\.v\d\w*)?(\.({'|'.join(map(re.escape, API_GROUPS))})?)?)", re.IGNORECASE)
"""The name of our kind in kubectl."""


def kubectl(ctx: click.Context) -> Kubectl:
    return Kubectl(connection(ctx).flags, report=to_terminal())


def webhooks(ctx: click.Context, api_group: str | None) -> Webhooks:
    """Return the cluster's webhooks, once the group is found that serves them."""
    return connect(kubectl(ctx), api_group or "")


def name_argument(command: Command) -> Command:
    """The webhook's name, completed from the cluster; as kubectl prints it, with the type before it, too."""
    return click.argument("name", callback=_name, shell_complete=_complete_names)(command)


def new_name_argument(command: Command) -> Command:
    """The name of a webhook that is not there yet, in the same forms; None where it is left out."""
    return click.argument(
        "name", required=False, callback=lambda ctx, param, value: value and _name(ctx, param, value)
    )(command)


def names_argument(command: Command) -> Command:
    """Add the argument `names`: one or more names of webhooks, each once."""
    return click.argument(
        "names", metavar="NAME...", nargs=-1, required=True, callback=_names, shell_complete=_complete_names
    )(command)


def some_names_argument(command: Command) -> Command:
    """Add the argument `names`: names of webhooks, each once; none where another option says which."""
    return click.argument("names", metavar="[NAME...]", nargs=-1, callback=_names, shell_complete=_complete_names)(
        command
    )


def _names(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_name(ctx, param, word) for word in value))


def _name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """The name of `NAME`, `sew/NAME` or `securityeventwebhook.projectcalico.org/NAME`."""
    kind, slash, name = value.rpartition("/")
    if slash and not (name and _TYPE.fullmatch(kind)):
        raise click.BadParameter(f"`{value}` is not the name of a {KIND}: write NAME", ctx, param)
    return name


def _complete_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - click's signature
    """A shell that waits is worse than one that completes nothing. Raises SewError without a cluster."""
    quick = Kubectl((*connection(ctx).flags, "--request-timeout=3s"))
    listed = [Webhook.from_object(obj) for obj in connect(quick, ctx.params.get("api_group") or "").all()]
    fitting = [webhook for webhook in listed if webhook.name.startswith(incomplete)]
    return [CompletionItem(name.name, help=f"{name.consumer}, {name.effective_state.value}") for name in fitting]


def api_group_option(command: Command) -> Command:
    text = "The API group of the webhooks, instead of the one that discovery finds."
    return click.option("--api-group", type=click.Choice(API_GROUPS), help=text)(command)


def secrets_namespace_option(command: Command) -> Command:
    return click.option(
        "--secrets-namespace",
        metavar="NAME",
        default=SECRETS_NAMESPACE,
        shell_complete=completing("--namespace"),
        show_default=True,
        help="The namespace of the Secrets and ConfigMaps, and of the agent's Lease.",
    )(command)


def dry_run_option(command: Command) -> Command:
    return click.option(
        "--dry-run",
        type=click.Choice(["none", "client", "server"]),
        default="none",
        help="Change nothing: `client` only says what would be done, `server` has the API server check it.",
    )(command)


DRY_RUN_NOTES = {"none": "", "client": " (dry run)", "server": " (server dry run)"}
"""The text that kubectl adds to a message."""
