"""`kubectl sew preview-payload`."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from kubectl_sew.cli.choice import Words
from kubectl_sew.cli.files import file_options, read_sources
from kubectl_sew.cli.findings import print_findings
from kubectl_sew.cli.output import echo, print_warning
from kubectl_sew.cli.payload import describe, fill_in, headings
from kubectl_sew.cli.standard_input import standard_input
from kubectl_sew.cli.validation_options import ValidationRules, rules_options
from kubectl_sew.consumers.base import Consumer
from kubectl_sew.consumers.headers import is_json
from kubectl_sew.consumers.registry import find
from kubectl_sew.consumers.shapes import is_known
from kubectl_sew.consumers.template_findings import body_problem
from kubectl_sew.errors import SewError
from kubectl_sew.event import Event, delivery_id, own_id
from kubectl_sew.members import members
from kubectl_sew.ndjson import BadLineError, parse_line
from kubectl_sew.query import FieldSet, bind, compile_matcher, parse
from kubectl_sew.resource import Webhook, parse_labels, resolve
from kubectl_sew.resource.manifests import Manifests, load_many
from kubectl_sew.samples import SAMPLE_TYPES, sample
from kubectl_sew.validation import validate_manifests


@click.command("preview-payload")
@file_options
@rules_options
@click.option(
    "--event",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="The event: a JSON object, or the first line of NDJSON; - for standard input.",
)
@click.option(
    "--sample",
    "kind",
    metavar="TYPE",
    type=Words(SAMPLE_TYPES),
    help="A sample event of one of Calico's types, e.g. waf. [default: the one that state Test sends]",
)
def preview_payload(
    files: tuple[str, ...], recursive: bool, event: str | None, kind: str | None, rules: ValidationRules
) -> int:
    """Print the request that a webhook would send, without its secrets.

    Of a URL only scheme and host are shown. Values of Secrets and ConfigMaps come from the files; a value that only the
    cluster has is shown as a placeholder.

    \b
    Examples:
      kubectl sew preview-payload -f webhook.yaml
      kubectl sew preview-payload -f webhook.yaml --sample suspicious_flow
      kubectl sew preview-payload -f webhook.yaml --event event.json
    """
    if event is not None and kind is not None:
        raise click.UsageError("--event and --sample cannot be given together")
    if event == "-" and "-" in {name for file in files for name in members(file)}:
        raise click.UsageError("the manifest and the event cannot both come from standard input: name a file for one")
    sources = read_sources(files, recursive=recursive)
    manifests = replace(load_many(sources.files), exceptions=())  # no request is made for them, and none is refused
    problems = validate_manifests(manifests, rules.fields, consumers=rules.consumers)
    findings = [
        *sources.problems,
        *(problem for problem in problems if not sources.problems or problem.code != "SEW017"),
    ]
    print_findings(findings, err=True)
    if any(finding.is_error for finding in findings) or not manifests.webhooks:
        return 1
    given = None if event is None else _read_event(event)
    described = {
        webhook.name: _describe(
            webhook.webhook,
            consumer,
            manifests,
            given or _identified(sample(kind or webhook.webhook.test_event)),
            rules.fields,
        )
        for webhook in manifests.webhooks
        if (consumer := find(webhook.webhook.consumer, rules.consumers))
    }
    echo(headings(described))
    return 0


def _describe(webhook: Webhook, consumer: Consumer, manifests: Manifests, event: Event, fields: FieldSet) -> list[str]:
    known, _ = resolve(webhook, manifests.secrets, manifests.config_maps)
    config, notes = fill_in(webhook, consumer, known)
    now = time.time()
    if not compile_matcher(bind(parse(webhook.query), fields))(event.document, now):
        notes.append("its query does not select this event: it would not be sent")
    if consumer.name != "Generic" and not is_known(event):
        notes.append("the event has none of the fields that messages are made of: its main fields are shown instead")
    labels, _ = parse_labels(webhook.labels_text)
    requests = consumer.render(event, labels, config, now=now, delivery_id=delivery_id(webhook.name, event))
    if config.get("template") and consumer.name == "Generic":
        problems = {body_problem(request.body, as_json=is_json(config)) for request in requests}
        notes += [f"the body that the template makes of this event {problem}" for problem in problems if problem]
    for note in notes:
        print_warning(f"{webhook.name}: {note}")
    return [describe(request, consumer, known) for request in requests]


def _read_event(source: str) -> Event:
    try:
        text = standard_input().read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise SewError(f"the event cannot be read from {source}: {error.strerror or error}") from None
    try:
        return _identified(_parse(text))
    except BadLineError as error:
        raise SewError(f"there is no event in {source}: {error}") from None


def _parse(text: bytes) -> dict[str, Any]:
    """A whole file that is one object, else the object on its first line."""
    try:
        return parse_line(text)
    except BadLineError:
        first, _, more = text.lstrip().partition(b"\n")
        if not more.lstrip().startswith(b"{"):
            raise
        return parse_line(first)


def _identified(document: dict[str, Any]) -> Event:
    return Event("", own_id(document) or "preview", document)
