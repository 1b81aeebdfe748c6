"""Differences in meaning between Calico's own processor and ours that one webhook meets, as warnings. Pure.

A webhook that was written for Calico's processor runs here; what it then does otherwise is told by its manifest, with
what to write instead. What the validation finds anyway is not repeated: see `read_query` and the consumers' checks.
What holds for every webhook, such as retries, is in the documentation alone.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kubectl_sew.consumers.alertmanager_labels import ALERT_NAME, label_name
from kubectl_sew.consumers.base import Config, Consumer
from kubectl_sew.consumers.jira import CALICO_SUMMARY
from kubectl_sew.consumers.own_lines import CALICO, LINE_VARIABLES
from kubectl_sew.consumers.slack import CALICO_TITLE
from kubectl_sew.members import alternatives
from kubectl_sew.pages import page
from kubectl_sew.query import FieldSet
from kubectl_sew.query_findings import calico_differences
from kubectl_sew.resource.effective import State
from kubectl_sew.resource.findings import shown, warning
from kubectl_sew.resource.labels import parse_labels
from kubectl_sew.resource.model import LABELS_ANNOTATION, TEST_EVENT_ANNOTATION, Reference, Webhook
from kubectl_sew.resource.structure import Located, Path

_TLS = ("ca.crt", "tls.crt", "tls.key")
_READ_BY_CALICO: Mapping[str, tuple[str, ...]] = {
    "Slack": ("url",),
    "Jira": ("url", "project", "issueType", "username", "apiToken"),
    "Generic": ("url", "headers", "template"),
    "AlertManager": ("url", "basicAuth", *_TLS, "generatorURL"),
}
"""Consumer -> the variables that Calico's processor reads."""

_LABELS: Path = ("metadata", "annotations", LABELS_ANNOTATION)
_CONSUMER: Path = ("spec", "consumer")
_BACK = "this matters only where the webhook is to go back"


def differences(
    webhook: Webhook,
    consumer: Consumer | None,
    config: Config,
    fields: FieldSet,
    samples: Mapping[str, Mapping[str, Any]],
) -> Iterator[Located]:
    """Yield a warning for each difference, at its place in the manifest.

    `config`: the variables whose values are known; `samples`: type -> a sample event that the query selects, as a
    template gets it.
    """
    yield from calico_differences(webhook.query, fields, ("spec", "query"), delivers=True)
    yield from _in_labels(webhook)
    yield from _in_test(webhook)
    if consumer is None:
        return
    yield from _in_variables(webhook, consumer, config)
    yield from _in_messages(webhook, consumer)
    headers_are_known = "headers" in config or "headers" not in {setting.name for setting in webhook.config}
    if consumer.name == "Generic" and headers_are_known:
        from kubectl_sew.consumers.calico_template import template_differences  # noqa: PLC0415 - jinja2 only for it

        for problem in template_differences(config, samples):
            yield Located(warning("SEW070", problem.message, problem.hint), variable_path(webhook, "template"))


def variable_path(webhook: Webhook, name: str) -> Path:
    """Return the place of a variable's value in a manifest, that of the whole list where it is not set."""
    for index, setting in enumerate(webhook.config):
        if setting.name == name:
            return ("spec", "config", index, "valueFrom" if isinstance(setting.value, Reference) else "value")
    return ("spec", "config")


def _in_labels(webhook: Webhook) -> Iterator[Located]:
    """Warn of blanks in the labels annotation."""
    pairs = [part.partition(":") for part in webhook.labels_text.split(",") if ":" in part]
    if any(text != text.strip() for name, _, value in pairs for text in (name, value)):
        message = "labels are read without the blanks around names and values: Calico's processor keeps those"
        yield Located(warning("SEW071", message, "write `key:value,key:value` without them"), _LABELS)


def _in_test(webhook: Webhook) -> Iterator[Located]:
    """Warn of a test whose sample nobody has chosen; one that nobody knows has a warning in any validation."""
    if webhook.state is State.TEST and not webhook.test_event_text:
        message = f"state Test sends the sample `{webhook.test_event}`: Calico's processor sends any one of its samples"
        hint = f"choose one with the annotation `{TEST_EVENT_ANNOTATION}`"
        yield Located(warning("SEW073", message, hint), ("spec", "state"))


def _in_variables(webhook: Webhook, consumer: Consumer, config: Config) -> Iterator[Located]:
    read = _READ_BY_CALICO.get(consumer.name)
    if read is None:
        yield Located(warning("SEW072", f"Calico's processor has no consumer {consumer.name}", _BACK), _CONSUMER)
        return
    known = {variable.name for variable in consumer.variables}
    for setting in webhook.config:
        same = setting.name in LINE_VARIABLES and config.get(setting.name, "").strip() == CALICO
        if setting.name in known and setting.name not in read and not same:
            message = f"Calico's processor passes over the variable `{setting.name}`, which is read here"
            yield Located(warning("SEW072", message, "leave it out for the same"), variable_path(webhook, setting.name))
        if isinstance(setting.value, Reference) and setting.value.optional:
            message = f"variable `{setting.name}`: Calico's processor knows no `optional`, and refuses the webhook"
            path = (*variable_path(webhook, setting.name), _reference_kind(setting.value), "optional")
            yield Located(warning("SEW072", f"{message} where the value is missing", _BACK), path)
    yield from _in_tls(webhook, read)


def _reference_kind(reference: Reference) -> str:
    return "secretKeyRef" if reference.kind == "Secret" else "configMapKeyRef"


def _in_tls(webhook: Webhook, read: tuple[str, ...]) -> Iterator[Located]:
    given = [setting.name for setting in webhook.config if setting.name in _TLS and setting.name in read]
    if given and len(given) < len(_TLS):
        message = f"Calico's processor passes over `{given[0]}`, since it uses {', '.join(_TLS)} only all together"
        hint = "leave it out for the same: it then trusts the authorities of the system alone"
        yield Located(warning("SEW072", message, hint), variable_path(webhook, given[0]))


def _in_messages(webhook: Webhook, consumer: Consumer) -> Iterator[Located]:
    names = [setting.name for setting in webhook.config]
    for of, variable, what, line in (
        ("Slack", "title", "the header of a message", CALICO_TITLE),
        ("Jira", "summary", "the summary of an issue", CALICO_SUMMARY),
    ):
        if consumer.name == of and variable not in names:
            message = f"{what} is made of the event: Calico's processor always writes `{line}`"
            hint = f"for the same set the variable `{variable}` to `{CALICO}`"
            yield Located(warning("SEW071", message, hint), _CONSUMER)
    if consumer.name == "AlertManager":
        yield from _in_alerts(webhook)


def _in_alerts(webhook: Webhook) -> Iterator[Located]:
    look = f"what is called how: {page('migrating', 'alertmanager')}"
    message = (
        "each event is an alert of its own, with the labels `severity`, `type`, `event_id` and more: Calico's processor"
        " sends no label but the webhook's and `alertname`, so that all its events are one alert"
    )
    yield Located(warning("SEW071", message, "group by `alertname` and `type` in Alertmanager's routes"), _CONSUMER)
    message = "annotations have other names than with Calico's processor, such as `description` for `Description`"
    yield Located(warning("SEW071", message, look), _CONSUMER)
    message = "an alert ends an hour after it was sent: with Calico's processor after Alertmanager's `resolve_timeout`"
    yield Located(warning("SEW071", message, look), _CONSUMER)
    labels = parse_labels(webhook.labels_text)[0]
    renamed = [name for name in labels if label_name(name) != name]
    if renamed:
        pairs = alternatives([f"`{shown(name)}`" for name in renamed])
        message = f"Calico's processor sends the name of the label {pairs} as it is: here it is sent as"
        names = alternatives([f"`{label_name(name)[:60]}`" for name in renamed])
        yield Located(warning("SEW071", f"{message} {names}", "write these names in routes, too"), _LABELS)
    if "alertname" in map(label_name, labels):
        message = f"the label `alertname` is sent as it is given here: Calico's processor sends `{ALERT_NAME}`"
        yield Located(warning("SEW071", message, "leave it out for the same"), _LABELS)
