"""What a template of the Generic consumer writes with Calico's processor, beside what it writes here. Pure.

Calico's is Go's `html/template`, whatever the Content-Type: a value is escaped for HTML. Here it is escaped for JSON
where the body is JSON. Both bodies are rendered by the same code as a delivery's, and compared.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kubectl_sew.consumers.base import Config, ConfigProblem, RenderError
from kubectl_sew.consumers.headers import is_json
from kubectl_sew.consumers.template import check_template, is_text_for_calico, only_ours, render_body, secret_names
from kubectl_sew.json_text import line
from kubectl_sew.redaction import Secret

_TRYING = "\"&<'+"
"""Characters that HTML and JSON escape each in its own way."""
_BEFORE, _WIDTH = 20, 60
"""Characters of a body that are shown: before the first difference, and in all."""
_SEEN = (
    "compare with preview-payload what the receiver reads; one that undoes the escapes of HTML need not do so any more"
)


def template_differences(config: Config, samples: Mapping[str, Mapping[str, Any]]) -> Iterator[ConfigProblem]:
    """Yield warnings of what Calico's processor would make of the variable `template`; none where it is not set.

    `samples`: type -> a sample event's fields, with `id` and `labels`.
    """
    source = config.get("template")
    if source is None:
        return
    if not source.strip():
        message = "the template is empty: Calico's processor sends an empty body, and here the whole event is sent"
        yield _problem(message, "leave the variable out")
    elif check_template(source, html=True, as_json=is_json(config)):
        return  # It is an error here, which says what to do.
    elif is_text_for_calico(source):
        message = "`{% … %}` and `{# … #}` are plain text to Calico's processor, and make the template Jinja2 here"
        yield _problem(message, 'where they are meant as text, write `{{"{"}}%` and `{{"{"}}#`')
    elif secret_names(source):
        message = "Calico's processor has no secrets in templates, and writes nothing for `secret.NAME`"
        yield _problem(message, "this matters only where it is to go back")
    elif why := only_ours(source):
        yield _problem(f"Calico's processor refuses the template: {why}", "this matters only where it is to go back")
    elif is_json(config) and check_template(source, html=True):
        message = "Calico's processor reads the template as HTML, and escapes a value in a tag by its place in that"
        yield _problem(message, _SEEN)
    elif is_json(config):
        yield from _differences_in_body(source, samples)


def _differences_in_body(source: str, samples: Mapping[str, Mapping[str, Any]]) -> Iterator[ConfigProblem]:
    for what, document in _tried(samples):
        try:
            ours, theirs = (
                render_body(source, document, as_json=as_json).decode("utf-8", "replace") for as_json in (True, False)
            )
        except RenderError:
            return  # There is a warning of that.
        if theirs != ours:
            at = _parting(theirs, ours)
            seen = f": it writes `{_piece(theirs, at)}`, and here `{_piece(ours, at)}` is sent"
            shown = "" if isinstance(source, Secret) else seen
            yield _problem(f"{what} Calico's processor writes another body{shown}", _SEEN)
            return


def _tried(samples: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what to call it and an event's fields: each sample, and the first one with special characters."""
    for number, (kind, document) in enumerate(samples.items()):
        yield f"for the sample event `{kind}`", document
        if not number:
            yield f"for an event whose texts hold `{_TRYING}`", _with_special_characters(document)


def _parting(left: str, right: str) -> int:
    """Return the place of the first character that differs."""
    return next((at for at, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), 0)


def _piece(text: str, at: int) -> str:
    """Return the text around a place, with a `…` where something was left out."""
    begin = max(0, at - _BEFORE)
    shown = line(text[begin : begin + _WIDTH], _WIDTH)
    return f"{'…' * bool(begin)}{shown}{'…' * (len(text) > begin + _WIDTH)}"


def _with_special_characters(value: Any) -> Any:
    """Return a value with special characters behind each of its texts."""
    if isinstance(value, str):
        return value + _TRYING
    if isinstance(value, Mapping):
        return {name: _with_special_characters(member) for name, member in value.items()}
    return [_with_special_characters(member) for member in value] if isinstance(value, list) else value


def _problem(message: str, hint: str) -> ConfigProblem:
    return ConfigProblem("template", message, hint, warning=True)
