"""`kubectl sew install`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from kubectl_sew.cli.install_options import placement_options, reach, running
from kubectl_sew.cli.output import echo, print_warning
from kubectl_sew.elasticsearch.access import read_url
from kubectl_sew.event_maps.files import text_of_maps
from kubectl_sew.install import Host, InstallPlan, render, target, with_agent
from kubectl_sew.install.holders import refuse_another, refuse_helms
from kubectl_sew.install.manifests import Document
from kubectl_sew.install.plan import API_GROUP, FALLBACK_API_GROUP, NAME, NAMESPACE, PARTS
from kubectl_sew.kubectl import Kubectl, KubectlError
from kubectl_sew.members import members


@dataclass(frozen=True, slots=True)
class InstallOptions:
    """The options as given; "" and None where nothing was."""

    apply: bool
    namespace: str | None
    secrets_namespace: str
    create_namespace: bool
    image: str
    elasticsearch: str
    index: str
    time_field: str
    credentials_secret: str
    claim: str
    store_secret: str
    replicas: int
    event_map: Path | None
    host: str | None
    selector: str
    secret_selector: str
    beside_calico: bool
    only: frozenset[str]


def _readable(_ctx: click.Context, _option: click.Parameter, urls: str) -> str:
    for url in members(urls):
        read_url(url)
    return urls


def _parts(_ctx: click.Context, _option: click.Parameter, text: str) -> frozenset[str]:
    parts = frozenset(filter(None, map(str.strip, text.split(","))))
    if not parts or not parts <= set(PARTS):
        raise click.BadParameter(f"it must be one or more of {','.join(PARTS)}")
    return parts


@click.command
@click.option("--apply", is_flag=True, help="Apply it on the server, instead of printing it.")
@placement_options
@click.option("--create-namespace", is_flag=True, help="Also create the Secrets' namespace.")
@click.option("--image", metavar="IMAGE", default="", help="The agent's image.")
@click.option(
    "--elasticsearch",
    metavar="URL[,URL…]",
    default="",
    callback=_readable,
    help="The URLs of Elasticsearch. [default: Calico's]",
)
@click.option("--index", metavar="PATTERN", default="", help="The indices with the events. [default: Calico's]")
@click.option("--time-field", metavar="NAME", default="", help="The field with an event's time. [default: Calico's]")
@click.option("--credentials-secret", metavar="NAME", default="", help="The Secret with the keys for Elasticsearch.")
@click.option("--claim", metavar="NAME", default="", help="An existing PersistentVolumeClaim for the agent's state.")
@click.option("--store-secret", metavar="NAME", default="", help="The Secret with the URL of the agent's PostgreSQL.")
@click.option(
    "--replicas",
    metavar="N",
    type=click.IntRange(1),
    default=1,
    help="How many agents, which share the webhooks; needs --store-secret. [default: 1]",
)
@click.option(
    "--event-map",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Maps of events of other tools, for the agent's SEW_EVENT_MAP.",
)
@click.option(
    "--selector", metavar="LABELS", envvar="SEW_SELECTOR", default="", help="Only webhooks with these labels."
)
@click.option(
    "--secret-selector",
    metavar="LABELS",
    envvar="SEW_SECRET_SELECTOR",
    default="",
    help="Webhooks may refer only to Secrets and ConfigMaps with these labels.",
)
@click.option(
    "--only",
    metavar="PART[,PART]",
    default=",".join(PARTS),
    callback=_parts,
    help="api, rights, agent: for an agent outside of the cluster, api,rights. [default: all]",
)
@click.option("--beside-calico", is_flag=True, help="Leave to Calico's own processor what it delivers.")
@click.pass_context
def install(ctx: click.Context, /, **given: Any) -> None:
    """Print the API, the agent's rights and the agent, or apply them.

    \b
    The Secret of --credentials-secret is in the agent's namespace, with some of the keys
    api-key, username, password, token, ca.crt, tls.crt, tls.key. That of --store-secret
    is there, too, with the key url.

    \b
    Examples:
      kubectl sew install --elasticsearch https://es:9200 | kubectl apply -f -
      kubectl sew install --apply --image registry.example/sew-agent:0.1.0
      kubectl sew install --apply --sidecar-of deployment/shop -n shops
      kubectl sew install --apply --only api,rights
    """
    options = InstallOptions(**given)
    _check_store(ctx, options)
    if options.host and options.only != set(PARTS):
        raise click.UsageError("--only is for an agent on its own or outside: a sidecar is installed as a whole", ctx)
    kubectl, namespace = reach(ctx, options.namespace)
    deployment = running(kubectl, namespace, options.host) if options.host else None
    plan = _plan(kubectl, namespace, deployment, options)
    if options.apply:
        _apply(kubectl, plan, deployment)
    else:
        host = [target.manifest_of(with_agent(deployment, plan))] if deployment else []
        echo(target.text([*render(plan), *host]), nl=False)
    if deployment:
        _mind_the_host(deployment, plan)


def _plan(kubectl: Kubectl, namespace: str | None, deployment: Document | None, options: InstallOptions) -> InstallPlan:
    host = target.host_of(deployment) if deployment else None
    ours = host or Host(NAME, namespace or NAMESPACE, NAME)
    settings = {
        "SEW_ELASTICSEARCH": options.elasticsearch,
        "SEW_INDEX": options.index,
        "SEW_TIME_FIELD": options.time_field,
        "SEW_SELECTOR": options.selector,
        "SEW_BESIDE_CALICO": "true" if options.beside_calico else "",
        "SEW_SECRET_SELECTOR": options.secret_selector,
    }
    secret = options.credentials_secret
    group, defines_exceptions = _look_around(kubectl, options, ours)
    return InstallPlan(
        namespace=ours.namespace,
        secrets_namespace=options.secrets_namespace,
        create_secrets_namespace=options.create_namespace,
        crd_group=group,
        defines_exceptions=defines_exceptions,
        image=options.image,
        settings={name: value for name, value in settings.items() if value},
        credentials=target.credentials(kubectl, ours.namespace, secret) if secret else None,
        claim=options.claim,
        store_secret=target.store_secret(kubectl, ours.namespace, store) if (store := options.store_secret) else "",
        replicas=options.replicas,
        event_map=text_of_maps(options.event_map) if options.event_map else "",
        host=host,
        parts=options.only,
    )


def _check_store(ctx: click.Context, options: InstallOptions) -> None:
    if options.store_secret and options.claim:
        raise click.UsageError("--store-secret and --claim cannot be given together: PostgreSQL needs no claim", ctx)
    if options.replicas > 1 and not options.store_secret:
        raise click.UsageError("--replicas needs --store-secret: without PostgreSQL a volume serves one agent", ctx)
    if options.replicas > 1 and options.host:
        raise click.UsageError("--replicas is for an agent on its own: a sidecar has those of its Deployment", ctx)


def _apply(kubectl: Kubectl, plan: InstallPlan, deployment: Document | None) -> None:
    echo(target.apply(kubectl, render(plan)), nl=False)
    if deployment:
        changed = target.change_pod(kubectl, deployment, lambda seen: with_agent(seen, plan))
        echo(f"deployment.apps/{deployment['metadata']['name']} {'patched' if changed else 'unchanged'}")


def _mind_the_host(deployment: Document, plan: InstallPlan) -> None:
    """A claim is one pod's at a time, and belongs to root unless the pod says otherwise: both are the host's to say."""
    name, spec = deployment["metadata"]["name"], deployment["spec"]
    if plan.host and plan.host.service_account == "default":
        print_warning(f"deployment/{name} uses the service account default: whatever else uses it may read the Secrets")
    if plan.claim and (spec["strategy"]["type"] != "Recreate" or spec["replicas"] > 1):
        print_warning(f"deployment/{name} may run several pods at once, and a claim serves one: one replica, Recreate")
    if plan.claim and "fsGroup" not in target.pod_of(deployment).get("securityContext", {}):
        print_warning(f"the pods of deployment/{name} have no fsGroup: the claim must be writable for the user 65532")


def _look_around(kubectl: Kubectl, options: InstallOptions, ours: Host) -> tuple[str | None, bool]:
    """The group of the definitions to install, None for none, and whether AlertExceptions are to be defined.

    Says what else a person should know of the cluster.
    """
    try:
        group = target.crd_group(kubectl)
        defines_exceptions = target.may_define_exceptions(kubectl, group or API_GROUP)
    except KubectlError as error:
        if options.apply or not target.unconfigured(error):
            raise
        print_warning("no cluster was asked, since none is configured: this is for one without Calico's own API")
        return API_GROUP, True
    _refuse_twice(kubectl, options)
    refuse_another(kubectl, options.secrets_namespace, ours)
    refuse_helms(kubectl, ours.namespace)
    _miss_namespace(kubectl, options)
    if group != API_GROUP:
        print_warning(_OF_GROUP[group])
    return group, defines_exceptions


_OF_GROUP = {
    None: "the cluster serves SecurityEventWebhooks already, so their definition is left out",
    FALLBACK_API_GROUP: f"Calico's API server hides the group {API_GROUP}: {FALLBACK_API_GROUP}/v1 is used instead",
}


def _refuse_twice(kubectl: Kubectl, options: InstallOptions) -> None:
    processor = target.processor(kubectl, options.secrets_namespace)
    if processor and not options.beside_calico:
        raise target.InstallError(
            f"Calico's own processor runs in {processor} (namespace {options.secrets_namespace}), and each event would "
            "be sent twice: --beside-calico installs an agent that delivers only the webhooks that `kubectl sew "
            "takeover` gives it"
        )


def _miss_namespace(kubectl: Kubectl, options: InstallOptions) -> None:
    name = options.secrets_namespace
    if options.create_namespace or target.namespace_exists(kubectl, name):
        return
    missing = f"the Secrets' namespace {name} does not exist: `kubectl create namespace {name}`"
    if options.apply:
        raise target.InstallError(f"{missing}, or --create-namespace")
    print_warning(f"{missing} first, or --create-namespace")
