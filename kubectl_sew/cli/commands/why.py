"""`kubectl sew why`."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from kubectl_sew.cli.cluster_options import api_group_option, name_argument, secrets_namespace_option, webhooks
from kubectl_sew.cli.durations import read_duration
from kubectl_sew.cli.exception_options import exceptions_in
from kubectl_sew.cli.output import echo, print_json, print_warning, print_yaml
from kubectl_sew.cli.selection_text import (
    Asked,
    answer,
    as_object,
    event_lines,
    event_object,
    suppressed_lines,
    tree_lines,
)
from kubectl_sew.cli.validation_options import INDEX, event_maps
from kubectl_sew.errors import SewError
from kubectl_sew.json_text import line
from kubectl_sew.query.fields import FIELD_SETS
from kubectl_sew.resource import State, Webhook
from kubectl_sew.resource.exceptions import AlertException
from kubectl_sew.text import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from kubectl_sew.cli.selection import EventVerdict, Question
    from kubectl_sew.cli.selection_source import EventsSource
    from kubectl_sew.event import Event

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Subject:
    """The webhook that is asked about, the exceptions, and what its agent says of it (nothing where nobody can say)."""

    webhook: Webhook
    exceptions: tuple[AlertException, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)

    def start(self, since: float | None, now: float) -> tuple[float | None, str]:
        """Return from when on events are the webhook's own, and what that moment is; None where nobody knows."""
        if since is not None:
            return now - since, ""
        begun = parse_rfc3339(str(self.report.get("start") or ""))
        if begun is not None:
            return begun, "the webhook's start"
        return self.webhook.created, "its creation"


@click.command
@name_argument
@click.argument("event", required=False)
@click.option("-f", "--filename", metavar="FILE", help="The manifest to look into, instead of the cluster.")
@click.option(
    "--events",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="Count the events of an NDJSON file; - reads standard input.",
)
@click.option("--elasticsearch", metavar="URL", help="Count the events of a real index.")
@click.option("--index", metavar="PATTERN", help=f"With --elasticsearch: its indices. [default: {INDEX}]")
@click.option(
    "--since",
    metavar="TIME",
    callback=lambda ctx, param, value: value and read_duration(ctx, param, value),
    help="The age of the oldest events to count. [default: since the webhook's start]",
)
@click.option("--time-field", metavar="NAME", default="time", show_default=True, help="The field with an event's time.")
@click.option(
    "--fields",
    type=click.Choice(list(FIELD_SETS)),
    help="With --events: the keys that may be used. [default: calico]",
)
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), help="Print an object.")
@api_group_option
@secrets_namespace_option
@click.pass_context
def why(  # noqa: PLR0913, PLR0917 - one for each flag
    ctx: click.Context,
    name: str,
    event: str | None,
    filename: str | None,
    events: str | None,
    elasticsearch: str | None,
    index: str | None,
    since: float | None,
    time_field: str,
    fields: str | None,
    output: str | None,
    api_group: str | None,
    secrets_namespace: str,
) -> None:
    """Say why a webhook gets few events or none, or why it did not get one EVENT.

    It counts the events since the webhook's start: those that each part of its query selects, those that an
    AlertException keeps from it, and those from before its start. EVENT is an event's id.

    Credentials for --elasticsearch come from the same files as those of `kubectl sew preview-query`.

    \b
    Examples:
      kubectl sew why prod-slack --elasticsearch https://elasticsearch:9200
      kubectl sew why prod-slack e-4711 --elasticsearch https://elasticsearch:9200
      kubectl sew why prod-slack -f webhook.yaml --events events.ndjson
    """
    _check(events, elasticsearch, index, fields, filename)
    subject = _of_file(ctx, name, filename) if filename else _of_cluster(ctx, name, api_group, secrets_namespace)
    now = time.time()
    start, what = subject.start(since, now)
    with _source(events, elasticsearch, index or INDEX, time_field, fields or "calico") as source:
        question = source.question(subject.webhook.query, subject.exceptions)
        for text in _standing(subject):
            print_warning(text)
        if event is not None:
            _print_event(name, _judged(event, source, question, (start, now)), output)
            return
        if start is None and elasticsearch is not None:
            start, what = now - DAY, "as nobody knows its start"
        selection, values = source.count(question, start, now)
        since_text = "" if start is None else f"since {rfc3339(start)}{what and f' ({what})'}"
        asked = Asked(name, source.place, since_text, in_cluster=not filename)
    if output:
        _print_object(as_object(asked, selection, values), output)
        return
    echo("\n".join([*answer(asked, selection, values), "", *tree_lines(selection), *suppressed_lines(selection)]))


def _judged(
    identity: str, source: "EventsSource", question: "Question", moments: tuple[float | None, float]
) -> "list[tuple[Event, EventVerdict]]":
    """Return the events of that id, each with why it is the webhook's or not. `moments`: its start, and now."""
    from kubectl_sew.cli.selection import judge  # noqa: PLC0415 - as below
    from kubectl_sew.cli.selection_source import no_event  # noqa: PLC0415 - as below

    start, now = moments
    found = source.find(identity)
    if not found:
        raise no_event(identity, source.place)
    return [(event, judge(question, event.document, (source.time_of(event), start), now)) for event in found]


def _print_event(webhook: str, judged: "list[tuple[Event, EventVerdict]]", output: str | None) -> None:
    if output:
        objects = [event_object(webhook, *each) for each in judged]
        _print_object(objects[0] if len(objects) == 1 else objects, output)
    else:
        echo("\n".join(text for each in judged for text in event_lines(webhook, *each)))


def _print_object(value: Any, output: str) -> None:
    (print_yaml if output == "yaml" else print_json)(value)


def _check(
    events: str | None, elasticsearch: str | None, index: str | None, fields: str | None, filename: str | None
) -> None:
    if (events is None) == (elasticsearch is None):
        raise click.UsageError("give one of --elasticsearch URL and --events FILE")
    if index and elasticsearch is None:
        raise click.UsageError("--index is for --elasticsearch: give its URL, too")
    if fields and events is None:
        raise click.UsageError("--fields is for --events: an index has its own keys")
    if events == filename == "-":
        raise click.UsageError("the events and the webhook cannot both come from standard input: name a file for one")


@contextmanager
def _source(
    events: str | None, elasticsearch: str | None, index: str, time_field: str, fields: str
) -> "Iterator[EventsSource]":
    from kubectl_sew.cli import selection_source  # noqa: PLC0415 - its client only where it is needed

    if elasticsearch is None:
        yield selection_source.EventsFile(str(events), FIELD_SETS[fields], event_maps(time_field))
        return
    with selection_source.open_index(elasticsearch, index, time_field) as source:
        yield source


def _of_file(ctx: click.Context, name: str, filename: str) -> Subject:
    from kubectl_sew.cli.files import read_sources  # noqa: PLC0415 - PyYAML only where files are read
    from kubectl_sew.resource.manifests import load_many  # noqa: PLC0415 - as above

    sources = read_sources([filename], recursive=True)
    if sources.problems:
        raise SewError(str(sources.problems[0]))
    manifests = load_many(sources.files)
    if name in manifests.refused:
        raise SewError(f"{name} in {filename} is refused: {manifests.refused[name].message}: kubectl sew validate")
    if name not in manifests.good:
        there = ", ".join(sorted(manifests.good)) or "no webhook at all"
        raise SewError(f"there is no webhook {line(name, 60)} in {filename}: it holds {line(there, 200)}")
    exceptions = exceptions_in(ctx, [filename]) if manifests.exceptions and filename != "-" else []
    return Subject(manifests.good[name], tuple(exceptions))


def _of_cluster(ctx: click.Context, name: str, api_group: str | None, secrets_namespace: str) -> Subject:
    from kubectl_sew.cluster.webhook_details import ask_agent_report  # noqa: PLC0415 - only where a cluster is asked

    cluster = webhooks(ctx, api_group)
    webhook = Webhook.from_object(cluster.one(name))
    try:
        exceptions = exceptions_in(ctx, ["cluster"])
    except SewError as error:
        print_warning(f"the cluster's AlertExceptions could not be read, so none is counted: {error}")
        exceptions = []
    agent = ask_agent_report(cluster.kubectl, secrets_namespace, time.time)
    for text in filter(None, (agent.gone, agent.unknown)):
        print_warning(text)
    return Subject(webhook, tuple(exceptions), agent.rows.get(name, {}))


def _standing(subject: Subject) -> Iterator[str]:
    """Yield why nothing comes whatever the query selects, and what the agent says of its reading."""
    webhook = subject.webhook
    if webhook.effective_state is not State.ENABLED:
        word = webhook.effective_state.value
        yield f"{webhook.name} is in state {word}, so its events are not sent: kubectl sew enable {webhook.name}"
    said = {str(subject.report.get("message") or ""), str(subject.report.get("eventsFetched") or "")}
    yield from (f"the agent says of {webhook.name}: {line(text, 500)}" for text in sorted(said) if text)
