"""The values behind a webhook's references to Secrets and ConfigMaps."""

from collections.abc import Mapping
from dataclasses import dataclass

from kubectl_sew.redaction import Secret
from kubectl_sew.resource.findings import Finding, error
from kubectl_sew.resource.model import SECRETS_NAMESPACE, ConfigVar, Reference, Webhook

Objects = Mapping[str, Mapping[str, bytes]]
"""Secrets or ConfigMaps of the one namespace: name -> key -> value."""


_CREATE = f"create it in the Secrets' namespace, by default {SECRETS_NAMESPACE}"


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A variable whose reference leads nowhere; it is not in the configuration then."""

    variable: str
    finding: Finding


def resolve(webhook: Webhook, secrets: Objects, config_maps: Objects) -> tuple[dict[str, str], list[Unresolved]]:
    """The variables with their values (secrets!), and the references that lead nowhere, none of which shows a value.

    A missing object or key leaves the variable unset, and is no problem where the reference is optional.
    """
    config: dict[str, str] = {}
    problems: list[Unresolved] = []
    for variable in webhook.config:
        if isinstance(variable.value, str):
            config[variable.name] = variable.value
            continue
        value = _look_up(variable, variable.value, secrets if variable.value.kind == "Secret" else config_maps)
        if isinstance(value, str):
            config[variable.name] = value
        elif value:
            problems.append(value)
    return config, problems


def _look_up(variable: ConfigVar, reference: Reference, objects: Objects) -> str | Unresolved | None:
    what = f"{reference.kind} `{reference.name}`"
    if (held := objects.get(reference.name)) is None:
        return _missing(variable, reference, "SEW040", f"{what} does not exist", _CREATE)
    if (value := held.get(reference.key)) is None:
        keys = ", ".join(f"`{key}`" for key in sorted(held)[:20]) or "no key at all"
        return _missing(variable, reference, "SEW041", f"{what} has no key `{reference.key}`", f"it holds {keys}")
    try:
        return Secret(value.decode()) if reference.kind == "Secret" else value.decode()
    except UnicodeDecodeError:
        message = f"variable `{variable.name}`: key `{reference.key}` of {what} is not UTF-8 text"
        return Unresolved(variable.name, error("SEW042", message, "store text there"))


def _missing(variable: ConfigVar, reference: Reference, code: str, message: str, hint: str) -> Unresolved | None:
    if reference.optional:
        return None
    return Unresolved(variable.name, error(code, f"variable `{variable.name}`: {message}", hint))
