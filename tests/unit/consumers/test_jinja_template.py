"""Templates in Jinja2, and their bounds."""

import json
from itertools import count
from time import thread_time

import pytest

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.jinja_filters import FILTERS
from kubectl_sew.consumers.jinja_template import check_jinja as check_template
from kubectl_sew.consumers.template import render_text
from kubectl_sew.consumers.template_budget import Budget


def render_template(source: str, document: dict[str, object], *, budget: Budget | None = None) -> bytes:
    return render_text(source, document, budget).encode()


DOCUMENT: dict[str, object] = {
    "description": 'a<b "q"',
    "severity": 80,
    "dismissed": False,
    "host": None,
    "record": {"items": "I", "rules": [{"id": "1"}, {"id": "2"}], "empty": []},
    "mitre_ids": ["T1", "T2"],
    "labels": {"cluster": "prod", "keys": "K"},
    "_hidden": "h",
    "big": "x" * 5_000_000,
    "many": list(range(100_000)),
    "deep": "",
}


@pytest.mark.parametrize(
    ("template", "body"),
    [
        ("{{.description}}", 'a<b "q"'),
        ("{{ .labels.cluster }}/{{.labels.keys}}/{{- .record.items -}}", "prod/K/I"),
        ("{{ description }}{{ labels['cluster'] }}", 'a<b "q"prod'),
        ("{{ .severity }} {{ dismissed }} {{ host }} {{ .mitre_ids }}", '80 false  ["T1", "T2"]'),
        ("[{{ missing }}{{ .a.b.c }}{{ labels.items }}{{ description.upper }}{{ mitre_ids[7] }}{{ range }}]", "[]"),
        ("{{ .description | tojson }} {{ nope | tojson }} {{ .record.rules | tojson }}",
         '"a<b \\"q\\"" null [{"id": "1"}, {"id": "2"}]'),
        ("{% for rule in .record.rules %}{{ rule.id }}{% if not loop.last %},{% endif %}{% endfor %}", "1,2"),
        ("{% for x in .record.empty %}{% else %}none{% endfor %}{% for x in .description %}x{% endfor %}", "none"),
        ("{% if .severity >= 80 and not .dismissed %}high{% elif .x %}{% else %}low{% endif %}", "high"),
        ('{{ "yes" if "T1" in .mitre_ids else "no" }}{% if .labels.cluster == "prod" %}!{% endif %}', "yes!"),
        ('{{ .x | default("d") }} {{ .mitre_ids | join("+") }} {{ .mitre_ids | first }}{{ .mitre_ids | last }}',
         "d T1+T2 T1T2"),
        ('{{ .labels.cluster | upper | lower | trim }} {{ .mitre_ids | length }} {{ "abcdef" | truncate(3) }}',
         "prod 2 ab…"),
        ("{% raw %}{{ x }}{% endraw %}{# a comment #} .description", "{{ x }} .description"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_the_language_has_works(template: str, body: str) -> None:
    assert check_template(template) == []
    assert render_template(template, DOCUMENT).decode() == body


@pytest.mark.parametrize(
    "template",
    [
        "{{ a() }}", "{{ a.b() }}", "{{ 1 + 1 }}", "{{ 9 ** 9 }}", "{{ 'a' * 9 }}", "{{ 'a' ~ 'b' }}", "{{ -a }}",
        "{{ range(9) }}", "{{ a[1:2] }}", "{{ [1] }}", "{{ {'a': 1} }}", "{{ (1, 2) }}", "{{ a is defined }}",
        "{% set a = 1 %}", "{% include 'a' %}", "{% import 'a' as b %}", "{% extends 'a' %}",
        "{% macro a() %}{% endmacro %}",
        "{% block a %}{% endblock %}", "{% filter upper %}{% endfilter %}", "{% for a in b recursive %}{% endfor %}",
        "{% for a in b if a %}{% endfor %}", "{% for a, b in c %}{% endfor %}", "{{ _hidden }}", "{{ a._b }}",
        "{{ a.__class__ }}", "{{ a['__class__'] }}", "{{ a | attr('__class__') }}", "{{ self }}", "{{ _budget }}",
        "{{ a | format }}", "{{ a | center(9) }}", "{{ a | tojson(indent=9) }}",
        "{{ a | _each(1) }}", "{{ a | _paid }}", "{{ a", "{% if a %}", "{% nonsense %}", "{{ a.|b }}",
        "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}", "{{ " + "not " * 5_000 + "a }}", "{{ a" + ".b" * 5_000 + " }}",
        "{% for a in b %}" * 4 + "{% endfor %}" * 4, "{% if a %}" * 500 + "{% endif %}" * 500, "x" * 70_000,
    ],
)  # fmt: skip
def test_what_cannot_be_bounded_is_refused_in_words_when_the_template_is_checked(template: str) -> None:
    (problem,) = check_template(template)
    assert (problem.variable, problem.warning) == ("template", False)
    assert problem.message
    assert len(problem.message) < 400
    with pytest.raises(RenderError):
        render_template(template, {})


@pytest.mark.parametrize("template", ["{{ x | json", "{% if x %}", "{{ x y }}", "{% nope %}"])
def test_a_mistake_in_the_syntax_is_no_sentence_with_a_full_stop_since_words_follow_it(template: str) -> None:
    (problem,) = check_template(template)
    assert problem.message.startswith("line 1: ")
    assert not problem.message.endswith(".")


@pytest.mark.parametrize(
    "template",
    [
        "{{ .big }}",
        "{% for a in .many %}0123456789abcdef{% endfor %}",
        "{{ .many | join(.big) }}",
        "{{ .many | join(.description) | join | join }}" * 2,
        "{% for a in .many %}{% for b in many %}{% for c in many %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in .many %}{% if .big | upper == 1 %}{% endif %}{% endfor %}",
        "{% for a in .many %}{% if .big == .big %}{% endif %}{% endfor %}",
        "{% for a in .many %}{% if 7 in .many %}{% endif %}{% endfor %}",
        "{% for a in .many %}{% if .many | tojson %}{% endif %}{% endfor %}",
        "{% for a in .many %}{% if .many | join %}{% endif %}{% endfor %}",
        "{% for a in .many %}" + "{{ .x }}" * 5_000 + "{% endfor %}",
    ],
)  # fmt: skip
def test_a_rendering_that_grows_or_never_ends_is_stopped(template: str) -> None:
    assert check_template(template) == []
    with pytest.raises(RenderError, match=r"1 MiB|too many steps"):
        render_template(template, DOCUMENT)


def test_1_mib_is_within_the_bound() -> None:
    assert len(render_template("{{ .t }}", {"t": "x" * 1024 * 1024})) == 1024 * 1024


@pytest.mark.parametrize(
    "template", ["{{ 1 < 'a' }}", "{{ .deep }}", "{{ .digits }}", "{{ .nan | tojson }}", "{{ 'a' | truncate(0) }}"]
)
def test_an_event_that_does_not_fit_its_template_is_refused_and_not_shown(template: str) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RenderError) as caught:
        render_template(template, {"deep": deep, "digits": 10**5_000, "nan": float("nan"), "s": "secret"})
    assert "secret" not in str(caught.value)


def test_a_lone_surrogate_is_written_as_something_else() -> None:
    assert render_template("{{ .t }} {{ .t | tojson }}", {"t": "\ud800"}).decode() == '? "\\ud800"'


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("value", ["text", "", None, True, 7, 1.5, [1, "a", None], [], {"a": 1}])
def test_every_filter_takes_every_value(name: str, value: object) -> None:
    arguments = {"replace": "('a', 'b')"}.get(name, "")
    render_template(f"{{{{ .v | {name}{arguments} }}}}", {"v": value})


def test_tojson_of_anything_is_json_again() -> None:
    value = {"a": [1, None, "</script>\u2028\"'"]}
    assert json.loads(render_template('{"v": {{ .v | tojson }}}', {"v": value})) == {"v": value}


WIDE: dict[str, object] = {"l": [0] * 4_000, "lists": [[] for _ in range(15_000)], "blanks": " " * 60_000, "t": "t"}


@pytest.mark.parametrize(
    "template",
    [
        "{{ record | truncate(1) }}",
        "{{ record.lists | truncate(1) }}",
        "{{ .t | join(record) }}",
        "{{ .nothing | join(record) }}",
        "{{ record.blanks | trim | trim | trim | trim | trim }}" * 40,
        "{% if record | upper | length == 1 %}{% endif %}",
        "{% if record | tojson == 1 %}{% endif %}",
        "{{ record | truncate(1) | truncate(1) }}{{ record | lower | truncate(1) }}",
    ],
)
def test_work_is_paid_for_by_all_that_it_reads_however_little_of_it_is_used(template: str) -> None:
    with pytest.raises(RenderError, match="too many steps"):
        render_template("{% for a in record.l %}" + template + "{% endfor %}", {"record": WIDE, "t": ["t"]})


def test_a_member_of_no_name_costs_nothing() -> None:
    started = thread_time()
    assert render_template("{% for a in record.l %}{{ t[record] }}{% endfor %}", {"record": WIDE, "t": {}}) == b""
    assert thread_time() - started < 1.0


def test_a_rendering_ends_after_its_time() -> None:
    seconds = count()
    budget = Budget(lambda: next(seconds) / 10)
    with pytest.raises(RenderError, match="too long"):
        render_template("{% for a in many %}{{ 1 }}{% endfor %}", DOCUMENT, budget=budget)


def test_a_list_of_two_megabytes_can_still_be_written_in_part() -> None:
    document = {"l": ["x" * 100] * 20_000}
    assert render_template("{{ l | truncate(3) }}", document) == '["…'.encode()
