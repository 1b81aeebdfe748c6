"""Secrets in Generic's templates and headers: written where they are asked for, and seen nowhere else."""

import html
import json
from contextlib import suppress
from typing import Any

import pytest

from kubectl_sew.consumers.base import RenderError, Response
from kubectl_sew.consumers.classification import classify_response, secrets_of, shown_body
from kubectl_sew.consumers.generic import Generic
from kubectl_sew.consumers.template_secrets import concealed
from kubectl_sew.event import Event
from kubectl_sew.redaction import Secret

GENERIC = Generic()
KEY = 'R0UT1NG"<&>\\key'
JINJA = '{"key": "{{ secret.routingKey }}", "d": "{{ description }}"}'
GO = '{"key": "{{.secret.routingKey}}", "d": "{{.description}}"}'
each_language = pytest.mark.parametrize("template", [JINJA, GO])


def config(template: str, **more: str) -> dict[str, str]:
    return {"url": "https://hooks.example/x", "template": template, "routingKey": Secret(KEY + "\n"), **more}


def rendered(template: str, document: dict[str, Any] | None = None, **more: str) -> bytes:
    event = Event("i", "id-1", document or {"description": "d"})
    (request,) = GENERIC.render(event, {}, config(template, **more), now=0.0, delivery_id="d" * 32)
    return request.body


@each_language
def test_it_stands_in_the_body_escaped_for_its_place_without_the_line_break_at_its_end(template: str) -> None:
    assert GENERIC.validate(config(template)) == []
    assert json.loads(rendered(template)) == {"key": KEY, "d": "d"}


@pytest.mark.parametrize(
    "template",
    [
        '{"a": {{ secret.routingKey }}}',
        '{"a": {{.secret.routingKey}}}',
        '{"a": {{ $.secret.routingKey }}}',
        '{"a": {{range .list}}{{$.secret.routingKey}}{{end}}}',
        '{"a": {% for x in list %}{{ secret.routingKey }}{% endfor %}}',
        '{"a": {%- if list %} {{- secret.routingKey -}} {% endif -%} }',
    ],
)
def test_it_may_stand_in_loops_and_outside_of_strings(template: str) -> None:
    assert GENERIC.validate(config(template)) == []
    assert json.loads(rendered(template, {"list": [1]})) == {"a": KEY}


@pytest.mark.parametrize(
    "template",
    [
        "{{ secret.routingKey | upper }}",
        "{{ secret.routingKey | truncate(4) }}",
        "{{ secret.routingKey | tojson }}",
        "{% if secret.routingKey %}x{% endif %}",
        '{% if secret.routingKey == "a" %}x{% endif %}',
        "{% for c in secret %}x{% endfor %}",
        "{% for secret in list %}{{ secret.a }}{% endfor %}",
        "{{ secret }}",
        "{{ secret['routingKey'] }}",
        "{{ secret | tojson }}",
        "{{ secret.routingKey.a }}",
        "{{ secret.routingKey if list else 1 }}",
        "{{truncate 4 .secret.routingKey}}",
        "{{json .secret}}",
        "{{.secret}}",
        "{{.secret.routingKey | json}}",
        "{{if .secret.routingKey}}x{{end}}",
        '{{if eq .secret.routingKey "a"}}x{{end}}',
        "{{with .secret}}{{.routingKey}}{{end}}",
        "{{$x := .secret.routingKey}}{{$x}}",
        "{{$x := $.secret}}{{$x.routingKey}}",
        "{{range .secret}}{{.}}{{end}}",
        "{{print (.secret.routingKey)}}",
        '{{index .secret "routingKey"}}',
        "{{(.secret).routingKey}}",
    ],
)
def test_it_must_stand_alone_and_nothing_else_can_reach_it(template: str) -> None:
    problems = [problem for problem in GENERIC.validate(config(template)) if not problem.warning]
    assert problems[0].variable == "template"
    assert "alone" in problems[0].message
    with suppress(RenderError):
        assert b"R0UT" not in rendered(template, {"list": [1]})


@pytest.mark.parametrize(
    "template",
    ["{{json .}}", "{{json $}}", "{{.}}", "{{ event | tojson }}", "{{ event.secret.routingKey }}",
     '{{index . "secret"}}', "{{range .}}{{json .}}{{end}}", "{{$x := $}}{{json $x}}", "{{ _secrets }}",
     "{{with $x := .}}{{json $x.secret}}{{end}}"],
)  # fmt: skip
def test_the_whole_event_does_not_hold_it(template: str) -> None:
    with suppress(RenderError):  # the event is refused
        assert b"R0UT" not in rendered('{"a": ' + template + "}")


def test_text_of_an_event_that_looks_like_one_is_text() -> None:
    document = {"description": "{{ secret.routingKey }}{{.secret.routingKey}}", "secret": {"routingKey": "{{json .}}"}}
    assert json.loads(rendered(JINJA, document)) == {"key": KEY, "d": document["description"]}


def test_one_that_is_not_there_is_an_error_that_names_it() -> None:
    (problem,) = GENERIC.validate({"url": "https://hooks.example/x", "template": JINJA})
    assert (problem.variable, problem.warning) == ("routingKey", False)
    assert "there is no variable of that name" in problem.message


def test_one_that_is_empty_or_endless_is_an_error() -> None:
    for value in (" ", "x" * 4_097):
        (problem,) = GENERIC.validate(config(JINJA, routingKey=Secret(value)))
        assert (problem.variable, problem.warning) == ("routingKey", False)


def test_one_that_is_no_secret_is_a_warning_and_hidden_all_the_same() -> None:
    plain = config(JINJA, routingKey="R0UT1NG-key")
    (problem,) = GENERIC.validate(plain)
    assert (problem.variable, problem.warning) == ("routingKey", True)
    assert "R0UT1NG-key" in secrets_of(GENERIC, plain)


def test_a_variable_that_no_template_asks_for_is_unknown() -> None:
    (problem,) = GENERIC.validate(config("{}"))
    assert (problem.variable, problem.warning) == ("routingKey", True)
    assert "does not know" in problem.message


@pytest.mark.parametrize("name", ["url", "headers", "template", "signingSecret"])
def test_a_variable_of_generic_cannot_be_asked_for(name: str) -> None:
    problems = GENERIC.validate(config('{"a": "{{ secret.' + name + ' }}"}', headers="X-A: b"))
    assert [problem.variable for problem in problems if not problem.warning] == [name]
    assert "has for itself" in problems[-1].message + problems[0].message


def test_it_fills_headers() -> None:
    given = config("{}", headers="Authorization: GenieKey {{ secret.routingKey }}\nX-A: {{.secret.routingKey}}!")
    assert GENERIC.validate(given) == []
    (request,) = GENERIC.render(Event("i", "1", {}), {}, given, now=0.0, delivery_id="d")
    assert dict(request.headers) == {
        "webhook-id": "d", "Content-Type": "application/json",
        "Authorization": f"GenieKey {KEY}", "X-A": f"{KEY}!",
    }  # fmt: skip


@pytest.mark.parametrize("value", ["a\nX-Evil: 1", "a\r\nb", "ключ", "a\x00b"])
def test_it_cannot_add_a_header_or_break_one(value: str) -> None:
    given = config("{}", headers="Authorization: GenieKey {{ secret.routingKey }}", routingKey=Secret(value))
    (problem,) = GENERIC.validate(given)
    assert (problem.variable, problem.warning) == ("routingKey", False)
    assert value not in problem.message + problem.hint


@pytest.mark.parametrize("value", ["{{ secret.routingKey | upper }}", "{{ secret }}", "{{secret.a-b}}"])
def test_in_a_header_it_must_stand_alone(value: str) -> None:
    problems = GENERIC.validate(config(JINJA, headers=f"X-Key: {value}"))
    assert [(problem.variable, problem.warning) for problem in problems] == [("headers", False)]


@each_language
@pytest.mark.parametrize(
    "said", [KEY, json.dumps({"no": KEY}), f"<p>{html.escape(KEY)}", "bad key R0UT1NG%22%3C%26%3E%5Ckey"]
)
def test_it_is_hidden_where_a_receiver_repeats_it(template: str, said: str) -> None:
    outcome = classify_response(GENERIC, Response(400, {}, said.encode()), 0.0, config(template))
    assert "R0UT" not in outcome.detail
    assert "[secret]" in outcome.detail


@each_language
def test_a_body_is_shown_without_it_however_short_it_is(template: str) -> None:
    for value in (KEY, "ab"):
        given = config(template, routingKey=Secret(value))
        (request,) = GENERIC.render(
            Event("i", "1", {"description": "d"}), {}, concealed(given), now=0.0, delivery_id="d"
        )
        assert json.loads(shown_body(request, GENERIC, given)) == {"key": "[secret]", "d": "d"}
    (request,) = GENERIC.render(Event("i", "1", {"description": "d"}), {}, config(template), now=0.0, delivery_id="d")
    assert "R0UT" not in shown_body(request, GENERIC, config(template))


@pytest.mark.parametrize("template", ['{"i": "{{ delivery_id }}"}', '{"i": "{{.delivery_id}}"}'])
def test_a_template_has_the_deliverys_id_beside_the_event(template: str) -> None:
    assert json.loads(rendered(template, {"delivery_id": "own"})) == {"i": "d" * 32}


def test_the_whole_event_does_not_hold_the_deliverys_id() -> None:
    for template in ("{{json .}}", "{{ event | tojson }}"):
        assert "delivery_id" not in json.loads(rendered(template))
