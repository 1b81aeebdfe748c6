"""`kubectl sew dashboard`."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubectl_sew.cli.cluster_options import api_group_option, kubectl, secrets_namespace_option
from kubectl_sew.cli.output import echo
from kubectl_sew.cli.validation_options import check_index_flags, index_option
from kubectl_sew.query.fields import FIELD_SETS

if TYPE_CHECKING:
    from kubectl_sew.dashboard.reach import Reach


@click.command
@click.option(
    "--state",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Show the agent with this state folder, instead of a cluster's.",
)
@click.option(
    "--webhooks",
    metavar="PATH",
    type=click.Path(path_type=Path, exists=True),
    help="With --state: the manifests that this agent was given.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port on 127.0.0.1. [default: a free one]")
@click.option("--no-open", is_flag=True, help="Only print the link; open no browser.")
@click.option(
    "--events",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="A file of events that queries may be tried on.",
)
@click.option("--elasticsearch", metavar="URL", help="An index that queries may be tried on.")
@index_option
@click.option(
    "--fields",
    type=click.Choice(list(FIELD_SETS)),
    default="calico",
    help="The keys that queries may use, as the agent's SEW_FIELDS. [default: calico]",
)
@api_group_option
@secrets_namespace_option
@click.pass_context
def dashboard(  # noqa: PLR0913 - one for each flag
    ctx: click.Context,
    *,
    state: Path | None,
    webhooks: Path | None,
    port: int,
    no_open: bool,
    events: str | None,
    elasticsearch: str | None,
    index: str,
    fields: str,
    api_group: str | None,
    secrets_namespace: str,
) -> None:
    """Show webhooks, their health and what was delivered in a browser, and act on them.

    It serves pages on this machine alone, until Ctrl-C, and acts with your own rights, through kubectl. The printed
    link works once: its browser is let in by a cookie from then on. It needs the extra kubectl-sew[dashboard].

    \b
    Examples:
      kubectl sew dashboard
      kubectl sew dashboard --no-open --port 8080
      kubectl sew dashboard --state /var/lib/sew --webhooks webhooks/
    """
    check_index_flags(elasticsearch)
    if webhooks and not state:
        raise click.UsageError("--webhooks is for --state: a cluster has its webhooks itself")
    from kubectl_sew.dashboard.lab import LabSources  # noqa: PLC0415 - help and completion need none of it
    from kubectl_sew.dashboard.serving import Opening, serve  # noqa: PLC0415 - as above

    known = FIELD_SETS[fields]
    if state:
        from kubectl_sew.dashboard.on_files import FilesReach  # noqa: PLC0415 - as above

        reach: Reach = FilesReach(state, webhooks, known)
    else:
        from kubectl_sew.dashboard.in_cluster import ClusterReach  # noqa: PLC0415 - as above

        reach = ClusterReach(kubectl(ctx), secrets_namespace, api_group or "", known, time.time)
    serve(reach, LabSources(events or "", elasticsearch or "", index), known, Opening(port, not no_open), _announce)


def _announce(link: str) -> None:
    """Print the link on stdout, so that a program can read it, and the words on stderr."""
    echo("The dashboard is at this link, which works once; Ctrl-C ends it:", err=True)
    echo(link)
    sys.stdout.flush()
