"""Variables that replace one line of a message, such as an issue's summary: a template, or Calico's own words."""

from collections.abc import Mapping
from dataclasses import replace

from kubectl_sew.consumers import settings
from kubectl_sew.consumers.base import Config, ConfigProblem, Variable
from kubectl_sew.consumers.templated import check_own_template, own_text
from kubectl_sew.event_maps.readable import ReadableEvent
from kubectl_sew.json_text import line

CALICO = "calico"
"""Value of such a variable that stands for the line which Calico's own processor writes."""

LINE_VARIABLES = ("summary", "title", "alertname")
"""Names of such variables of all consumers."""

_VALUE_LIMIT = 4_000
"""Characters of one value of an event."""


def line_variable(name: str, meaning: str) -> Variable:
    return Variable(name, required=False, meaning=meaning, asked=False)


def check_own_line(config: Config, name: str) -> list[ConfigProblem]:
    return [replace(problem, variable=name) for problem in check_own_template(as_template(config, name))]


def as_template(config: Config, name: str) -> Config:
    """Return a configuration whose only variable is `template`: the line's own, or none where it has no template."""
    value = config.get(name, "")
    return {} if value.strip() in ("", CALICO) else {"template": value}


def own_line(
    event: ReadableEvent, labels: Mapping[str, str], config: Config, name: str, calico: str, limit: int
) -> str:
    """Return the line in at most `limit` characters; "" where the variable is unset, or its template writes nothing.

    `calico`: what Calico writes there. Raises RenderError.
    """
    if settings.text(config, name) == CALICO:
        return calico
    written = own_text(event, labels, as_template(config, name), lambda value: line(value, _VALUE_LIMIT))
    return line(written, limit)
