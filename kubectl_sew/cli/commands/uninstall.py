"""`kubectl sew uninstall`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from kubectl_sew.cli.install_options import placement_options, reach, where
from kubectl_sew.cli.output import echo, print_warning
from kubectl_sew.cli.waiting import until
from kubectl_sew.cluster.agent import AgentError, find_holder
from kubectl_sew.cluster.webhooks import connect
from kubectl_sew.install import Host, InstallPlan, removable, target, without_agent
from kubectl_sew.install.holders import refuse_another, refuse_helms
from kubectl_sew.install.manifests import Document
from kubectl_sew.install.plan import NAME, NAMESPACE
from kubectl_sew.kubectl import Kubectl, KubectlError
from kubectl_sew.resource import Webhook

_LONGEST_END = 60.0
"""Seconds: as a sidecar the agent ends after the containers of its host."""


@dataclass(frozen=True, slots=True)
class UninstallOptions:
    """The options as given; None where nothing was."""

    apply: bool
    namespace: str | None
    secrets_namespace: str
    host: str | None
    crd: bool
    data: bool


@click.command
@click.option("--apply", is_flag=True, help="Delete it on the server, instead of printing it.")
@placement_options
@click.option("--crd", is_flag=True, help="Also delete the CustomResourceDefinition, and every webhook with it.")
@click.option("--data", is_flag=True, help="Also delete the agent's claim, and what waits to be sent with it.")
@click.pass_context
def uninstall(ctx: click.Context, /, **given: Any) -> None:
    """Print what `install` installed, or delete it.

    Webhooks, and what waits to be sent, are kept unless --crd and --data are given. Namespaces and Secrets are never
    deleted.

    \b
    Examples:
      kubectl sew uninstall | kubectl delete --ignore-not-found -f -
      kubectl sew uninstall --apply
      kubectl sew uninstall --apply --sidecar-of deployment/shop -n shops
    """
    options = UninstallOptions(**given)
    kubectl, namespace = reach(ctx, options.namespace)
    objects = removable(_plan(kubectl, namespace, options), data=options.data)
    if options.apply and not options.crd:
        _mind_taken_over(kubectl)
    if options.apply:
        _apply(kubectl, namespace, options, objects)
    else:
        echo(target.text(objects), nl=False)
        if options.host:
            print_warning(f"the agent stays in deployment/{options.host}: --apply removes it")


def _mind_taken_over(kubectl: Kubectl) -> None:
    """Say which webhooks nobody delivers without the agent: Calico's processor sees them Disabled."""
    try:
        listed = [Webhook.from_object(obj) for obj in connect(kubectl).all()]
    except KubectlError:
        return
    if names := [webhook.name for webhook in listed if webhook.is_taken_over]:
        shown = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
        print_warning(
            f"without the agent nobody delivers what was taken over from Calico's processor ({shown}): "
            "`kubectl sew handback --all` gives it back, while the agent runs"
        )


_SHOWN = 10


def _plan(kubectl: Kubectl, namespace: str | None, options: UninstallOptions) -> InstallPlan:
    group = target.installed_crd_group(kubectl) if options.crd else None
    found = target.deployment(kubectl, namespace, options.host) if options.host and options.apply else None
    place = target.host_of(found).namespace if found else namespace or NAMESPACE
    return InstallPlan(
        namespace=place,
        secrets_namespace=options.secrets_namespace,
        crd_group=group,
        defines_exceptions=group is not None and target.may_define_exceptions(kubectl, group),
        replicas=2 if not options.host and _is_there(lambda: target.has_budget(kubectl, place), options) else 1,
        event_map="-" if _is_there(lambda: target.has_event_map(kubectl, place), options) else "",
        host=Host(options.host, namespace or "", "") if options.host else None,
    )


def _is_there(looks: Callable[[], bool], options: UninstallOptions) -> bool:
    """Return whether there is something of ours to delete; what is printed has it where that cannot be known."""
    try:
        return looks()
    except KubectlError:
        if options.apply:
            raise
        return True


def _apply(kubectl: Kubectl, namespace: str | None, options: UninstallOptions, objects: Sequence[Document]) -> None:
    host = target.deployment(kubectl, namespace, options.host) if options.host else None
    ours = target.host_of(host) if host else Host(NAME, namespace or NAMESPACE, "" if options.host else NAME)
    refuse_another(kubectl, options.secrets_namespace, ours)
    refuse_helms(kubectl, ours.namespace)
    gone = host is not None and target.change_pod(kubectl, host, without_agent)
    if gone:
        echo(f"deployment.apps/{options.host} patched")
    elif options.host:
        print_warning(f"there is no agent in deployment/{options.host} in {where(namespace)}")
    agent, rest = _parted(objects)
    if agent:
        gone = _delete(kubectl, agent)
    if gone:
        _let_end(kubectl, options.secrets_namespace, ours.namespace)
    if not (_delete(kubectl, rest) or gone):
        print_warning("nothing was there to delete")


def _parted(objects: Sequence[Document]) -> tuple[Sequence[Document], Sequence[Document]]:
    """Return the objects whose deletion ends the agent, and those that it needs until then."""
    ends = next((at for at, obj in enumerate(objects, 1) if obj["kind"] == "Deployment"), 0)
    return objects[:ends], objects[ends:]


def _delete(kubectl: Kubectl, objects: Sequence[Document]) -> bool:
    """Delete the objects; return whether any of them was there."""
    deleted = target.delete(kubectl, objects)
    echo(deleted, nl=False)
    return bool(deleted)


def _let_end(kubectl: Kubectl, secrets_namespace: str, namespace: str) -> None:
    """Wait until the agent has released its Lease: with its rights it still writes where the next one begins."""

    def ended() -> bool | None:
        try:
            holder = find_holder(kubectl, secrets_namespace)
        except AgentError:
            return True
        return holder.namespace != namespace or holder.expired(time.time()) or None

    until(ended, _LONGEST_END)
