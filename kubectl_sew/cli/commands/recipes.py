"""`kubectl sew recipes`."""

import textwrap
from collections.abc import Iterator

import click

from kubectl_sew.cli.choice import Words
from kubectl_sew.cli.output import echo, print_json
from kubectl_sew.columns import table
from kubectl_sew.recipes.recipe import Recipe, RecipeVariable, load_recipe, recipe_names

_WIDTH = 100
_GIVEN = "Generic's own variables, such as `ca.crt` and `rate`, may be given as well, and go before the recipe's."


@click.group(invoke_without_command=True)
@click.pass_context
def recipes(ctx: click.Context) -> None:
    """List recipes for receivers that are no consumers, or show one.

    A recipe is the variables of a Generic webhook for one receiver: `kubectl sew create --recipe NAME` makes it.

    \b
    Examples:
      kubectl sew recipes
      kubectl sew recipes show pagerduty
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_recipes)


@recipes.command("list")
@click.option("-o", "--output", type=click.Choice(["json"]), help="Print the list as JSON.")
def list_recipes(output: str | None = None) -> None:
    """List all recipes with their variables; those in brackets may be left out."""
    known = [load_recipe(name) for name in recipe_names()]
    if output:
        print_json([_as_object(recipe) for recipe in known])
    else:
        rows = [(recipe.name, recipe.title, ", ".join(map(_named, recipe.variables))) for recipe in known]
        echo(table(("NAME", "RECEIVER", "VARIABLES"), rows))


@recipes.command
@click.argument("name", type=Words(recipe_names()))
def show(name: str) -> None:
    """Show a recipe: its variables, what a success is, limits, the template, and where the vendor documents it."""
    echo("\n".join(_lines(load_recipe(name))))


def _named(variable: RecipeVariable) -> str:
    return variable.name if variable.required else f"[{variable.name}]"


def _as_object(recipe: Recipe) -> dict[str, object]:
    variables = [
        {
            "name": variable.name,
            "meaning": variable.meaning,
            "required": variable.required,
            "secret": variable.secret,
            "default": variable.default,
        }
        for variable in recipe.variables
    ]
    said = {"name": recipe.name, "title": recipe.title, "description": recipe.description}
    return {**said, "documentation": recipe.documentation, "variables": variables}


def _lines(recipe: Recipe) -> Iterator[str]:
    yield f"{recipe.title}: {recipe.description}"
    yield from textwrap.wrap(recipe.notes, _WIDTH)
    yield f"\nDocumentation: {recipe.documentation}"
    yield from textwrap.wrap(f"Id of the delivery: {recipe.identity[:1].lower()}{recipe.identity[1:]}", _WIDTH)
    yield "\nVariables:"
    for variable in recipe.variables:
        kind = "secret" if variable.secret else f"default {variable.default or 'none'}" if not variable.required else ""
        yield f"  {variable.name}: {variable.meaning}" + (f" ({kind})" if kind else "")
    yield from textwrap.wrap(_GIVEN, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    yield "\nMake it:"
    yield f"  {_command(recipe)}"
    yield "\nWhat the webhook then has:"
    for what in ("url", "headers", "expect", "limits", "rate", "template"):
        if text := getattr(recipe, what):
            yield f"  {what}:"
            yield from (f"    {each}" for each in text.splitlines())


def _command(recipe: Recipe) -> str:
    flags = [
        f"--secret {variable.name}=SECRET/KEY" if variable.secret else f"--config {variable.name}=VALUE"
        for variable in recipe.variables
        if variable.required
    ]
    return " ".join(("kubectl sew create NAME --recipe", recipe.name, "--query QUERY", *flags))
