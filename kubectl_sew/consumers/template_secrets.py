"""Secrets in Generic's body and headers: `{{ secret.NAME }}` stands for the variable NAME, whose value is in a Secret.

Such a value is not among the event's fields, and stands alone in its action: no template can cut, compare or print it
otherwise, so that wherever it is repeated it is known, and hidden.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from kubectl_sew.consumers import settings
from kubectl_sew.consumers.base import Config, ConfigProblem
from kubectl_sew.redaction import HIDDEN, Secret

NAMESPACE = "secret"
"""Name under which templates have these variables."""
_LIMIT = 4_096
_IN_A_HEADER = re.compile(r"\{\{-?\s*\.?secret\.([A-Za-z][A-Za-z0-9_]{0,62})\s*-?\}\}")


def names_in(config: Config) -> list[str]:
    """Return the variables that a configuration's template and headers ask for as secrets, in their order."""
    return list(dict.fromkeys([*_names_in_template(config), *_names_in_headers(config)]))


def _names_in_headers(config: Config) -> list[str]:
    return _IN_A_HEADER.findall(config.get("headers", ""))


def _names_in_template(config: Config) -> list[str]:
    template = config.get("template", "")
    if NAMESPACE not in template:
        return []
    from kubectl_sew.consumers.template import secret_names  # noqa: PLC0415 - jinja2 only where it is needed

    return list(secret_names(template))


def secrets_for_template(config: Config) -> Mapping[str, str]:
    """Return name -> value of what the template asks for; a line break at a value's end is not of it."""
    return {name: settings.text(config, name) for name in _names_in_template(config)}


def fill_header(value: str, config: Config) -> str:
    return _IN_A_HEADER.sub(lambda match: settings.text(config, match[1]), value)


def concealed(config: Config) -> Config:
    """Return a configuration to render for people: `[secret]` in place of every value that a template asks for."""
    return {**config, **{name: HIDDEN for name in names_in(config) if name in config}}


def check_secrets(config: Config, taken: Collection[str]) -> list[ConfigProblem]:
    """Check that each one is there, in a Secret, and not too long, and that headers name them as they must.

    `taken`: the consumer's own variables, which cannot be asked for.
    """
    names = names_in(config)
    problems = [problem for name in names if name not in taken for problem in _check_secret(name, config)]
    for name in set(names) & set(taken):
        message = f"`{{{{ secret.{name} }}}}` asks for a variable that Generic has for itself"
        problems.append(ConfigProblem(name, message, "give the secret a variable of another name"))
    without = _IN_A_HEADER.sub("", config.get("headers", ""))
    if "{{" in without and NAMESPACE in without:
        hint = "in a header it stands alone, as `{{ secret.NAME }}`"
        problems.append(ConfigProblem("headers", "a secret is not written as it must be", hint))
    return problems


def without_known(problems: list[ConfigProblem], config: Config) -> list[ConfigProblem]:
    """Return the problems but for those of variables that are unknown only because the template gives them a name."""
    known = set(names_in(config))
    return [problem for problem in problems if not (problem.warning and problem.variable in known)]


def _check_secret(name: str, config: Config) -> list[ConfigProblem]:
    value = config.get(name)
    hint = f"add the variable `{name}` with a `secretKeyRef`"
    if value is None or not value.strip():
        what = "there is no variable of that name" if value is None else "that variable is empty"
        return [ConfigProblem(name, f"`{{{{ secret.{name} }}}}` is asked for, and {what}", hint)]
    if len(value) > _LIMIT:
        return [ConfigProblem(name, f"`{name}` has {len(value)} characters", f"at most {_LIMIT} are allowed")]
    if name in _names_in_headers(config) and settings.plain_line(name, value.strip()):
        return [replace(problem, variable=name) for problem in settings.plain_line(name, value.strip())]
    if isinstance(value, Secret):
        return []
    why = f"`{name}` is used as a secret, and all who may read webhooks can read it here"
    return [ConfigProblem(name, why, "keep it in a Secret: `valueFrom` with a `secretKeyRef`", warning=True)]
