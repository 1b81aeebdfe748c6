"""`kubectl sew preview-payload`."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from kubectl_sew.cli.choice import Words
from kubectl_sew.cli.files import file_options, read_sources
from kubectl_sew.cli.findings import print_findings
from kubectl_sew.cli.output import echo, print_warning
from kubectl_sew.cli.standard_input import standard_input
from kubectl_sew.cli.validation_options import ValidationRules, rules_options
from kubectl_sew.consumers.base import Config, Consumer, JoinsOpen, Request
from kubectl_sew.consumers.classification import secrets_of, without_secrets
from kubectl_sew.consumers.digest import SendsDigests, digest_id, group_id, make_digest
from kubectl_sew.consumers.digest_settings import DigestSettings, digest_settings, group_key
from kubectl_sew.consumers.headers import is_json
from kubectl_sew.consumers.registry import find
from kubectl_sew.consumers.template_findings import body_problem, is_secret
from kubectl_sew.consumers.template_secrets import concealed
from kubectl_sew.errors import SewError
from kubectl_sew.event import Event, delivery_id, own_id
from kubectl_sew.members import members
from kubectl_sew.ndjson import BadLineError, begins_json_of_several_lines, how_to_make_lines, parse_line
from kubectl_sew.payload import describe, fill_in, headings
from kubectl_sew.query import bind, compile_matcher, parse
from kubectl_sew.recipes.findings import drawing
from kubectl_sew.recipes.recipe import load_recipe, recipe_names
from kubectl_sew.resource import Webhook, parse_labels, resolve
from kubectl_sew.resource.manifests import Manifests, load_many
from kubectl_sew.samples import OTHER_SAMPLES, SAMPLE_TYPES, sample
from kubectl_sew.validation.manifests import validate_manifests


@click.command("preview-payload")
@file_options
@rules_options
@click.option(
    "--digest",
    "together",
    is_flag=True,
    help="The digest of several events: of all lines of --event, else of the samples that the query selects.",
)
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
    type=Words((*SAMPLE_TYPES, *OTHER_SAMPLES)),
    help="A sample event of one of Calico's types, e.g. waf, or of another tool, e.g. falco. [default: Test's]",
)
def preview_payload(
    files: tuple[str, ...],
    recursive: bool,
    event: str | None,
    kind: str | None,
    rules: ValidationRules,
    *,
    together: bool,
) -> int:
    """Print the request that a webhook would send, without its secrets.

    Of a URL only scheme and host are shown. Values of Secrets and ConfigMaps come from the files; a value that only the
    cluster has is shown as a placeholder.

    \b
    Examples:
      kubectl sew preview-payload -f webhook.yaml
      kubectl sew preview-payload -f webhook.yaml --sample suspicious_flow
      kubectl sew preview-payload -f webhook.yaml --event event.json
      kubectl sew preview-payload -f webhook.yaml --digest --event events.ndjson
    """
    if event is not None and kind is not None:
        raise click.UsageError("--event and --sample cannot be given together")
    if event == "-" and "-" in {name for file in files for name in members(file)}:
        raise click.UsageError("the manifest and the event cannot both come from standard input: name a file for one")
    if together and kind is not None:
        raise click.UsageError("--digest takes every sample that the query selects: leave --sample out")
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
    given = None if event is None else _read_events(event, whole=together)
    described = {
        webhook.name: _describe(
            webhook.webhook,
            consumer,
            manifests,
            given or _samples(kind or webhook.webhook.test_event, together=together),
            rules,
            together=together,
        )
        for webhook in manifests.webhooks
        if (consumer := find(webhook.webhook.consumer, rules.consumers))
    }
    echo(headings(described))
    return 0


def _describe(
    webhook: Webhook,
    consumer: Consumer,
    manifests: Manifests,
    events: Sequence[Event],
    rules: ValidationRules,
    *,
    together: bool,
) -> list[str]:
    known, _ = resolve(webhook, manifests.secrets, manifests.config_maps)
    config, notes = fill_in(webhook, consumer, known, "which is not in the files")
    now, event = time.time(), events[0]
    selects = compile_matcher(bind(parse(webhook.query), rules.fields))
    selected = [each for each in events if selects(each.document, now)]
    if not selected:
        notes.append("its query does not select this event: it would not be sent")
    if consumer.name != "Generic" and not rules.maps.knows(event):
        notes.append("the event has none of the fields that messages are made of: its main fields are shown instead")
    labels, _ = parse_labels(webhook.labels_text)
    if together:
        gathered, asked = _first_group(webhook, consumer, config, selected or events, rules)
        event, ids = gathered[0], [delivery_id(webhook.name, each) for each in gathered]
        identity, digest = digest_id(webhook.name, ids), make_digest(gathered, asked, rules.maps)
        sender = _sender(webhook, consumer)
        requests = sender.render_digest(digest, labels, concealed(config), now=now, delivery_id=identity)
    else:
        identity = delivery_id(webhook.name, event)
        requests = consumer.render(event, labels, concealed(config), now=now, delivery_id=identity)
    if isinstance(consumer, JoinsOpen) and (group := _open_group(webhook, consumer, config, event, rules)):
        notes.append("where an issue with this group's label is open, the description is a comment on that one instead")
        requests = tuple(consumer.in_group(request, group=group) for request in requests)
    if config.get("template") and consumer.name == "Generic":
        problems = {body_problem(request.body, as_json=is_json(config)) for request in requests}
        notes += [f"the body that the template makes of this event {problem}" for problem in problems if problem]
    for note in notes:
        print_warning(f"{webhook.name}: {note}")
    return [describe(request, consumer, known) + _drawn(webhook, request, consumer, known) for request in requests]


def _open_group(
    webhook: Webhook, consumer: JoinsOpen, config: Config, event: Event, rules: ValidationRules
) -> str | None:
    """The id of an event's group, where its messages are added to what the receiver has open of that."""
    asked = digest_settings(config)
    if asked is None:
        return None
    group = group_id(webhook.name, group_key(rules.maps.read(event), asked.group_by))
    return group if consumer.find_open(config, group=group) else None


def _sender(webhook: Webhook, consumer: Consumer) -> SendsDigests:
    if isinstance(consumer, SendsDigests):
        return consumer
    raise SewError(f"{webhook.name}: {consumer.name} gets no digests: leave --digest out")


def _first_group(
    webhook: Webhook, consumer: Consumer, config: Config, events: Sequence[Event], rules: ValidationRules
) -> tuple[Sequence[Event], DigestSettings]:
    """The events that would go together with the first one."""
    _sender(webhook, consumer)
    asked = digest_settings(config)
    if asked is None:
        raise SewError(f"{webhook.name} has no digests: set its variable `digest`, such as `digest: 10m`")
    groups = [group_key(rules.maps.read(event), asked.group_by) for event in events]
    return [event for event, group in zip(events, groups, strict=True) if group == groups[0]], asked


def _drawn(webhook: Webhook, request: Request, consumer: Consumer, known: Config) -> str:
    """The message as the receiver of a recipe shows it, below the request; nothing of a template that is secret."""
    if webhook.recipe not in recipe_names() or consumer.name != "Generic" or is_secret(known, "template"):
        return ""
    recipe = load_recipe(webhook.recipe)
    lines = "\n".join(f"  {each}".rstrip() for each in drawing(recipe, request.body))
    return f"\n\nas {recipe.title} shows it:\n{without_secrets(lines, secrets_of(consumer, known))}"


def _samples(kind: str, *, together: bool) -> list[Event]:
    return (
        [_identified(sample(each) | {"id": each}) for each in SAMPLE_TYPES] if together else [_identified(sample(kind))]
    )


def _read_events(source: str, *, whole: bool) -> list[Event]:
    """The first event of a file, or all of them."""
    try:
        text = standard_input().read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise SewError(f"the event cannot be read from {source}: {error.strerror or error}") from None
    try:
        return _all_events(text) if whole else [_identified(_parse(text))]
    except BadLineError as error:
        hint = how_to_make_lines(text) if text.lstrip()[:1] == b"[" or whole else ""
        raise SewError(f"there is no event in {source}: {error}{hint and '; ' + hint}") from None


def _all_events(text: bytes) -> list[Event]:
    """The events of all lines; those that are none are counted, as the agent skips them."""
    events, problem = list[Event](), None
    lines = [line for line in text.splitlines() if line.strip()] or [text]
    if begins_json_of_several_lines(lines[0]):
        raise BadLineError("it holds JSON over several lines")
    for line in lines:
        try:
            events.append(_identified(parse_line(line)))
        except BadLineError as error:
            problem = error
    if problem and not events:
        raise problem
    if problem:
        print_warning(f"{len(lines) - len(events)} of {len(lines)} lines are no events: {problem}")
    return events


def _parse(text: bytes) -> dict[str, Any]:
    """A whole file that is one object, else the object on its first line."""
    try:
        return parse_line(text)
    except BadLineError:
        first, _, more = text.lstrip().partition(b"\n")
        if begins_json_of_several_lines(first) or not more.lstrip().startswith(b"{"):
            raise
        return parse_line(first)


def _identified(document: dict[str, Any]) -> Event:
    return Event("", own_id(document) or "preview", document)
