"""The judgement of one webhook: manifest, query and consumer together, for the plugin and the agent. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from kubectl_sew.consumers.base import Consumer
from kubectl_sew.consumers.registry import CONSUMERS, find
from kubectl_sew.query import FieldSet, Node
from kubectl_sew.query_findings import read_query
from kubectl_sew.resource.conditions import HealthyReason
from kubectl_sew.resource.findings import Finding, error, shown, warning
from kubectl_sew.resource.labels import parse_labels
from kubectl_sew.resource.model import TEST_EVENT_ANNOTATION, Webhook
from kubectl_sew.resource.references import Objects, resolve
from kubectl_sew.resource.structure import Located, Path
from kubectl_sew.samples import SAMPLE_TYPES, sample_type
from kubectl_sew.validation.consumer import check_consumer

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

_CONFIG: Path = ("spec", "config")
QUERY: Path = ("spec", "query")


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
    node, located = read_query(webhook.query, fields, QUERY)
    consumer = find(webhook.consumer, consumers)
    located += [Located(missing.finding) for missing in unresolved]
    located += check_twice(webhook)
    located += check_test_event(webhook)
    located += check_consumer(webhook, consumer, config, {missing.variable for missing in unresolved}, fields)
    located += [
        Located(warning("SEW015", f"in the labels annotation {problem}; it is left out")) for problem in problems
    ]
    findings = tuple(replace(entry.finding, resource=webhook.name) for entry in located)
    if node is None or consumer is None or any(finding.is_error for finding in findings):
        return _invalid(webhook, findings)
    return Accepted(webhook, consumer, config, labels, node, findings)


def check_twice(webhook: Webhook) -> Iterator[Located]:
    names = [setting.name for setting in webhook.config]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Located(error("SEW014", f"the variable `{shown(name)}` is set twice", "keep one"), _CONFIG)


def check_test_event(webhook: Webhook) -> Iterator[Located]:
    """Warn of an unknown test event: Calico's processor sends any of its samples for it, and a webhook works on."""
    if webhook.test_event_text and not sample_type(webhook.test_event_text):
        message = (
            f"no sample event is called `{shown(webhook.test_event_text)}`: state Test sends `{webhook.test_event}`"
        )
        finding = warning("SEW016", message, f"one of {', '.join(SAMPLE_TYPES)}")
        yield Located(finding, ("metadata", "annotations", TEST_EVENT_ANNOTATION))
