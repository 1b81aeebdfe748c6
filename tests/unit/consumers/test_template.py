"""Which language a template is in, and what both have."""

import json

import pytest

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.consumers.template import check_template, render_text
from kubectl_sew.event import Event

DOCUMENT: dict[str, object] = {
    "l": ["a", "b"],
    "date": "D",
    "print": "P",
    "end": "E",
    "time": 1772443200.25,
    "at": "2026-03-02T10:20:00+01:00",
    "name": "a-b-c",
    "severity": 80,
    "word": "Critical",
    "null": None,
}
GO, JINJA = "[a b]", '["a", "b"]'


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.l}}", GO),
        ("{{ .l }}", GO),
        ("{{- .l -}}", GO),
        ("{{$.l}}", GO),
        ("{{/* l */}}{{.l}}", GO),
        ("{{if .l}}{{.l}}{{end}}", GO),
        ("{{with .l}}{{.}}{{end}}", GO),
        ("{{print .l}}", GO),
        ("{{(.l)}}", GO),
        ("a % b {% {{.l}}", "a % b {% [a b]"),
        ("{{ l }}", JINJA),
        ("{% if 1 %}{{ .l }}{% endif %}", JINJA),
        ("{# l #}{{ .l }}", JINJA),
        ("{{ .l }}{{ date }}{{ print }}", JINJA + "DP"),
        ("{{ l }}{{ end | lower }}", JINJA + "e"),
        ("{{ .l | tojson }}", JINJA),
        ("{{ .l }}{{ .l[0] }}", JINJA + "a"),
        ("{{ .l }}{{ .x | default('y') }}", JINJA + "y"),
        ("{{ .l }}{{ 'y' if .l else 'n' }}", JINJA + "y"),
        ("{{ .l }}{% raw %}{{.l}}{% endraw %}", JINJA + "{{.l}}"),
    ],
)
def test_the_text_tells_the_language(template: str, text: str) -> None:
    assert check_template(template) == []
    assert render_text(template, DOCUMENT) == text


@pytest.mark.parametrize(
    ("template", "message", "hint"),
    [
        (
            "{% if a %}{{ if .x }}{% endif %}",
            "line 1: the template mixes Calico's language and Jinja2",
            "write it in one",
        ),
        ("{# a #}\n{{range .l}}{{end}}", "line 2: the template mixes Calico's language and Jinja2", "write it in one"),
        ("{{if .x}}{{ name }}{{end}}", "line 1: there is no function `name`", "`.name`"),
        ("{{range .l}}{{end}}{{ .x | upper }}", "line 1: there is no function `upper`", "the functions are"),
        ("{{ . | tojson }}", "line 1: there is no function `tojson`", "json"),
        ("{{ tojson . }}", "line 1: there is no function `tojson`", "json"),
        ("{{ nothing .x }}", "line 1: there is no function `nothing`", "`.nothing`"),
        ("{% if a .b %}{% endif %}", "line 1: there is no function `a`", "templates"),
        ("{{ end }}", "line 1: there is an `end` without its beginning", "syntax"),
    ],
)
def test_what_is_neither_is_a_problem_in_the_words_of_the_one_it_looks_like(
    template: str, message: str, hint: str
) -> None:
    (problem,) = check_template(template)
    assert problem.message.startswith(message)
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("go", "jinja", "text"),
    [
        ("{{date .time}}", "{{ time | date }}", "2026-03-02T09:20:00Z"),
        ("{{date .at}}", "{{ at | date }}", "2026-03-02T09:20:00Z"),
        ('{{date "epoch" .at}}', '{{ at | date("epoch") }}', "1772443200"),
        ('{{.time | date "%d.%m.%Y %H:%M:%S.%L %%d"}}', '{{ time | date("%d.%m.%Y %H:%M:%S.%L %%d") }}',
         "02.03.2026 09:20:00.250 %d"),
        ('{{date "%a %A %b %B %j %s %z %Z" .at}}', '{{ at | date("%a %A %b %B %j %s %z %Z") }}',
         "Mon Monday Mar March 061 1772443200 +0000 UTC"),
        ("[{{date .null}}{{date .missing}}]{{date .name}}", "[{{ null | date }}{{ missing | date }}]{{ name | date }}",
         "[]a-b-c"),
        ("{{severity_word .severity}}", "{{ severity | severity_word }}", "warning"),
        ('{{severity_word "P1:70,P2:0" .severity}}', '{{ severity | severity_word("P1:70,P2:0") }}', "P1"),
        ("{{severity_word .word}}[{{severity_word .x}}]", "{{ word | severity_word }}[{{ x | severity_word }}]",
         "Critical[]"),
        ('{{.null | default "n"}}{{.x | default 1}}', "{{ null | default('n') }}{{ x | default(1) }}", "n1"),
        ("{{truncate 3 .name}}", "{{ name | truncate(3) }}", "a-…"),
        ('{{.name | replace "-" "+"}}', "{{ name | replace('-', '+') }}", "a+b+c"),
        ("{{json .l}}", "{{ l | tojson }}", '["a", "b"]'),
        ("{{json .}}", "{{ event | tojson }}", json.dumps(DOCUMENT)),
        ("{{len (json .x)}}{{json 1.0}}", "{{ x | tojson | length }}1", "41"),
    ],
)  # fmt: skip
def test_both_languages_have_the_same_functions(go: str, jinja: str, text: str) -> None:
    assert [render_text(go, DOCUMENT), render_text(jinja, DOCUMENT)] == [text, text]


@pytest.mark.parametrize(
    "template",
    [
        '{{date "%Q" .time}}', '{{severity_word "x" .severity}}', "{{truncate 0 .name}}",
        "{{truncate .name .name}}", '{{replace "" "a" .name}}', "{{ name | replace('', 'a') }}", "{{date 1 .time}}",
        "{{replace 1 2 .name}}", "{{ severity | severity_word('a:1,b:1') }}",
    ],
)  # fmt: skip
def test_a_function_that_is_called_wrongly_refuses_the_event(template: str) -> None:
    with pytest.raises(RenderError):
        render_text(template, DOCUMENT)


def test_a_long_text_can_still_be_cut() -> None:
    assert render_text("{{truncate 3 .x}}", {"x": "ä" * 3_000_000}) == "ää…"


def test_a_field_called_event_goes_before_the_whole_event() -> None:
    assert render_text("{{ event.kind }}", {"event": {"kind": "alert"}}) == "alert"


def test_slack_and_jira_take_calicos_language_too() -> None:
    event = Event("", "e1", {"host": "<n>*", "severity": 80.0, "ids": ["a"]})
    slack = {
        "url": "https://hooks.slack.com/services/T/B/x",
        "title": "{{.severity}}",
        "template": "*{{.host}}* <b {{.ids}}",
    }
    jira = {
        "url": "https://jira.example/rest/api/2/issue",
        "project": "P",
        "issueType": "B",
        "username": "u",
        "apiToken": "t",
        "template": "{{range .ids}}* {{.}}{{end}}",
        "fields": '{"x": "{{json .severity}}", "y": "{{.host}}"}',
    }
    bodies = []
    for name, config in (("Slack", slack), ("Jira", jira)):
        assert CONSUMERS[name].validate(config) == []
        (request,) = CONSUMERS[name].render(event, {}, config, now=0, delivery_id="d1")
        bodies.append(json.loads(request.body))
    assert [block["text"]["text"] for block in bodies[0]["blocks"][:2]] == ["80", "*&lt;n&gt;** <b [a]"]
    assert bodies[1]["fields"]["description"].startswith("* a\n\n")
    assert (bodies[1]["fields"]["x"], bodies[1]["fields"]["y"]) == (80, "<n>*")
