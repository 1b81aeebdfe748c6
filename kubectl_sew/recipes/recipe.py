"""A recipe as data: read from its file, checked, and expanded into the variables of a Generic webhook. Pure.

In a recipe's URL, headers and template `${NAME}` stands for a plain variable, which is filled in when the webhook is
made; a secret variable stays one of the webhook, where `{{ secret.NAME }}` asks for it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from kubectl_sew.consumers.body_limits import check_limits
from kubectl_sew.consumers.expectation import check_expect
from kubectl_sew.consumers.generic import Generic
from kubectl_sew.consumers.json_path import parse_path
from kubectl_sew.consumers.rate import check_rate
from kubectl_sew.errors import SewError
from kubectl_sew.members import alternatives
from kubectl_sew.resource.model import ConfigVar, Reference

_EXPANDED = ("url", "headers", "template", "expect", "limits", "rate")
"""Generic's variables that a recipe gives, but for those that the person gives."""
_GENERIC = tuple(variable.name for variable in Generic.variables)
_WITH_PLACES = ("url", "headers", "template")
_PLACE = re.compile(r"\$\{(\w+)\}")
_NOT_IN_A_TEMPLATE = re.compile(r"""[\x00-\x1f\x7f"\\{}]""")
"""Characters that would end a text of the template, or begin an action, whatever a variable's form allows."""


class RecipeError(SewError):
    """A recipe cannot be used as it is asked to be; the text repeats no value."""


@dataclass(frozen=True, slots=True)
class RecipeVariable:
    """A variable of a recipe. `form`: the pattern of its whole value; for one that is not secret there must be one."""

    name: str
    meaning: str
    secret: bool = False
    form: str = ""
    default: str | None = None
    """Value where none is given; None where the variable is required."""

    @property
    def required(self) -> bool:
        return self.default is None


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a receiver wants, from its vendor's documentation."""

    name: str
    title: str
    description: str
    documentation: str
    """URL of the vendor's page."""
    identity: str
    """Where the delivery's id stands, and what that does."""
    variables: tuple[RecipeVariable, ...]
    template: str
    shown: str
    """How the receiver shows it, in lines; `{PATH}` is a text of the body. A line whose paths lead nowhere is not."""
    url: str = ""
    """Empty where the person gives all of it, as the variable `url`."""
    headers: str = ""
    expect: str = ""
    limits: str = ""
    rate: str = ""
    required: tuple[str, ...] = ()
    """Paths of the body that must lead to something."""
    notes: str = ""

    def expand(self, given: Sequence[ConfigVar]) -> tuple[ConfigVar, ...]:
        """Return the variables of the Generic webhook. Raises RecipeError with all that is wrong with those given."""
        if problems := list(self._problems(given)):
            raise RecipeError("\n".join(problems))
        own = {variable.name: variable for variable in self.variables}
        plain = {variable.name: variable.default or "" for variable in self.variables if not variable.secret}
        kept = []
        for setting in given:
            if setting.name in plain:
                plain[setting.name] = str(setting.value)
            else:
                kept.append(setting)
        names = {setting.name for setting in kept}
        unset = {name for name in own if name not in names and not plain.get(name)}
        made = [
            ConfigVar(name, text)
            for name in _EXPANDED
            if name not in names and (text := self._text(name, plain, unset))
        ]
        first = ("url", *own)
        return tuple(sorted([*made, *kept], key=lambda setting: _place(setting.name, first)))

    def _text(self, name: str, plain: Mapping[str, str], unset: set[str]) -> str:
        """Return one of Generic's variables; of the headers without the lines that ask for what is not set."""
        text: str = getattr(self, name)
        if name == "headers":
            asked = [f"${{{each}}}" for each in unset] + [f"{{{{ secret.{each} }}}}" for each in unset]
            text = "\n".join(line for line in text.splitlines() if not any(part in line for part in asked))
        return _PLACE.sub(lambda match: plain[match[1]], text) if name in _WITH_PLACES else text.strip()

    def _problems(self, given: Sequence[ConfigVar]) -> Iterator[str]:
        own = {variable.name: variable for variable in self.variables}
        names = [setting.name for setting in given]
        for variable in self.variables:
            if variable.required and variable.name not in names:
                yield f"the recipe {self.name} requires `{variable.name}`: {variable.meaning}"
        for name in dict.fromkeys(names):
            if name not in own and name not in _GENERIC:
                known = alternatives([f"`{each}`" for each in own])
                yield f"the recipe {self.name} has no variable `{name[:60]}`: it has {known}, and those of Generic"
            if names.count(name) > 1:
                yield f"the variable `{name[:60]}` is given twice: keep one"
        for setting in given:
            if setting.name in own:
                yield from own_problems(self.name, own[setting.name], setting.value)


def own_problems(recipe: str, variable: RecipeVariable, value: str | Reference) -> Iterator[str]:
    """Yield what is wrong with a value of a recipe's variable, without repeating it."""
    if isinstance(value, Reference):
        if not variable.secret:
            yield f"`{variable.name}` of the recipe {recipe} is written into the webhook: give it with --config"
        return
    wanted = f"`{variable.name}` of the recipe {recipe} must be {variable.meaning}"
    if variable.form and not re.fullmatch(variable.form, value):
        yield f"{wanted}, and be of the form {variable.form}"
    elif not variable.secret and _NOT_IN_A_TEMPLATE.search(value):
        yield f"{wanted}, without quotes, braces, backslashes and line breaks"


@cache
def recipe_names() -> tuple[str, ...]:
    """Return the names of all recipes, from their files; none is read."""
    names = [entry.name for entry in files(__package__ or "").iterdir()]
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


@cache
def load_recipe(name: str) -> Recipe:
    """Read and check a recipe; raises KeyError where there is none of that name."""
    if name not in recipe_names():
        raise KeyError(name)
    return read_recipe(name, files(__package__ or "").joinpath(f"{name}.yaml").read_text("utf-8"))


def read_recipe(name: str, text: str) -> Recipe:
    """Read a recipe from its file's text, and check it. Raises RecipeError."""
    data = yaml.safe_load(text)
    try:
        variables = tuple(RecipeVariable(**each) for each in data.pop("variables"))
        recipe = Recipe(name=name, variables=variables, **{key: _frozen(value) for key, value in data.items()})
    except (TypeError, KeyError, AttributeError) as error:
        raise RecipeError(f"the recipe {name} is not of the form of a recipe: {error}") from None
    if problems := list(_check(recipe)):
        raise RecipeError(f"the recipe {name} is wrong: {'; '.join(problems)}")
    return recipe


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check(recipe: Recipe) -> Iterator[str]:
    for name in (each.name for each in fields(Recipe)):
        value = getattr(recipe, name)
        if name not in ("variables", "required") and not isinstance(value, str):
            yield f"`{name}` must be a text"
            return
    config = {"expect": recipe.expect, "limits": recipe.limits, "rate": recipe.rate}
    yield from (problem.message for check in (check_expect, check_limits, check_rate) for problem in check(config))
    names = [variable.name for variable in recipe.variables]
    if not recipe.url and "url" not in names:
        yield "neither `url` nor a variable of that name is there"
    for path in recipe.required:
        parse_path(path)
    for variable in recipe.variables:
        if not variable.secret and not variable.form:
            yield f"the variable `{variable.name}` needs a form, since it is not secret"
    plain = {variable.name for variable in recipe.variables if not variable.secret}
    for name in _WITH_PLACES:
        yield from (
            f"`${{{asked}}}` asks for what there is not"
            for asked in _PLACE.findall(getattr(recipe, name))
            if asked not in plain
        )


def _place(name: str, first: Sequence[str]) -> int:
    return first.index(name) if name in first else len(first)
