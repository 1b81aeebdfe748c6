"""What is refused of Go's language, in words and with a hint; and how all of it is bounded."""

from itertools import count
from time import thread_time

import pytest

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.template import check_template, render_body, render_text
from kubectl_sew.consumers.template_budget import Budget

MANY: dict[str, object] = {
    "many": list(range(100_000)),
    "big": "x" * 5_000_000,
    "lists": [[] for _ in range(15_000)],
    "object": {str(number): number for number in range(50_000)},
}


@pytest.mark.parametrize(
    ("template", "message", "hint"),
    [
        ('a\n{{define "x"}}y{{end}}', "line 2: `define` cannot be used", "one template"),
        ('{{template "x"}}', "line 1: `template` cannot be used", "one template"),
        ('{{block "x" .}}y{{end}}', "line 1: `block` cannot be used", "one template"),
        ("{{call .x}}", "line 1: `call` cannot be used", "no functions"),
        ("{{.x | call}}{{if .x}}{{end}}", "line 1: `call` cannot be used", "no functions"),
        ("{{nothing .type}}", "line 1: there is no function `nothing`", "`.nothing`"),
        ("{{. | tojson}}", "line 1: there is no function `tojson`", "use `json`"),
        ("{{toJson .}}", "line 1: there is no function `toJson`", "use `json`"),
        ("{{if .x}}{{description}}{{end}}", "line 1: there is no function `description`", "`.description`"),
        ("{{if .x}}{{print}}{{end}}", "line 1: `print` has too few or too many arguments", "parentheses"),
        ("{{eq len .ids 3}}", "line 1: `len` has too few or too many arguments", "parentheses"),
        ("{{if .x}}", "line 1: an `{{end}}` is missing", "syntax"),
        ("{{html .x | print}}", "line 1: `html` and `urlquery` must be", "parentheses"),
        ("{{$x := 1i}}", "line 1: imaginary numbers are not taken", "syntax"),
        ("{{$x = 1}}", "line 1: the variable `$x` is not set before", ":="),
        ("{{if .x}}" * 50 + "{{end}}" * 50, "line 1: the template is nested too deeply", "simplify"),
        ("{{if " + "(" * 50 + ".x" + ")" * 50 + "}}{{end}}", "line 1: the template is nested too deeply", "simplify"),
        ("\n<a href='{{.x}}'>", "line 2: there is a value inside an HTML tag", "text/plain"),
        ("<a b={{.x}}>", "line 1: there is a value inside an HTML tag", "text/plain"),
        ('<a onclick="{{.x}}">', "line 1: there is a value inside an HTML tag", "text/plain"),
        ("<a {{if .x}}b{{end}}>", "line 1: an action with `end` stands inside an HTML tag", "text/plain"),
        ("{{if .x}}<a{{end}}", "line 1: an action with `end` ends inside an HTML tag", "text/plain"),
        ('<a b="{{if .x}}">{{end}}', "line 1: an action with `end` ends in another place", "text/plain"),
        ("{{.x}}<a", "line 1: the template ends inside an HTML tag", "text/plain"),
        ("<title>{{.x}}", "line 1: the template ends inside an HTML tag, comment or title", "text/plain"),
        ("<!-- {{.x}} -->", "line 1: there is a value inside an HTML tag or comment", "text/plain"),
        ("<script>{{.x}}</script>", "line 1: the element `script` cannot be used", "text/plain"),
        ("<a b'c>{{.x}}", "line 1: an attribute's name in an HTML tag", "text/plain"),
        ("<a b=c`>{{.x}}", "line 1: an attribute's value in an HTML tag needs quotes", "text/plain"),
        ("<a =b>{{.x}}", "line 1: an attribute of an HTML tag has no name", "text/plain"),
    ],
)
def test_what_is_not_taken_is_a_problem_with_a_hint(template: str, message: str, hint: str) -> None:
    (problem,) = check_template(template, html=True)
    assert (problem.variable, problem.warning) == ("template", False)
    assert problem.message.startswith(message)
    assert hint in problem.hint
    with pytest.raises(RenderError):
        render_body(template, {}, as_json=False)


def test_html_matters_only_where_the_result_is_html() -> None:
    template = '{"text": "<https://h/{{.x}}|here>"}'
    assert check_template(template, html=True, as_json=True) == []
    assert render_body(template, {"x": '"'}, as_json=True) == b'{"text": "<https://h/\\"|here>"}'


@pytest.mark.parametrize(
    "template",
    [
        "{{.big}}",
        "{{range 1000000000}}{{end}}",
        "{{range .many}}0123456789abcdef{{end}}",
        "{{range .many}}{{range $.many}}{{end}}{{end}}",
        "{{range .many}}{{if eq $.big $.big}}{{end}}{{end}}",
        "{{range .many}}{{if len $.big}}{{end}}{{end}}",
        "{{range .many}}{{$x := slice $.big 1}}{{end}}",
        "{{range .many}}{{$x := index $.big 1}}{{end}}",
        "{{range .many}}{{$x := print $.lists}}{{end}}",
        "{{range .many}}{{$x := json $.lists}}{{end}}",
        "{{range .many}}{{range $.object}}{{break}}{{end}}{{end}}",
        '{{range .many}}{{$x := replace "a" "b" $.big}}{{end}}',
        '{{range .many}}{{$x := printf "%1000d" 1}}{{end}}' * 5,
        '{{range .many}}{{$x := printf "%999999d" 1}}{{end}}',
        '{{$x := "xxxxxxxxxxxxxxxx"}}{{range 100}}{{$x = print $x $x}}{{end}}',
        '{{$x := "xxxxxxxxxxxxxxxx"}}{{range 100}}{{$x = replace "x" "xx" $x}}{{end}}',
        "{{html .big}}",
        "{{json .lists}}" * 9,
        "{{range .many}}" + "{{$x := $.a}}" * 100 + "{{end}}",
    ],
)
def test_a_rendering_that_grows_or_never_ends_is_stopped_in_time(template: str) -> None:
    assert check_template("{{/**/}}" + template, html=True) == []
    started = thread_time()
    budget = Budget()
    budget.left = 50_000
    with pytest.raises(RenderError, match=r"1 MiB|too many steps"):
        render_text(template, MANY, budget)
    assert thread_time() - started < 1.5


def test_the_keys_of_an_object_are_charged_for_at_the_width_that_they_are_printed_at() -> None:
    budget = Budget()
    budget.left = 50_000
    with pytest.raises(RenderError, match="too many steps"):
        render_text('{{printf "%999999v" .nulls}}', {"nulls": dict.fromkeys("abcdefgh")}, budget)


def test_a_rendering_ends_after_its_time() -> None:
    seconds = count()
    with pytest.raises(RenderError, match="too long"):
        render_text("{{range .many}}{{1}}{{end}}", MANY, Budget(lambda: next(seconds) / 10))


@pytest.mark.parametrize("template", ["{{.deep}}", "{{json .deep}}", "{{.digits}}", "{{.nan}}", "{{print .nan}}"])
def test_an_event_that_go_could_not_hold_is_refused_and_not_shown(template: str) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RenderError):
        render_body(template, {"deep": deep, "digits": 10**5_000, "nan": float("nan")}, as_json=False)


@pytest.mark.parametrize("held", [float("nan"), float("-inf"), 10**5_000], ids=["nan", "inf", "digits"])
@pytest.mark.parametrize("template", ["{{.list}}", "{{json .list}}", '{"a": "{{json .list}}"}', "{{date .list}}"])
def test_a_number_inside_a_value_that_json_cannot_hold_refuses_the_event(template: str, held: object) -> None:
    with pytest.raises(RenderError, match=r"NaN|Infinity|digits"):
        render_body(template, {"list": [held]}, as_json=True)


@pytest.mark.parametrize(
    "template", ["{{.s.a}}", "{{index .s 99}}", "{{eq .s 1}}", "{{len .n}}", "{{printf .n}}", "{{range .s}}{{end}}"]
)
def test_a_failure_tells_of_types_and_never_of_values(template: str) -> None:
    with pytest.raises(RenderError, match="line 1") as caught:
        render_body(template, {"s": "secret", "n": 4711}, as_json=False)
    assert "secret" not in str(caught.value)
    assert "4711" not in str(caught.value)


def test_an_integer_beside_an_events_number_is_refused_with_what_to_write() -> None:
    with pytest.raises(RenderError, match=r"write `80\.0` and not `80`"):
        render_body("{{if ge .severity 80}}{{end}}", {"severity": 80}, as_json=False)
