"""`kubectl sew trace`."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from kubectl_sew.cli.cluster_options import api_group_option, kubectl, secrets_namespace_option, webhooks
from kubectl_sew.cli.output import echo, print_json, print_warning
from kubectl_sew.cli.validation_options import check_index_flags, index_option
from kubectl_sew.cluster.agent import AgentError, ask, find_holder
from kubectl_sew.cluster.exceptions import read_exceptions
from kubectl_sew.event import Event
from kubectl_sew.json_text import line
from kubectl_sew.query import FieldSet
from kubectl_sew.resource import Webhook
from kubectl_sew.terminal import json_option
from kubectl_sew.trace import FIELDS, fates, read_event, table

_ID_LIMIT = 128


@click.command
@click.argument("event_id", metavar="EVENT-ID")
@click.option(
    "--event-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="NDJSON file with the event, where the agent does not have it.",
)
@click.option("--elasticsearch", metavar="URL", help="Take the event from an index, where the agent does not have it.")
@index_option
@json_option
@api_group_option
@secrets_namespace_option
@click.pass_context
def trace(  # noqa: PLR0913 - one for each flag
    ctx: click.Context,
    event_id: str,
    *,
    event_file: Path | None,
    elasticsearch: str | None,
    index: str,
    output: str | None,
    api_group: str | None,
    secrets_namespace: str,
) -> None:
    """Show what became of one event, for each webhook.

    It waits (and when it is tried again), was delivered (and when), is a dead letter (and why), is suppressed by an
    AlertException, or is not selected (and by which part of the query). The running agent says what it knows, asked in
    its pod; queries and exceptions are those of the cluster now. An event that was delivered is not kept: to ask
    queries about it, give it with --event-file, or --elasticsearch, whose credentials come from the same files as those
    of `kubectl sew preview-query`.

    \b
    Examples:
      kubectl sew trace 8Hn2xo8BZ5Yk
      kubectl sew trace 8Hn2xo8BZ5Yk --event-file events.ndjson
      kubectl sew trace 8Hn2xo8BZ5Yk --elasticsearch https://elasticsearch:9200
    """
    check_index_flags(elasticsearch)
    if event_file and elasticsearch is not None:
        raise click.UsageError("--event-file and --elasticsearch cannot be given together: the event is in one place")
    given: Sequence[Event] = ()
    fields: Sequence[FieldSet] = FIELDS
    if event_file:
        given = [Event("", event_id, read_event(event_file, event_id))]
    elif elasticsearch is not None:
        given, fields = _of_index(elasticsearch, index, event_id)
    cluster, connected = webhooks(ctx, api_group), kubectl(ctx)
    holder = find_holder(connected, secrets_namespace)
    said = read_known(ask(connected, holder, "trace", "-o", "json", "--", event_id))
    event = _the_one(given, str(said.get("index") or ""))
    document: Mapping[str, Any] | None = said.get("document") or (event.document if event else None)
    there = [Webhook.from_object(obj) for obj in cluster.all()]
    exceptions = [held.exception for held in read_exceptions(connected, api_group or "") if not held.broken]
    rows = fates(said["webhooks"], document, there, exceptions, time.time(), fields)
    if output:
        shown = said.get("document") or (event.fields() if event else None)
        print_json({**said, "webhooks": rows, "document": shown})
    else:
        echo(table(rows) if rows else f"nothing is known of the event {line(event_id, _ID_LIMIT)}")


def _of_index(urls: str, pattern: str, event_id: str) -> tuple[list[Event], Sequence[FieldSet]]:
    """Return the events of this id, and the fields that queries are asked of. Raises SewError where there is none."""
    from kubectl_sew.cli.selection_source import connected, events_of, no_event  # noqa: PLC0415 - with its client

    with connected(urls, pattern) as index:
        found = list(events_of(index, event_id))
        if not found:
            raise no_event(event_id, f"{index.pattern} at {index.place}")
        return found, (index.fields(), *FIELDS)


def _the_one(events: Sequence[Event], index: str) -> Event | None:
    """Return the event that is asked about: of several indices the one that the agent names, else the first, said."""
    if len(events) > 1 and not any(event.index == index for event in events):
        print_warning(f"{len(events)} indices have an event of this id: asked is the one in {events[0].index}")
    return next((event for event in events if event.index == index), events[0] if events else None)


def read_known(text: str) -> dict[str, Any]:
    """Return what `sew-agent trace -o json` printed. Raises AgentError where it is not what such an agent prints."""
    try:
        said = json.loads(text)
        whole = all({"webhook", "fate", "detail"} <= row.keys() for row in said["webhooks"])
    except (ValueError, TypeError, KeyError, AttributeError):
        whole = False
    if not whole:
        raise AgentError("the agent's answer cannot be read", "is it of another version than `kubectl sew version`?")
    answer: dict[str, Any] = said
    return answer
