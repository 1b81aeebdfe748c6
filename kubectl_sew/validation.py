"""Validation of a webhook as a whole: manifest, query and consumer together, for the plugin and the agent.

Pure. On a layer of its own, since resource, query and consumers do not know each other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from kubectl_sew.consumers.base import ChecksLabels, ConfigProblem, Consumer
from kubectl_sew.consumers.headers import is_json
from kubectl_sew.consumers.own_lines import LINE_VARIABLES, as_template
from kubectl_sew.consumers.registry import CONSUMERS, find
from kubectl_sew.consumers.template_findings import asked_of_events, failing_samples, is_secret, sample_problems
from kubectl_sew.event import Event
from kubectl_sew.exceptions import check_exceptions
from kubectl_sew.members import alternatives
from kubectl_sew.query import FieldSet, Node, QueryError, bind, compile_matcher, parse
from kubectl_sew.query.fields import closest
from kubectl_sew.query_findings import read_query
from kubectl_sew.resource.conditions import HealthyReason
from kubectl_sew.resource.findings import Finding, error, shown, warning
from kubectl_sew.resource.labels import parse_labels
from kubectl_sew.resource.manifests import LocatedWebhook, Manifests
from kubectl_sew.resource.model import LABELS_ANNOTATION, TEST_EVENT_ANNOTATION, Reference, Webhook
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
        return self.webhook.state.value if self.webhook else ""


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
) -> list[Finding]:
    """Return every finding about some manifests, in the order of the files.

    A Secret or ConfigMap that is not among the manifests may be elsewhere: its value is then not judged. Where there is
    no elsewhere, what is missing is an error, but for those `unread` (kind and name -> why).
    """
    findings = list(manifests.findings)
    for located in manifests.webhooks:
        findings += _check_manifest(located, manifests, fields, consumers, unread)
    findings += check_exceptions(manifests.exceptions, fields)
    if not manifests.webhooks and not manifests.exceptions and not any(finding.is_error for finding in findings):
        findings.append(error("SEW017", "no SecurityEventWebhook was found", "give the file or folder that holds some"))
    return sorted(findings, key=lambda finding: (finding.file, finding.line, finding.column, finding.code))


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
    problems += [Located(missing.finding, _variable_path(webhook, missing.variable)) for missing in unresolved]
    unknown = {missing.variable for missing in unresolved} | _out_of_sight(webhook, config, unread)
    if webhook.consumer.strip() and (consumer is None or _has_config(located)):
        problems += _check_consumer(webhook, consumer, config, unknown, fields)
    problems += _check_labels(webhook, consumer)
    for problem in problems:
        yield located.locate(problem.finding, problem.path)


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
    if not any(problem.variable in _WITH_TEMPLATES for problem in problems):
        known = {
            name: value for name, value in config.items() if name in {variable.name for variable in consumer.variables}
        }
        problems += [*_check_names(known, fields)] or _check_bodies(webhook, consumer, known, fields, unknown)
    for problem in [*problems, *_unheard_of(consumer, unknown)]:
        if problem.warning or problem.variable not in unknown | excused:
            say, code = (warning, "SEW022") if problem.warning else (error, "SEW021")
            finding = say(code, problem.message, problem.hint)
            yield Located(finding, _variable_path(webhook, problem.variable))


def _check_labels(webhook: Webhook, consumer: object) -> Iterator[Located]:
    """Say which labels are sent where the consumer has some of the same name: to who writes the webhook alone."""
    if isinstance(consumer, ChecksLabels):
        for sentence in consumer.check_labels(parse_labels(webhook.labels_text)[0]):
            yield Located(warning("SEW022", sentence), ("metadata", "annotations", LABELS_ANNOTATION))


def _check_names(config: Mapping[str, str], fields: FieldSet) -> Iterator[ConfigProblem]:
    """Warnings of what a template would leave empty without a word."""
    for variable, name, line in [*asked_of_events(config), *_asked_by_lines(config)]:
        if not _is_of_events(name, fields):
            near = closest(name, [*fields.fields, *_ALSO_IN_EVENTS], 1) if name not in _WHOLE else []
            asked = "of that name" if is_secret(config, variable) else f"`{shown(name)}`"
            hint = f"did you mean `{near[0]}`?" if near else _AT_THE_TOP
            message = f"line {line}: there is no field {asked}, so nothing is written for it"
            yield ConfigProblem(variable, message, hint, warning=True)


def _check_bodies(
    webhook: Webhook, consumer: Consumer, config: Mapping[str, str], fields: FieldSet, unknown: set[str]
) -> list[ConfigProblem]:
    """Warnings of what a template makes of the sample events that the webhook would send."""
    if not any(name in config for name in _WITH_TEMPLATES):
        return []
    own = {"labels": parse_labels(webhook.labels_text)[0]}
    samples = {kind: event.fields() | {"id": event.id} | own for kind, event in _sent(webhook, fields)}
    if consumer.name != "Generic":
        return failing_samples(config, samples)
    return sample_problems(config, samples, as_json="headers" not in unknown and is_json(config))


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


def _unheard_of(consumer: Consumer, unknown: set[str]) -> list[ConfigProblem]:
    """Return the consumer's findings about unknown names, for variables that it was not shown."""
    problems = consumer.validate(dict.fromkeys(unknown - {variable.name for variable in consumer.variables}, ""))
    return [problem for problem in problems if problem.variable in unknown and problem.warning]


def _variable_path(webhook: Webhook, name: str) -> Path:
    for index, setting in enumerate(webhook.config):
        if setting.name == name:
            return (*_CONFIG, index, "valueFrom" if isinstance(setting.value, Reference) else "value")
    return _CONFIG
