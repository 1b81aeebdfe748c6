"""`kubectl sew preview-query`."""

import click

from kubectl_sew.cli.durations import read_duration
from kubectl_sew.cli.exception_options import Selectors, exceptions_in, exceptions_option, in_force
from kubectl_sew.cli.output import echo, print_json, print_warning, print_yaml
from kubectl_sew.cli.query_argument import read_query
from kubectl_sew.cli.validation_options import check_index_flags, index_option
from kubectl_sew.query import BoundQuery
from kubectl_sew.query.ast import EVERY_EVENT, Everything
from kubectl_sew.query.fields import FIELD_SETS


@click.command("preview-query")
@click.argument("query", nargs=-1, required=True, metavar="QUERY")
@click.option(
    "-o", "--output", type=click.Choice(["json", "yaml"]), help="The format of what is printed. [default: json]"
)
@click.option("--explain", is_flag=True, help="Say in plain words what the query selects.")
@click.option("--format", "canonical", is_flag=True, help="Print the query in its canonical form.")
@click.option(
    "--events",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="Print the matching events of an NDJSON file; - reads standard input.",
)
@click.option(
    "--fields",
    type=click.Choice(list(FIELD_SETS)),
    default="calico",
    help="The keys that may be used. [default: calico]",
)
@click.option("--elasticsearch", metavar="URL", help="Count the matching events of a real index, and show some.")
@index_option
@click.option(
    "--since",
    metavar="TIME",
    default="24h",
    show_default=True,
    callback=read_duration,
    help="The age of the oldest events to count.",
)
@click.option("--time-field", metavar="NAME", default="time", show_default=True, help="The field with an event's time.")
@exceptions_option
@click.pass_context
def preview_query(  # noqa: PLR0913, PLR0917  # one for each flag
    ctx: click.Context,
    query: tuple[str, ...],
    output: str | None,
    explain: bool,
    canonical: bool,
    events: str | None,
    fields: str,
    elasticsearch: str | None,
    index: str,
    since: float,
    time_field: str,
    exceptions: tuple[str, ...],
) -> None:
    """Show what a query selects: as an Elasticsearch query, in words, on events of a file, or on a real index.

    The Elasticsearch query is the value of `query` in a search. With --events the matching lines are printed unchanged
    and in order; their number, and the lines that are not events, go to stderr.

    With --elasticsearch the keys are those of the index's mapping. Credentials come from the files that the agent's
    variables name: SEW_ELASTICSEARCH_API_KEY_FILE, ..._USERNAME_FILE and ..._PASSWORD_FILE, ..._TOKEN_FILE,
    ..._CA_FILE, ..._CLIENT_CERT_FILE and ..._CLIENT_KEY_FILE. It needs the extra kubectl-sew[elasticsearch].

    \b
    Examples:
      kubectl sew preview-query 'type = waf AND severity >= 90'
      kubectl sew preview-query 'source_ip IN {"10.0.0.0/8"}' --explain
      kubectl sew preview-query 'host IN {"web-*"}' --events events.ndjson | jq .name
      kubectl sew preview-query 'type = waf' --elasticsearch https://elasticsearch:9200 --since 7d
      kubectl sew preview-query 'type = waf' --elasticsearch https://elasticsearch:9200 --exceptions cluster
    """
    modes = {"--explain": explain, "--format": canonical, "--events": events is not None}
    _check_flags(query, modes | {"--elasticsearch": elasticsearch is not None}, output)
    check_index_flags(elasticsearch)
    if exceptions and canonical:
        raise click.UsageError("--exceptions changes no query: leave it out with --format")
    if events == "-" and "-" in exceptions:
        raise click.UsageError("events and exceptions cannot both come from standard input: name a file for one")
    left_out = exceptions_in(ctx, exceptions)
    if elasticsearch is not None:
        from kubectl_sew.cli.survey_index import print_survey  # noqa: PLC0415  # each way of showing loads what it needs

        print_survey(query[0], elasticsearch, index, since, time_field, output, left_out)
        return
    bound = read_query(query[0], FIELD_SETS[fields])
    selectors = in_force(left_out, FIELD_SETS[fields])
    if isinstance(bound.node, Everything):
        print_warning(f"the empty query selects every event, but no webhook takes it: write `{EVERY_EVENT}`")
    if events is not None:
        _print_events(bound, events, selectors)
    elif canonical:
        echo(str(bound.node))
    elif explain:
        _print_explanation(bound, selectors)
    else:
        _print_dsl(bound, output or "json", selectors)


def _check_flags(query: tuple[str, ...], modes: dict[str, bool], output: str | None) -> None:
    if len(query) > 1:
        raise click.UsageError(f"the query is in {len(query)} pieces: put it in quotes, e.g. '{' '.join(query)[:80]}'")
    given = [flag for flag, on in modes.items() if on]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} cannot be given together")
    if given and output and given != ["--elasticsearch"] and (given, output) != (["--events"], "json"):
        raise click.UsageError(f"-o {output} is a form of the Elasticsearch query: leave it out with {given[0]}")


def _print_dsl(query: BoundQuery, output: str, selectors: Selectors) -> None:
    from kubectl_sew.query import to_dsl  # noqa: PLC0415  # each way of showing loads what it needs

    dsl = to_dsl(query)
    if selectors:
        dsl = {"bool": {"filter": [dsl], "must_not": [to_dsl(selector) for _, selector in selectors]}}
    (print_yaml if output == "yaml" else print_json)(dsl)


def _print_explanation(query: BoundQuery, selectors: Selectors) -> None:
    from kubectl_sew.query import explain  # noqa: PLC0415  # likewise

    echo(explain(query))
    for name, selector in selectors:
        echo(f"Not delivered, while AlertException {name} is in force: {selector.node}")


def _print_events(query: BoundQuery, source: str, selectors: Selectors) -> None:
    from kubectl_sew.cli.events import print_matching  # noqa: PLC0415  # likewise
    from kubectl_sew.query import compile_matcher  # noqa: PLC0415  # likewise

    suppressing = {name: compile_matcher(selector) for name, selector in selectors}
    print_matching(query, source, suppressing)
