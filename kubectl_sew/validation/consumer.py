"""Validation of a webhook's configuration by its consumer, and of what its templates ask of events. Pure."""

from collections.abc import Collection, Iterator, Mapping

from kubectl_sew.calico import variable_path
from kubectl_sew.consumers.base import ConfigProblem, Consumer
from kubectl_sew.consumers.digest import SendsDigests
from kubectl_sew.consumers.digest_settings import DIGEST, GROUP_BY
from kubectl_sew.consumers.headers import is_json
from kubectl_sew.consumers.own_lines import LINE_VARIABLES, as_template
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.consumers.template_findings import asked_of_events, failing_samples, is_secret, sample_problems
from kubectl_sew.consumers.template_secrets import NAMESPACE as SECRETS
from kubectl_sew.consumers.template_secrets import names_in
from kubectl_sew.members import alternatives, members
from kubectl_sew.query import FieldSet
from kubectl_sew.query.fields import closest
from kubectl_sew.resource.findings import error, shown, warning
from kubectl_sew.resource.model import Webhook
from kubectl_sew.resource.structure import Located
from kubectl_sew.validation.samples import rendered_samples

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


def check_consumer(
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
            secret = is_secret(config, GROUP_BY)
            near = [] if secret else closest(name, [*fields.fields, *_ALSO_IN_EVENTS], 1)
            hint = f"did you mean `{near[0]}`?" if near else "name fields as queries do"
            asked = "of that name" if secret else f"`{shown(name)}`"
            yield ConfigProblem(GROUP_BY, f"there is no field {asked} to group by", hint)


def _check_bodies(
    webhook: Webhook, consumer: Consumer, config: Mapping[str, str], fields: FieldSet, unknown: set[str]
) -> list[ConfigProblem]:
    """Warnings of what a template makes of the sample events that the webhook would send."""
    if not any(name in config for name in _WITH_TEMPLATES):
        return []
    samples = rendered_samples(webhook, fields)
    if consumer.name != "Generic":
        return failing_samples(config, samples)
    return sample_problems(config, samples, as_json="headers" not in unknown and is_json(config))


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
