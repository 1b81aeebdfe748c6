"""The place of the agent: the options that `install` and `uninstall` share, and their reading."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from kubectl_sew.cli.cluster_options import secrets_namespace_option
from kubectl_sew.cli.connection import completing, connection
from kubectl_sew.cli.output import to_terminal
from kubectl_sew.install import target
from kubectl_sew.install.manifests import Document
from kubectl_sew.install.plan import NAMESPACE
from kubectl_sew.kubectl import Kubectl

Command = TypeVar("Command", bound=Callable[..., Any])

_NAMESPACE = "--namespace"


def placement_options(command: Command) -> Command:
    """`namespace` (None where none was given), `secrets_namespace`, and `host`, a Deployment's name or None."""
    for option in (_SIDECAR_OF, secrets_namespace_option, _NAMESPACE_OPTION):
        command = option(command)
    return command


def reach(ctx: click.Context, namespace: str | None) -> tuple[Kubectl, str | None]:
    """kubectl without the namespace, which is the agent's here; and that, also where it stood before the command."""
    given = connection(ctx)
    flags = tuple(flag for flag in given.flags if not flag.startswith(f"{_NAMESPACE}="))
    return Kubectl(flags, report=to_terminal()), namespace or given.value(_NAMESPACE)


def running(kubectl: Kubectl, namespace: str | None, host: str) -> Document:
    """The Deployment of `--sidecar-of`. Raises InstallError where there is none."""
    deployment = target.deployment(kubectl, namespace, host)
    if deployment is None:
        raise target.InstallError(f"there is no deployment/{host} in {where(namespace)}: --namespace says where it is")
    return deployment


def where(namespace: str | None) -> str:
    """The namespace of a sidecar's host, for people."""
    return f"the namespace {namespace}" if namespace else "the context's namespace"


def _deployment_name(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    kind, _, name = value.partition("/")
    if kind not in ("deployment", "deployments", "deploy", "deployment.apps") or not name:
        raise click.BadParameter(f"it must be deployment/NAME, but is `{value}`")
    return name


_NAMESPACE_OPTION = click.option(
    "-n",
    _NAMESPACE,
    metavar="NAME",
    shell_complete=completing(_NAMESPACE),
    help=f"The agent's namespace. [default: {NAMESPACE}; of a sidecar, the context's]",
)
_SIDECAR_OF = click.option(
    "--sidecar-of",
    "host",
    metavar="deployment/NAME",
    callback=_deployment_name,
    help="The Deployment to run the agent in, as a sidecar.",
)
