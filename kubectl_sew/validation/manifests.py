"""Validation of manifests, each webhook and AlertException of them at its place in its file. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from kubectl_sew.calico import differences, variable_path
from kubectl_sew.consumers.base import ChecksLabels, Consumer
from kubectl_sew.consumers.registry import CONSUMERS, find
from kubectl_sew.exceptions import check_exceptions
from kubectl_sew.query import FieldSet
from kubectl_sew.query.fields import closest
from kubectl_sew.query_findings import calico_differences, read_query
from kubectl_sew.recipes.findings import body_problems, recipe_problems
from kubectl_sew.recipes.recipe import load_recipe, recipe_names
from kubectl_sew.resource.findings import Finding, error, shown, warning
from kubectl_sew.resource.labels import parse_labels
from kubectl_sew.resource.manifests import LocatedWebhook, Manifests, load_manifests
from kubectl_sew.resource.model import LABELS_ANNOTATION, RECIPE_ANNOTATION, Reference, Webhook
from kubectl_sew.resource.references import Objects, Unresolved, resolve
from kubectl_sew.resource.structure import Located, Path
from kubectl_sew.validation.consumer import check_consumer
from kubectl_sew.validation.samples import rendered_samples, selected_samples
from kubectl_sew.validation.webhook import QUERY, check_test_event


def validate_manifests(
    manifests: Manifests,
    fields: FieldSet,
    *,
    consumers: Mapping[str, Consumer] = CONSUMERS,
    unread: Mapping[tuple[str, str], str] | None = None,
    calico: bool = False,
) -> list[Finding]:
    """Return every finding about some manifests, in the order of the files.

    `calico`: with a warning for each difference in meaning between Calico's own processor and ours.

    A Secret or ConfigMap that is not among the manifests may be elsewhere: its value is then not judged. Where there is
    no elsewhere, what is missing is an error, but for those `unread` (kind and name -> why).
    """
    findings = list(manifests.findings)
    for located in manifests.webhooks:
        findings += _check_manifest(located, manifests, fields, consumers, unread)
    findings += check_exceptions(manifests.exceptions, fields)
    if calico:
        findings += _differences(manifests, fields, consumers)
    if not manifests.webhooks and not manifests.exceptions and not any(finding.is_error for finding in findings):
        findings.append(error("SEW017", "no SecurityEventWebhook was found", "give the file or folder that holds some"))
    return sorted(findings, key=lambda finding: (finding.file, finding.line, finding.column, finding.code))


def check_for_calico(
    obj: Mapping[str, Any],
    secrets: Objects,
    config_maps: Objects,
    fields: FieldSet,
    *,
    consumers: Mapping[str, Consumer] = CONSUMERS,
) -> list[Finding]:
    """Return every finding about one webhook as the API has it, each difference from Calico's processor included.

    A finding has no place. A Secret or ConfigMap that is not among those given is not judged.
    """
    held = replace(load_manifests(json.dumps(obj), ""), secrets=secrets, config_maps=config_maps)
    found = validate_manifests(held, fields, consumers=consumers, calico=True)
    return [replace(finding, line=0, column=0) for finding in found]


def _differences(manifests: Manifests, fields: FieldSet, consumers: Mapping[str, Consumer]) -> Iterator[Finding]:
    for located in manifests.webhooks:
        webhook = located.webhook
        config = resolve(webhook, manifests.secrets, manifests.config_maps)[0]
        consumer = find(webhook.consumer, consumers)
        for found in differences(webhook, consumer, config, fields, rendered_samples(webhook, fields)):
            yield located.locate(found.finding, found.path)
    for exception in manifests.exceptions:
        for found in calico_differences(exception.exception.selector, fields, ("spec", "selector"), delivers=False):
            yield exception.locate(found.finding, found.path)


def _check_manifest(
    located: LocatedWebhook,
    manifests: Manifests,
    fields: FieldSet,
    consumers: Mapping[str, Consumer],
    unread: Mapping[tuple[str, str], str] | None,
) -> Iterator[Finding]:
    webhook = located.webhook
    config, unresolved = resolve(webhook, manifests.secrets, manifests.config_maps)
    consumer = find(webhook.consumer, consumers)
    problems = read_query(webhook.query, fields, QUERY)[1] if webhook.query.strip() else []
    problems += check_test_event(webhook)
    if unread:
        unresolved = [_excused(webhook, missing, unread) for missing in unresolved]
    if unread is None:
        unresolved = [missing for missing in unresolved if missing.finding.code != "SEW040"]
    problems += [Located(missing.finding, variable_path(webhook, missing.variable)) for missing in unresolved]
    unknown = {missing.variable for missing in unresolved} | _out_of_sight(webhook, config, unread)
    if webhook.consumer.strip() and (consumer is None or _has_config(located)):
        problems += check_consumer(webhook, consumer, config, unknown, fields)
    problems += _check_labels(webhook, consumer)
    if webhook.recipe:
        sound = consumer if not any(problem.finding.is_error for problem in problems) else None
        warned = any(problem.path == variable_path(webhook, "template") for problem in problems)
        problems += _check_recipe(webhook, sound, config, unknown | ({"template"} if warned else set()), fields)
    for problem in problems:
        yield located.locate(problem.finding, problem.path)


def _check_recipe(
    webhook: Webhook, consumer: Consumer | None, config: Mapping[str, str], unknown: set[str], fields: FieldSet
) -> Iterator[Located]:
    """Warn of what the recipe's receiver would refuse; of a `consumer` that is None only whether there is a recipe.

    `unknown`: variables that cannot be judged; a template that takes too long, or fails, is not tried once more.
    """
    path: Path = ("metadata", "annotations", RECIPE_ANNOTATION)
    if webhook.recipe not in recipe_names():
        near = closest(webhook.recipe, list(recipe_names()), 1)
        hint = f"did you mean `{near[0]}`?" if near else "`kubectl sew recipes` lists them"
        yield Located(warning("SEW022", f"there is no recipe `{shown(webhook.recipe)}`", hint), path)
    elif consumer is not None and consumer.name != "Generic":
        hint = "leave the annotation out"
        yield Located(warning("SEW022", f"recipes are for Generic, and this is {consumer.name}", hint), path)
    elif consumer is not None:
        recipe = load_recipe(webhook.recipe)
        problems = [*recipe_problems(recipe, config, unknown)]
        if "template" not in unknown:
            labels = parse_labels(webhook.labels_text)[0]
            problems += body_problems(recipe, consumer, config, labels, dict(selected_samples(webhook, fields)))
        for problem in problems:
            yield Located(warning("SEW022", problem.message, problem.hint), variable_path(webhook, problem.variable))


def _excused(webhook: Webhook, unresolved: Unresolved, unread: Mapping[tuple[str, str], str]) -> Unresolved:
    """A missing object as a warning, where it could not be read."""
    references = {setting.name: setting.value for setting in webhook.config if isinstance(setting.value, Reference)}
    reference = references[unresolved.variable]
    why = unread.get((reference.kind, reference.name))
    if why is None:
        return unresolved
    message = f"variable `{unresolved.variable}`: {reference.kind} `{reference.name}` cannot be read"
    return replace(unresolved, finding=warning("SEW043", message, why))


def _out_of_sight(
    webhook: Webhook, config: Mapping[str, str], unread: Mapping[tuple[str, str], str] | None
) -> set[str]:
    """Variables whose value nobody knows here, although there may be one."""
    pairs = [(setting.name, setting.value) for setting in webhook.config if setting.name not in config]
    references = {name: value for name, value in pairs if isinstance(value, Reference)}
    return {
        name for name, reference in references.items() if unread is None or (reference.kind, reference.name) in unread
    }


def _has_config(located: LocatedWebhook) -> bool:
    """Return whether there is a list of variables at all: without it a known consumer would only repeat the finding."""
    spec = located.node.inside("spec")
    config = spec.inside("config") if spec else None
    return config is not None and isinstance(config.value, list)


def _check_labels(webhook: Webhook, consumer: object) -> Iterator[Located]:
    """Say which labels are sent where the consumer has some of the same name: to who writes the webhook alone."""
    if isinstance(consumer, ChecksLabels):
        for sentence in consumer.check_labels(parse_labels(webhook.labels_text)[0]):
            yield Located(warning("SEW022", sentence), ("metadata", "annotations", LABELS_ANNOTATION))
