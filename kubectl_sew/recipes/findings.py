"""What a webhook that was made by a recipe does against the receiver's rules, as warnings; and its message as lines.
Pure."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kubectl_sew.consumers.base import Config, ConfigProblem, Consumer, RenderError
from kubectl_sew.consumers.body_limits import Limit, beyond, limits_in
from kubectl_sew.consumers.json_path import parse_path, values_at
from kubectl_sew.consumers.rate import parse_rate
from kubectl_sew.consumers.template_secrets import concealed, names_in
from kubectl_sew.event import Event
from kubectl_sew.json_text import line
from kubectl_sew.recipes.recipe import Recipe
from kubectl_sew.redaction import HIDDEN

_PLACE = re.compile(r"\{(\$[^{}]*)\}")
_BAR = "▌ "
"""Beginning of the lines of an attachment."""
_LONGEST_LINE = 300
_MOST_LINES = 30


def recipe_problems(recipe: Recipe, config: Config, unknown: Collection[str]) -> Iterator[ConfigProblem]:
    """Warn where a valid configuration has lost what the recipe's receiver needs. `unknown`: variables without value.

    No text repeats the value of a variable.
    """
    url, form = config.get("url", ""), _form_of_url(recipe)
    if url and "url" not in unknown and form and not re.fullmatch(form, url.strip()):
        yield _problem("url", f"this is no URL of {recipe.title}", f"see {recipe.documentation}")
    if recipe.expect and not config.get("expect", "").strip() and "expect" not in unknown:
        said = "; or ".join(recipe.expect.splitlines())
        yield _problem("expect", f"{recipe.title} has taken an event where it answers {said}", "set `expect` to that")
    if "limits" not in unknown:
        yield from _lost_limits(recipe, limits_in(config.get("limits", "")))
    if recipe.rate and "rate" not in unknown and _faster(config.get("rate", "").strip(), recipe.rate):
        yield _problem("rate", f"{recipe.title} takes {recipe.rate} at most", f"set `rate` to {recipe.rate}")


def body_problems(
    recipe: Recipe, consumer: Consumer, config: Config, labels: Mapping[str, str], events: Mapping[str, Event]
) -> Iterator[ConfigProblem]:
    """Warn of sample events, by their types, whose bodies lack what the receiver requires, or exceed its limits."""
    filled = concealed({"url": "https://unknown.invalid/", **dict.fromkeys(names_in(config), HIDDEN), **config})
    found: dict[str, list[str]] = {}
    for kind, event in events.items():
        try:
            (request,) = consumer.render(event, labels, filled, now=0.0, delivery_id="0" * 32)
        except RenderError:
            continue  # it has a warning of its own
        document = read_body(request.body)
        for path in recipe.required:
            if not any(value not in (None, "") for value in values_at(parse_path(path), document)):
                found.setdefault(f"the body has no `{path}`, which {recipe.title} requires", []).append(kind)
        for limit in beyond(limits_in(recipe.limits), request.body):
            found.setdefault(f"the body exceeds the limit of {recipe.title}: {_spelt(recipe, limit)}", []).append(kind)
    for what, kinds in found.items():
        more = f" (and {len(kinds) - 1} more)" if len(kinds) > 1 else ""
        hint = f"`kubectl sew recipes show {recipe.name}` shows the template that keeps to it"
        yield _problem("template", f"for the sample event `{kinds[0]}`{more} {what}", hint)


def read_body(body: bytes) -> Any:
    """Return the JSON of a body; a list of its lines' for NDJSON; None where it is neither."""
    for read in (json.loads, lambda text: [json.loads(each) for each in text.splitlines() if each.strip()]):
        try:
            return read(body)
        except (ValueError, RecursionError):
            continue
    return None


def drawing(recipe: Recipe, body: bytes) -> list[str]:
    """Return the message in a body as its receiver shows it, as far as lines of text can."""
    document = read_body(body)
    lines = [shown for pattern in recipe.shown.splitlines() for shown in _drawn(pattern, document)]
    return lines if len(lines) <= _MOST_LINES else [*lines[:_MOST_LINES], "…"]


def _drawn(pattern: str, document: Any) -> Iterator[str]:
    """Yield the lines that one of a recipe stands for; none where its paths lead nowhere."""
    pieces = _PLACE.split(pattern)
    texts = [_text_at(path, document) for path in pieces[1::2]]
    if texts and not any(texts):
        return
    bar = _BAR if pattern.startswith(_BAR) else ""
    written = "".join(own + text for own, text in zip(pieces[::2], [*texts, ""], strict=True))
    for each in written.removeprefix(bar).splitlines():
        yield f"{bar}{line(each, _LONGEST_LINE)}".rstrip()


def _text_at(path: str, document: Any) -> str:
    found = values_at(parse_path(path), document)
    return ", ".join(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in found)


def _form_of_url(recipe: Recipe) -> str:
    if recipe.url:
        return ""
    return next(variable.form for variable in recipe.variables if variable.name == "url")


def _lost_limits(recipe: Recipe, limits: Collection[Limit]) -> Iterator[ConfigProblem]:
    for wanted in limits_in(recipe.limits):
        kept = [one for one in limits if one.path == wanted.path and one.in_bytes == wanted.in_bytes]
        if not any(one.most <= wanted.most for one in kept):
            text = _spelt(recipe, wanted)
            yield _problem(
                "limits", f"{recipe.title} takes no more than `{text}`", f"add the line `{text}` to `limits`"
            )


def _spelt(recipe: Recipe, limit: Limit) -> str:
    """Return a limit as the recipe has it."""
    lines = [text.strip() for text in recipe.limits.splitlines() if text.strip()]
    return lines[list(limits_in(recipe.limits)).index(limit)]


def _faster(rate: str, most: str) -> bool:
    try:
        return not rate or parse_rate(rate) > parse_rate(most)
    except ValueError:
        return False  # it has an error of its own


def _problem(variable: str, message: str, hint: str) -> ConfigProblem:
    return ConfigProblem(variable, message, hint, warning=True)
