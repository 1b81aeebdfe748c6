"""Validation of a webhook as a whole: manifest, query and consumer together, for the plugin and the agent.

Pure. On a layer of its own, since resource, query and consumers do not know each other.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from kubectl_sew.calico import differences, variable_path
from kubectl_sew.consumers.base import ChecksLabels, ConfigProblem, Consumer
from kubectl_sew.consumers.digest import SendsDigests
from kubectl_sew.consumers.digest_settings import DIGEST, GROUP_BY
from kubectl_sew.consumers.headers import is_json
from kubectl_sew.consumers.own_lines import LINE_VARIABLES, as_template
from kubectl_sew.consumers.registry import CONSUMERS, find
from kubectl_sew.consumers.template_findings import asked_of_events, failing_samples, is_secret, sample_problems
from kubectl_sew.consumers.template_secrets import NAMESPACE as SECRETS
from kubectl_sew.consumers.template_secrets import names_in
from kubectl_sew.event import Event
from kubectl_sew.exceptions import check_exceptions
from kubectl_sew.members import alternatives, members
from kubectl_sew.query import FieldSet, Node, QueryError, bind, compile_matcher, parse
from kubectl_sew.query.fields import closest
from kubectl_sew.query_findings import calico_differences, read_query
from kubectl_sew.recipes.findings import body_problems, recipe_problems
from kubectl_sew.recipes.recipe import load_recipe, recipe_names
from kubectl_sew.resource.conditions import HealthyReason
from kubectl_sew.resource.findings import Finding, error, shown, warning
from kubectl_sew.resource.labels import parse_labels
from kubectl_sew.resource.manifests import LocatedWebhook, Manifests, load_manifests
from kubectl_sew.resource.model import LABELS_ANNOTATION, RECIPE_ANNOTATION, TEST_EVENT_ANNOTATION, Reference, Webhook
from kubectl_sew.resource.references import Objects, Unresolved, resolve
from kubectl_sew.resource.structure import Located, Path
from kubectl_sew.samples import SAMPLE_TYPES, sample, sample_type

REASONS = {
    "SEW012": HealthyReason.STATE,
    "SEW013": HealthyReason.CONFIGURATION_PARSING,
    "SEW014": HealthyReason.CONFIGURATION_PARSING,
    "SEW020": HealthyReason.CONSUMER_DISCOVERY,
    "SEW021": HealthyReason.CONSUMER_VALIDATION,
    "SEW030": HealthyReason.QUERY_PARSING,
    "SEW031": HealthyReason.QUERY_VALIDATION,
    "SEW040": HealthyReason.CONFIGURATION_PARSING,
    "SEW041": HealthyReason.CONFIGURATION_PARSING,
    "SEW042": HealthyReason.CONFIGURATION_PARSING,
    "SEW045": HealthyReason.CONFIGURATION_PARSING,
}
"""Code of an error -> the reason of `Healthy`; any other is `WebhookValidation`."""

_WITH_TEMPLATES = ("template", "fields", *LINE_VARIABLES)
_ALSO_IN_EVENTS = (
    *("id", "labels", "record"),
    *("attack_phase", "geo_info", "mitigations", "mitre_ids", "protocol"),
)
"""Names for templates that queries do not have: ours, and what Calico's events hold and do not index."""

_BESIDE_EVENTS = ("delivery_id", "now", SECRETS)
"""Names that Generic's template has beside the event's fields."""

_WHOLE = ("event", "document", "root")
"""Names that people give to the event itself: their mistake is not one of spelling."""

_AT_THE_TOP = (
    "the event's fields stand at the top: `{{.description}}`, in Jinja2 `{{ description }}`; "
    "all of it is `{{json .}}`, in Jinja2 `{{ event | tojson }}`"
)

_CONFIG: Path = ("spec", "config")
_QUERY: Path = ("spec", "query")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A webhook that can work, with all that delivery needs. `config` holds secrets."""

    webhook: Webhook
    consumer: Consumer
    config: Mapping[str, str] = field(repr=False)
    labels: Mapping[str, str]
    node: Node
    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class InvalidWebhook:
    """A webhook that cannot work as it is: what is wrong and what to do, without a secret."""

    message: str
    reason: HealthyReason = HealthyReason.VALIDATION
    """The reason of its condition `Healthy`."""
    webhook: Webhook | None = None
    """The webhook as far as it could be read; None where nothing of it could."""
    findings: tuple[Finding, ...] = ()
    """Every finding, where all of it was checked."""

    @property
    def consumer(self) -> str:
        return self.webhook.consumer if self.webhook else ""

    @property
    def state(self) -> str:
        return self.webhook.effective_state.value if self.webhook else ""


def _invalid(webhook: Webhook, findings: tuple[Finding, ...]) -> InvalidWebhook:
    """Name the first error, and how many more there are."""
    errors = [finding for finding in findings if finding.is_error]
    first, more = errors[0], len(errors) - 1
    hint = f": {first.hint}" if first.hint else ""
    message = f"{first.message}{hint}" + (f" (and {more} more)" if more else "")
    return InvalidWebhook(message, reason_of(first), webhook, findings)


def reason_of(finding: Finding) -> HealthyReason:
    """The reason of the condition `Healthy` for an error."""
    return REASONS.get(finding.code, HealthyReason.VALIDATION)


def accept(
    webhook: Webhook,
    secrets: Objects,
    config_maps: Objects,
    fields: FieldSet,
    *,
    consumers: Mapping[str, Consumer] = CONSUMERS,
) -> Accepted | InvalidWebhook:
    """The webhook with its configuration resolved, or why not. Wrong parts of its labels are left out (a warning)."""
    config, unresolved = resolve(webhook, secrets, config_maps)
    labels, problems = parse_labels(webhook.labels_text)
    node, located = read_query(webhook.query, fields, _QUERY)
    consumer = find(webhook.consumer, consumers)
    located += [Located(missing.finding) for missing in unresolved]
    located += _check_twice(webhook)
    located += _check_test_event(webhook)
    located += _check_consumer(webhook, consumer, config, {missing.variable for missing in unresolved}, fields)
    located += [
        Located(warning("SEW015", f"in the labels annotation {problem}; it is left out")) for problem in problems
    ]
    findings = tuple(replace(entry.finding, resource=webhook.name) for entry in located)
    if node is None or consumer is None or any(finding.is_error for finding in findings):
        return _invalid(webhook, findings)
    return Accepted(webhook, consumer, config, labels, node, findings)


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
        for found in differences(webhook, consumer, config, fields, _rendered_from(webhook, fields)):
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
    problems = read_query(webhook.query, fields, _QUERY)[1] if webhook.query.strip() else []
    problems += _check_test_event(webhook)
    if unread:
        unresolved = [_excused(webhook, missing, unread) for missing in unresolved]
    if unread is None:
        unresolved = [missing for missing in unresolved if missing.finding.code != "SEW040"]
    problems += [Located(missing.finding, variable_path(webhook, missing.variable)) for missing in unresolved]
    unknown = {missing.variable for missing in unresolved} | _out_of_sight(webhook, config, unread)
    if webhook.consumer.strip() and (consumer is None or _has_config(located)):
        problems += _check_consumer(webhook, consumer, config, unknown, fields)
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
            problems += body_problems(recipe, consumer, config, labels, dict(_sent(webhook, fields)))
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


def _check_twice(webhook: Webhook) -> Iterator[Located]:
    names = [setting.name for setting in webhook.config]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Located(error("SEW014", f"the variable `{shown(name)}` is set twice", "keep one"), _CONFIG)


def _check_test_event(webhook: Webhook) -> Iterator[Located]:
    """Warn of an unknown test event: Calico's processor sends any of its samples for it, and a webhook works on."""
    if webhook.test_event_text and not sample_type(webhook.test_event_text):
        message = (
            f"no sample event is called `{shown(webhook.test_event_text)}`: state Test sends `{webhook.test_event}`"
        )
        finding = warning("SEW016", message, f"one of {', '.join(SAMPLE_TYPES)}")
        yield Located(finding, ("metadata", "annotations", TEST_EVENT_ANNOTATION))


def _check_consumer(
    webhook: Webhook, consumer: Consumer | None, config: Mapping[str, str], unknown: set[str], fields: FieldSet
) -> Iterator[Located]:
    """The consumer's judgement, without what it says only because a value is `unknown`."""
    if consumer is None:
        near = {name.lower(): name for name in CONSUMERS}
        nearest = [near[name] for name in closest(webhook.consumer, list(near), 1)]
        message = f"the consumer must be {alternatives(list(CONSUMERS))}, but is `{shown(webhook.consumer)}`"
        yield Located(
            error("SEW020", message, f"did you mean `{nearest[0]}`?" if nearest else ""), ("spec", "consumer")
        )
        return
    excused = {variable.name for variable in consumer.variables if variable.unless and variable.unless[0] in unknown}
    problems = consumer.validate(config)
    if isinstance(consumer, SendsDigests):
        problems += _check_group_by(config, fields)
    if not any(problem.variable in _WITH_TEMPLATES for problem in problems):
        own = _variables_of(consumer, config)
        known = {name: value for name, value in config.items() if name in own}
        beside = (*(_BESIDE_EVENTS if consumer.name == "Generic" else ()), *({DIGEST} & config.keys()))
        problems += [*_check_names(known, fields, beside)] or _check_bodies(webhook, consumer, known, fields, unknown)
    if _may_be_asked(consumer, unknown):
        own = _variables_of(consumer, config)
        problems = [problem for problem in problems if problem.variable in own or not problem.warning]
    else:
        problems = [*problems, *_unheard_of(consumer, unknown, config)]
    for problem in problems:
        if problem.warning or problem.variable not in unknown | excused:
            say, code = (warning, "SEW022") if problem.warning else (error, "SEW021")
            finding = say(code, problem.message, problem.hint)
            yield Located(finding, variable_path(webhook, problem.variable))


def _check_labels(webhook: Webhook, consumer: object) -> Iterator[Located]:
    """Say which labels are sent where the consumer has some of the same name: to who writes the webhook alone."""
    if isinstance(consumer, ChecksLabels):
        for sentence in consumer.check_labels(parse_labels(webhook.labels_text)[0]):
            yield Located(warning("SEW022", sentence), ("metadata", "annotations", LABELS_ANNOTATION))


def _check_names(config: Mapping[str, str], fields: FieldSet, beside: Collection[str]) -> Iterator[ConfigProblem]:
    """Warnings of what a template would leave empty without a word."""
    for variable, name, line in [*asked_of_events(config), *_asked_by_lines(config)]:
        if name not in beside and not _is_of_events(name, fields):
            near = closest(name, [*fields.fields, *_ALSO_IN_EVENTS], 1) if name not in _WHOLE else []
            asked = "of that name" if is_secret(config, variable) else f"`{shown(name)}`"
            hint = f"did you mean `{near[0]}`?" if near else _AT_THE_TOP
            message = f"line {line}: there is no field {asked}, so nothing is written for it"
            yield ConfigProblem(variable, message, hint, warning=True)


def _check_group_by(config: Mapping[str, str], fields: FieldSet) -> Iterator[ConfigProblem]:
    """Errors of fields that no event has: all events would be one group without a word."""
    for name in members(config.get(GROUP_BY, "")):
        if not _is_of_events(name, fields):
            near = closest(name, [*fields.fields, *_ALSO_IN_EVENTS], 1)
            hint = f"did you mean `{near[0]}`?" if near else "name fields as queries do"
            yield ConfigProblem(GROUP_BY, f"there is no field `{shown(name)}` to group by", hint)


def _check_bodies(
    webhook: Webhook, consumer: Consumer, config: Mapping[str, str], fields: FieldSet, unknown: set[str]
) -> list[ConfigProblem]:
    """Warnings of what a template makes of the sample events that the webhook would send."""
    if not any(name in config for name in _WITH_TEMPLATES):
        return []
    samples = _rendered_from(webhook, fields)
    if consumer.name != "Generic":
        return failing_samples(config, samples)
    return sample_problems(config, samples, as_json="headers" not in unknown and is_json(config))


def _rendered_from(webhook: Webhook, fields: FieldSet) -> Mapping[str, Mapping[str, Any]]:
    """Return type -> what a template gets of each sample event that the webhook would send."""
    own = {"labels": parse_labels(webhook.labels_text)[0]}
    return {kind: event.fields() | {"id": event.id} | own for kind, event in _sent(webhook, fields)}


def _sent(webhook: Webhook, fields: FieldSet) -> Iterator[tuple[str, Event]]:
    """Yield the sample events that the query selects, each at its own time; the test event where there are none."""
    events = _sample_events()
    try:
        selects = compile_matcher(bind(parse(webhook.query), fields))
    except QueryError:
        selected = []
    else:
        selected = [kind for kind, event in events.items() if selects(event.document, event.time or 0.0)]
    yield from ((kind, events[kind]) for kind in selected or [webhook.test_event])


@cache
def _sample_events() -> Mapping[str, Event]:
    return {kind: Event("", kind, sample(kind)) for kind in SAMPLE_TYPES}


def _asked_by_lines(config: Mapping[str, str]) -> Iterator[tuple[str, str, int]]:
    for variable in LINE_VARIABLES:
        for _, name, line in asked_of_events(as_template(config, variable)):
            yield variable, name, line


def _is_of_events(name: str, fields: FieldSet) -> bool:
    inside = any(known.name.startswith(f"{name}.") for known in fields)
    return name in _ALSO_IN_EVENTS or inside or fields.get(name) is not None


def _unheard_of(consumer: Consumer, unknown: set[str], config: Mapping[str, str]) -> list[ConfigProblem]:
    """Return the consumer's findings about unknown names, for variables that it was not shown."""
    problems = consumer.validate(dict.fromkeys(unknown - _variables_of(consumer, config), ""))
    return [problem for problem in problems if problem.variable in unknown and problem.warning]


def _variables_of(consumer: Consumer, config: Mapping[str, str]) -> set[str]:
    """Return the variables that a consumer knows, and those that Generic's template asks for as secrets."""
    known = {variable.name for variable in consumer.variables}
    return known | set(names_in(config)) if consumer.name == "Generic" else known


def _may_be_asked(consumer: Consumer, unknown: set[str]) -> bool:
    """Return whether a template or headers that nobody knows here may ask for any variable as a secret."""
    return consumer.name == "Generic" and bool(unknown & {"template", "headers"})
