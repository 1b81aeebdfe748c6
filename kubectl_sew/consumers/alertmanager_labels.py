"""Labels of an alert: what people route and group by. The webhook's own win, but for those that identify an alert."""

import re
from collections.abc import Iterable, Mapping

from kubectl_sew.consumers import settings
from kubectl_sew.consumers.base import Config, ConfigProblem, Variable
from kubectl_sew.consumers.own_lines import check_own_line, line_variable, own_line
from kubectl_sew.consumers.severity_words import SEVERITY_WORDS, read_severity_words, severity_word
from kubectl_sew.event_maps.readable import ReadableEvent
from kubectl_sew.json_text import line

ALERT_NAME = "Calico Security Event"
"""The `alertname` of every alert of Calico's own processor."""
LABEL_LIMIT = 1_024
"""Bytes, as Alertmanager and those that read its API (Mimir) count."""

LABEL_VARIABLES = (
    line_variable("alertname", f"a template of the label `alertname`; by default `{ALERT_NAME}`"),
    Variable(
        "severityMap",
        required=False,
        meaning=f"the words of the label `severity`, each with its lowest number; by default `{SEVERITY_WORDS}`",
        asked=False,
    ),
)

_LABELS_LIMIT = 50
_FROM_THE_EVENT = ("type", "origin", "source_namespace", "source_name", "dest_namespace", "dest_name")
_IDENTITY = ("event_id", "delivery_id")
"""Alertmanager takes equal labels for one alert, so nobody may set these."""
_REPLACEABLE = ("alertname", "severity", *_FROM_THE_EVENT)
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_]")


def alert_labels(event: ReadableEvent, labels: Mapping[str, str], config: Config, delivery_id: str) -> dict[str, str]:
    """Return the labels of an alert, without empty ones, which Alertmanager drops.

    `labels`: the webhook's. Raises RenderError.
    """
    shown = event.shown
    ours = {name: line(shown.document.get(name), LABEL_LIMIT) for name in _FROM_THE_EVENT}
    ours["alertname"] = own_line(event, labels, config, "alertname", ALERT_NAME, LABEL_LIMIT) or ALERT_NAME
    words = settings.text(config, "severityMap") or SEVERITY_WORDS
    ours["severity"] = severity_word(event.severity, words)
    given = {label_name(name): line(value, LABEL_LIMIT) for name, value in list(labels.items())[:_LABELS_LIMIT]}
    identity = {"event_id": line(shown.id, LABEL_LIMIT), "delivery_id": delivery_id}
    return _without_empty(ours) | _without_empty(given) | _without_empty(identity)


def label_name(name: str) -> str:
    """Return the nearest name that Alertmanager takes: `[a-zA-Z_][a-zA-Z0-9_]*`."""
    mapped = _NOT_IN_NAME.sub("_", name)[:128]
    return f"_{mapped}" if not mapped or mapped[0].isdigit() else mapped


def check_label_variables(config: Config) -> list[ConfigProblem]:
    problems = check_own_line(config, "alertname")
    try:
        read_severity_words(settings.text(config, "severityMap"))
    except ValueError as error:
        hint = f"write `WORD:NUMBER` pairs, separated by commas: `{SEVERITY_WORDS}`"
        problems.append(ConfigProblem("severityMap", f"`severityMap` {error}", hint))
    return problems


def check_given_labels(labels: Mapping[str, str]) -> list[str]:
    """Return a sentence for each of a webhook's labels that meets another of the same name: which of them is sent."""
    return [*_against_ours(labels), *_against_each_other(labels)]


def _against_ours(labels: Mapping[str, str]) -> Iterable[str]:
    for name in labels:
        mapped = label_name(name)
        if mapped in _IDENTITY:
            yield f"the label `{mapped}` is not sent: the agent's own identifies the alert"
        elif mapped in _REPLACEABLE and line(labels[name], LABEL_LIMIT):
            yield f"the label `{mapped}` is sent as it is given here, in place of the agent's own"


def _against_each_other(labels: Mapping[str, str]) -> Iterable[str]:
    last = {label_name(name): name for name in labels}
    for name in labels:
        winner = last[label_name(name)]
        if winner != name:
            yield f"`{name}` and `{winner}` are both sent as `{label_name(name)}`: the last one wins"


def _without_empty(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if value}
