"""The form that makes a webhook of a query: the flags of `kubectl sew create`, and what they make."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kubectl_sew.cli.draft import Draft, build, in_words, read_reference
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.dashboard.reach import Reach
from kubectl_sew.errors import SewError
from kubectl_sew.redaction import HIDDEN
from kubectl_sew.resource import ConfigVar, Reference, Webhook, to_object
from kubectl_sew.resource.writing import to_yaml

_KINDS = {"secret": "Secret", "configmap": "ConfigMap"}


@dataclass(frozen=True, slots=True)
class DraftView:
    """A form as it was filled in; `problem`, or what it makes: the manifest, and the command."""

    name: str
    consumer: str
    query: str
    variables: str
    problem: str = ""
    manifest: str = ""
    typed: str = ""


def draft_of(form: Mapping[str, str]) -> Webhook:
    """Return the webhook that a form describes. Raises SewError."""
    consumer = form.get("consumer", "")
    if consumer not in CONSUMERS:
        raise SewError("choose a consumer")
    variables = tuple(map(_variable, filter(None, map(str.strip, form.get("variables", "").splitlines()))))
    return build(Draft(form.get("name", "").strip(), consumer, form.get("query", ""), None, variables))


def draft_view(form: Mapping[str, str], reach: Reach) -> DraftView:
    """Return the form with what it makes, or with what is wrong; a value that is typed in is not repeated."""
    filled = DraftView(*(form.get(name, "") for name in ("name", "consumer", "query", "variables")))
    try:
        webhook = draft_of(form)
    except SewError as error:
        return replace(filled, problem=error.render())
    if errors := [finding for finding in reach.findings(webhook) if finding.is_error]:
        return replace(filled, problem=in_words(errors))
    return replace(filled, manifest=to_yaml(to_object(webhook)), typed=_typed(webhook, reach))


def _variable(text: str) -> ConfigVar:
    """Return one variable: NAME=VALUE, NAME=secret:NAME/KEY or NAME=configmap:NAME/KEY."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise SewError("a variable is written NAME=VALUE, or NAME=secret:SECRET/KEY, one on each line")
    kind, _, place = value.partition(":")
    if kind in _KINDS:
        reference = read_reference(_KINDS[kind], place)
        if reference is None:
            raise SewError(f"`{name}` must be written {name}={kind}:NAME/KEY")
        return ConfigVar(name, reference)
    return ConfigVar(name, value)


def _typed(webhook: Webhook, reach: Reach) -> str:
    words = ["create", webhook.name, "--consumer", webhook.consumer, "--query", webhook.query]
    for variable in webhook.config:
        value = variable.value
        if isinstance(value, Reference):
            words += [f"--{value.kind.lower()}", f"{variable.name}={value.name}/{value.key}"]
        else:
            words += ["--config", f"{variable.name}={HIDDEN}"]
    return reach.plugin_command(*words)
