"""Asks on a terminal, step by step, for what a webhook still misses. Each answer is judged at once, and asked again.

Questions go to stderr, so that stdout holds nothing but the result.
"""

import sys
from collections.abc import Callable, Mapping, Sequence

from kubectl_sew.cli.draft import Draft, in_words, label_problem, read_reference
from kubectl_sew.cli.output import echo, print_error
from kubectl_sew.cli.prompt import read_line, read_unseen
from kubectl_sew.cli.standard_input import can_answer
from kubectl_sew.cli.validation_options import ValidationRules
from kubectl_sew.consumers.base import Consumer, Variable
from kubectl_sew.members import members
from kubectl_sew.query import FieldSet, QueryError, bind, parse
from kubectl_sew.recipes.recipe import Recipe, RecipeVariable, own_problems
from kubectl_sew.resource import SECRETS_NAMESPACE, ConfigVar, Reference, State, Webhook, check_structure, to_object

_KINDS = {"secret": "Secret", "configmap": "ConfigMap"}
_VARIABLES = f"""
Now the variables of {{}}. Those marked * are required; press Enter to skip any of the others. Type the value, or \
secret:NAME/KEY or configmap:NAME/KEY where a Secret or ConfigMap in the namespace {SECRETS_NAMESPACE} holds it. \
Credentials belong in a Secret: all who may read webhooks can read what is typed here."""
_PEM = "a certificate or key has several lines: keep it in a Secret, and type secret:NAME/KEY"

_UNSEEN = "the answer holds invisible characters, or some that are not text: type it again"

AnswerCheck = Callable[[str], str]
"""An answer -> what is wrong with it; "" if nothing."""


def can_ask() -> bool:
    """Return whether a person is at the terminal."""
    return can_answer() and sys.stderr.isatty()


def needs_variables(draft: Draft, rules: ValidationRules) -> bool:
    """Return whether a variable is missing that the draft's consumer requires."""
    given = {variable.name: variable for variable in draft.config}
    variables = rules.consumers[draft.consumer].variables if draft.consumer else ()
    return any(variable.name not in given and _is_required(variable, given) for variable in variables)


def ask_missing(draft: Draft, rules: ValidationRules) -> Draft:
    """The draft with everything that it missed; an end of the input (Ctrl-D) raises EOFError."""
    name = draft.name or _ask("Name", _name_problem)
    consumer = rules.consumers[draft.consumer or _choose("Consumer", list(rules.consumers))]
    query = draft.query or _ask(
        "Query, e.g. type = waf AND severity >= 90", lambda answer: _query_problem(answer, rules.fields)
    )
    config = draft.config if draft.recipe else _ask_variables(consumer, draft.config)
    labels = draft.labels or _ask_labels()
    state = draft.state or _choose("State", [known.value for known in State], State.ENABLED.value)
    return Draft(name, consumer.name, query, state, config, labels, draft.recipe)


def ask_recipe_variables(recipe: Recipe, given: tuple[ConfigVar, ...]) -> tuple[ConfigVar, ...]:
    """The variables of a recipe with those that are required and were not given."""
    names = {setting.name for setting in given}
    missing = [variable for variable in recipe.variables if variable.required and variable.name not in names]
    return (*given, *(_ask_recipe_variable(recipe, variable) for variable in missing))


def _ask_recipe_variable(recipe: Recipe, variable: RecipeVariable) -> ConfigVar:
    def check(answer: str) -> str:
        value = _read_value(answer)
        if value is None:
            return "a reference must be secret:NAME/KEY or configmap:NAME/KEY"
        if not answer:
            return f"the recipe {recipe.name} requires `{variable.name}`"
        return "\n".join(own_problems(recipe.name, variable, value))

    how = ", or secret:NAME/KEY where a Secret holds it; not shown while you type" if variable.secret else ""
    answer = _ask(f"* {variable.name} ({variable.meaning}{how})", check, read_unseen if variable.secret else read_line)
    return ConfigVar(variable.name, _read_value(answer) or "")


def _ask(question: str, check: AnswerCheck, read: Callable[[str], str] = read_line) -> str:
    while True:
        answer = read(f"{question}: ").strip()
        problem = check(answer) if answer.isprintable() else _UNSEEN
        if not problem:
            return answer
        print_error(problem)


def _choose(question: str, words: Sequence[str], default: str = "") -> str:
    """Read one of some words, in any letter case; also a unique beginning of one."""

    def matching(answer: str) -> list[str]:
        exact = [word for word in words if word.lower() == (answer or default).lower()]
        return exact or [word for word in words if answer and word.lower().startswith(answer.lower())]

    wanted = f"the answer must be one of {', '.join(words)}"
    shown = f"{question} ({', '.join(words)})" + (f" [{default}]" if default else "")
    return matching(_ask(shown, lambda answer: "" if len(matching(answer)) == 1 else wanted))[0]


def _name_problem(name: str) -> str:
    findings = check_structure(to_object(Webhook(name, "", State.ENABLED, "")))
    return in_words(finding.finding for finding in findings if finding.path[:1] == ("metadata",))


def _query_problem(query: str, fields: FieldSet) -> str:
    if not query:
        return "a query is needed: `kubectl sew fields` lists the keys that it may use"
    try:
        bind(parse(query), fields, query)
    except QueryError as error:
        return error.render()
    return ""


def _ask_variables(consumer: Consumer, given: tuple[ConfigVar, ...]) -> tuple[ConfigVar, ...]:
    """Ask for variables: those first that decide about others, then the required ones; few need the rest."""
    echo(_VARIABLES.format(consumer.name), err=True)
    deciding = {other.unless[0] for other in consumer.variables if other.unless}
    chosen = {setting.name: setting for setting in given}
    for variable in sorted(
        consumer.variables, key=lambda setting: (setting.name not in deciding, not setting.required)
    ):
        if variable.asked and variable.name not in chosen:
            answered = _ask_variable(consumer, variable, chosen)
            chosen |= {setting.name: setting for setting in answered}
    return tuple(chosen.values())


def _is_required(variable: Variable, chosen: Mapping[str, ConfigVar]) -> bool:
    other, value = variable.unless or ("", "")
    return variable.required and not (other in chosen and chosen[other].value == value)


def _ask_variable(consumer: Consumer, variable: Variable, chosen: dict[str, ConfigVar]) -> list[ConfigVar]:
    known = {name: setting.value for name, setting in chosen.items() if isinstance(setting.value, str)}
    required = _is_required(variable, chosen)

    def check(answer: str) -> str:
        if not answer:
            return f"{consumer.name} requires `{variable.name}`" if required else ""
        value = _read_value(answer)
        if value is None:
            return "a reference must be secret:NAME/KEY or configmap:NAME/KEY"
        if answer.startswith("-----BEGIN "):
            return _PEM
        problems = consumer.validate(known | {variable.name: value}) if isinstance(value, str) else []
        return "\n".join(
            f"{problem.message}: {problem.hint}" for problem in problems if problem.variable == variable.name
        )

    read, note = (read_unseen, "; not shown while you type") if variable.secret else (read_line, "")
    answer = _ask(f"{'*' if required else ' '} {variable.name} ({variable.meaning}{note})", check, read)
    value = _read_value(answer)
    return [ConfigVar(variable.name, value)] if answer and value is not None else []


def _read_value(answer: str) -> str | Reference | None:
    """A value or a reference; None for a reference that is not written as one."""
    kind, _, place = answer.partition(":")
    return read_reference(_KINDS[kind], place) if kind in _KINDS else answer


def _ask_labels() -> tuple[str, ...]:
    return members(
        _ask(
            "Labels for every message, as KEY:VALUE,KEY:VALUE, or Enter for none",
            lambda answer: _labels_problem(members(answer)),
        )
    )


def _labels_problem(pairs: Sequence[str]) -> str:
    return next(filter(None, map(label_problem, pairs)), "")
