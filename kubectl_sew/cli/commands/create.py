"""`kubectl sew create`."""

from collections.abc import Iterator
from typing import Never

import click

from kubectl_sew.cli.choice import Words
from kubectl_sew.cli.cluster_options import (
    DRY_RUN_NOTES,
    api_group_option,
    dry_run_option,
    kubectl,
    new_name_argument,
    webhooks,
)
from kubectl_sew.cli.draft import Draft, build, check, label_problem, read_reference
from kubectl_sew.cli.interview import ask_missing, ask_recipe_variables, can_ask, needs_variables
from kubectl_sew.cli.next_steps import remaining
from kubectl_sew.cli.output import echo, print_json, print_yaml
from kubectl_sew.cli.validation_options import ValidationRules, rules_options
from kubectl_sew.cluster.objects import read_objects
from kubectl_sew.cluster.webhooks import Object
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.kubectl import Kubectl, KubectlError
from kubectl_sew.recipes.recipe import load_recipe, recipe_names
from kubectl_sew.resource import API_VERSIONS, SECRETS_NAMESPACE, ConfigVar, State, Webhook, to_object
from kubectl_sew.resource.serving import shown
from kubectl_sew.text import SURROGATES

STATES = [known.value for known in State]


@click.command
@new_name_argument
@click.option(
    "--consumer", metavar="NAME", type=Words(list(CONSUMERS)), help=f"The kind of receiver: {', '.join(CONSUMERS)}."
)
@click.option(
    "--recipe",
    metavar="NAME",
    type=Words(recipe_names()),
    help="A recipe for a receiver that is no consumer: `kubectl sew recipes` lists them.",
)
@click.option("--query", help="The events to send: `kubectl sew preview-query` shows what a query selects.")
@click.option("--config", metavar="NAME=VALUE", multiple=True, help="A variable of the consumer; may be repeated.")
@click.option(
    "--secret", metavar="NAME=SECRET/KEY", multiple=True, help="A variable that a Secret holds; may be repeated."
)
@click.option(
    "--configmap",
    metavar="NAME=CONFIGMAP/KEY",
    multiple=True,
    help="A variable that a ConfigMap holds; may be repeated.",
)
@click.option(
    "--label", metavar="KEY:VALUE", multiple=True, help="A label that goes into every message; may be repeated."
)
@click.option("--state", metavar="STATE", type=Words(STATES), help=f"One of {', '.join(STATES)}. [default: Enabled]")
@rules_options
@dry_run_option
@click.option("-o", "--output", type=click.Choice(["yaml", "json", "name"]), help="Print the object, or its name.")
@api_group_option
@click.pass_context
def create(  # noqa: PLR0913  # one for each flag
    ctx: click.Context,
    name: str | None,
    *,
    consumer: str | None,
    recipe: str | None,
    query: str | None,
    config: tuple[str, ...],
    secret: tuple[str, ...],
    configmap: tuple[str, ...],
    label: tuple[str, ...],
    state: str | None,
    rules: ValidationRules,
    dry_run: str,
    output: str | None,
    api_group: str | None,
) -> None:
    """Create a webhook from flags, or step by step on a terminal.

    It makes the checks of `validate` first. An existing webhook of that name is an error, and is not changed. Secrets
    and ConfigMaps are in the namespace tigera-intrusion-detection; a receiver's URL is often its credential: keep it in
    a Secret. If something required is missing, it asks on a terminal for whatever the flags do not give.

    \b
    Examples:
      kubectl sew create urgent --consumer Slack --query 'severity >= 90' --secret url=slack-hook/url \\
        --label cluster:production
      kubectl sew create on-call --recipe pagerduty --query 'severity >= 90' --secret routingKey=pagerduty/key
      kubectl sew create urgent --dry-run=client -o yaml > urgent.yaml
    """
    _check_encoding(name=name, query=query, config=config, secret=secret, configmap=configmap, label=label)
    variables = (
        *(ConfigVar(*_split(variable, "--config", "NAME=VALUE")) for variable in config),
        *_references(secret, "--secret", "Secret"),
        *_references(configmap, "--configmap", "ConfigMap"),
    )
    if recipe:
        consumer, variables = _by_recipe(recipe, consumer, variables)
    draft = Draft(name, consumer, query, state, variables, _labels(label), recipe or "")
    complete = _complete(draft, rules)
    webhook = build(complete)
    check(webhook, rules)
    api_version = next(version for version in API_VERSIONS if api_group in (None, version.partition("/")[0]))
    made: Object = to_object(webhook, api_version)
    if dry_run != "client":
        cluster = webhooks(ctx, api_group)
        api_version = cluster.api.api_version
        made = cluster.create({**made, "apiVersion": api_version}, dry_run=dry_run == "server")
    _show(made, shown(webhook.name, api_version), output, DRY_RUN_NOTES[dry_run])
    if complete is not draft:
        _print_next(webhook, kubectl(ctx) if dry_run != "client" else None, made=dry_run == "none")


def _check_encoding(*, name: str | None, **flags: str | tuple[str, ...] | None) -> None:
    """Refuse bytes that are not UTF-8, which Python has as halves of characters: no manifest can hold them."""
    given = {"the name": name, **{f"--{flag}": texts for flag, texts in flags.items()}}
    for flag, texts in given.items():
        if SURROGATES.search("".join(texts or ())):
            raise click.UsageError(f"{flag} holds bytes that are not UTF-8: write it in UTF-8")


def _by_recipe(name: str, consumer: str | None, given: tuple[ConfigVar, ...]) -> tuple[str, tuple[ConfigVar, ...]]:
    """The consumer, and its variables as a recipe expands those given."""
    if consumer not in (None, "Generic"):
        raise click.UsageError(f"--recipe makes a webhook of the consumer Generic, not of {consumer}")
    recipe = load_recipe(name)
    return "Generic", recipe.expand(ask_recipe_variables(recipe, given) if can_ask() else given)


def _complete(draft: Draft, rules: ValidationRules) -> Draft:
    if not draft.missing and not needs_variables(draft, rules):
        return draft
    if can_ask():
        return ask_missing(draft, rules)
    if not draft.missing:
        return draft  # its check reports all that is wrong with it at once
    raise click.UsageError(f"{', '.join(draft.missing)} must be given where there is no terminal to ask on")


def _print_next(webhook: Webhook, cluster: Kubectl | None, *, made: bool) -> None:
    """Print what comes next: who was asked step by step may not know it."""
    try:
        held = read_objects(cluster, SECRETS_NAMESPACE, webhook.references) if cluster else None
    except KubectlError:  # what was made stays made
        held = None
    echo("\n".join(remaining(webhook, held, made=made)), err=True)


def _show(made: Object, name: str, output: str | None, note: str) -> None:
    if output == "yaml":
        print_yaml(made)
    elif output == "json":
        print_json(made)
    else:
        echo(name if output == "name" else f"{name} created{note}")


def _references(flags: tuple[str, ...], flag: str, kind: str) -> Iterator[ConfigVar]:
    form = f"NAME={kind.upper()}/KEY"
    for text in flags:
        name, place = _split(text, flag, form)
        yield ConfigVar(name, read_reference(kind, place) or _refuse(flag, form))


def _split(text: str, flag: str, form: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return (name, value) if name and value else _refuse(flag, form)


def _refuse(flag: str, form: str) -> Never:
    raise click.UsageError(f"{flag} must be {form}")  # what was given may be a secret, and is not repeated


def _labels(pairs: tuple[str, ...]) -> tuple[str, ...]:
    for problem in filter(None, map(label_problem, pairs)):
        raise click.UsageError(f"--label: {problem}")
    return pairs
