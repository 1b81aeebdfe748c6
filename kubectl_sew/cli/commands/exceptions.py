"""`kubectl sew exceptions`."""

import time
from collections.abc import Mapping
from typing import Any

import click

from kubectl_sew.cli.cluster_options import api_group_option, kubectl, secrets_namespace_option
from kubectl_sew.cli.durations import read_duration
from kubectl_sew.cli.exception_options import exceptions_in
from kubectl_sew.cli.output import echo, pass_through, print_warning
from kubectl_sew.cli.query_argument import read_query
from kubectl_sew.cli.validation_options import check_index_flags, index_option
from kubectl_sew.cluster.exceptions import ClusterException, read_exceptions, served_exceptions
from kubectl_sew.cluster.webhook_details import ask_agent_report
from kubectl_sew.columns import table
from kubectl_sew.errors import SewError
from kubectl_sew.json_text import line
from kubectl_sew.query.fields import FIELD_SETS
from kubectl_sew.text import rfc3339

HEADINGS = ("NAME", "STATE", "START", "END", "SUPPRESSED", "DESCRIPTION")


@click.group(invoke_without_command=True)
@click.pass_context
def exceptions(ctx: click.Context) -> None:
    """List the AlertExceptions that keep events from all webhooks, or show what one selects.

    \b
    Examples:
      kubectl sew exceptions
      kubectl sew exceptions preview known-scanner --elasticsearch https://elasticsearch:9200 --since 7d
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_exceptions)


@exceptions.command("list")
@click.option("-o", "--output", metavar="FORMAT", help="Any format of kubectl get: json, yaml, name, jsonpath=…")
@api_group_option
@secrets_namespace_option
@click.pass_context
def list_exceptions(
    ctx: click.Context, output: str | None = None, api_group: str | None = None, secrets_namespace: str = ""
) -> None:
    """List the cluster's AlertExceptions: whether each is in force, and how many events it has suppressed."""
    from kubectl_sew.resource import SECRETS_NAMESPACE  # noqa: PLC0415 - where the list is asked for without its name

    reach = kubectl(ctx)
    served = served_exceptions(reach, api_group or "")
    if served and output:
        pass_through(reach.run("get", served.resource, "-o", output))
        return
    held = read_exceptions(reach, api_group or "")
    if not held:
        echo("No resources found", err=True)
        return
    agent = ask_agent_report(reach, secrets_namespace or SECRETS_NAMESPACE, time.time)
    if agent.gone:
        print_warning(agent.gone)
    reported = {row["name"]: row for row in agent.report.get("exceptions") or ()}
    now = time.time()
    echo(table(HEADINGS, [row_of(one, reported.get(one.exception.name), now) for one in held]))


def row_of(held: ClusterException, reported: Mapping[str, Any] | None, now: float) -> tuple[str, ...]:
    """Return the cells below HEADINGS. `reported`: what the agent says of it; `now` in epoch seconds."""
    exception, broken = held.exception, (reported or {}).get("broken") or held.broken
    return (
        exception.name,
        _state(held, broken, now),
        rfc3339(exception.start),
        "-" if exception.end is None else rfc3339(exception.end),
        f"{reported['suppressed']:,}" if reported else "-",
        line(f"suppresses nothing: {broken}" if broken else exception.description, 100) or "-",
    )


def _state(held: ClusterException, broken: str, now: float) -> str:
    if broken:
        return "Broken"
    if held.exception.in_force(now):
        return "InForce"
    return "Pending" if now < held.exception.start else "Ended"


@exceptions.command
@click.argument("name")
@click.option("-f", "--filename", metavar="FILE", help="The manifest to look into, instead of the cluster.")
@click.option(
    "--events",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="Print the events of an NDJSON file that it selects; - reads standard input.",
)
@click.option("--elasticsearch", metavar="URL", help="Count and sample what it selects on a real index.")
@index_option
@click.option(
    "--since", metavar="TIME", default="24h", show_default=True, callback=read_duration, help="How far back to look."
)
@click.option("--time-field", metavar="NAME", default="time", show_default=True, help="The field with an event's time.")
@click.option(
    "--fields",
    type=click.Choice(list(FIELD_SETS)),
    default="calico",
    help="The keys that may be used, with --events. [default: calico]",
)
@click.pass_context
def preview(  # noqa: PLR0913, PLR0917  # one for each flag
    ctx: click.Context,
    name: str,
    filename: str | None,
    events: str | None,
    elasticsearch: str | None,
    index: str,
    since: float,
    time_field: str,
    fields: str,
) -> None:
    """Show the events that an AlertException selects, whether or not it is in force.

    Credentials for --elasticsearch come from the same files as those of `kubectl sew preview-query`.

    \b
    Examples:
      kubectl sew exceptions preview known-scanner --elasticsearch https://elasticsearch:9200 --since 24h
      kubectl sew exceptions preview known-scanner -f exception.yaml --events events.ndjson
    """
    if (events is None) == (elasticsearch is None):
        raise click.UsageError("give one of --elasticsearch URL and --events FILE")
    if events == filename == "-":
        raise click.UsageError("the events and the exception cannot both come from standard input: name a file for one")
    check_index_flags(elasticsearch)
    found = [one for one in exceptions_in(ctx, [filename or "cluster"]) if one.name == name]
    if not found:
        raise SewError(f"there is no usable AlertException {name} in {filename or 'the cluster'}")
    if elasticsearch is not None:
        from kubectl_sew.cli.survey_index import print_survey  # noqa: PLC0415 - its client only where it is needed

        print_survey(found[0].selector, elasticsearch, index, since, time_field, None)
        return
    from kubectl_sew.cli.events import print_matching  # noqa: PLC0415 - as above

    print_matching(read_query(found[0].selector, FIELD_SETS[fields]), str(events))
