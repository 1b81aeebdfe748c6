"""Templates of JSON: what stands in a string is escaped for it, what stands elsewhere is JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.template import check_template, render_body

HOSTILE = 'x","severity":0,"event":"nothing'
EVENT: dict[str, Any] = {
    "description": HOSTILE,
    "text": '<b> & "q" \\ \n\t\x00 größe 😀',
    "severity": 80,
    "time": 1772443200,
    "number": "443",
    "host": None,
    "ids": ["T1", "T2"],
    "record": {"a": 1, "b": [1.5, None]},
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{"event": "{{.description}}"}', {"event": HOSTILE}),
        ('{"event": "{{ description }}"}', {"event": HOSTILE}),
        ('{"a": "{{.text}}{{.missing}}{{.host}}", "b": {{.text}}}', {"a": EVENT["text"], "b": EVENT["text"]}),
        ('{"a": "{{text}}{{missing}}{{host}}", "b": {{text}}}', {"a": EVENT["text"], "b": EVENT["text"]}),
        ("[{{.severity}}, {{.time}}, {{.host}}, {{.missing}}, {{.number}}]", [80, 1772443200, None, None, "443"]),
        ("[{{severity}}, {{time}}, {{host}}, {{missing}}, {{number}}]", [80, 1772443200, None, None, "443"]),
        ("[{{.ids}}, {{.record}}]", [EVENT["ids"], EVENT["record"]]),
        ("[{{ids}}, {{record}}]", [EVENT["ids"], EVENT["record"]]),
        ('{"all": {{json .}}, "text": "{{json .ids}}"}', {"all": EVENT, "text": '["T1", "T2"]'}),
        ('{"all": {{event | tojson}}, "text": "{{ids | tojson}}"}', {"all": EVENT, "text": '["T1", "T2"]'}),
        ("{{json .}}", EVENT),
        ("{{event | tojson}}", EVENT),
        ('[{{printf "%.0f" .time}}, {{len .ids}}, {{print .severity}}, {{print .text}}, {{eq 1 1}}]',
         [1772443200, 2, 80, EVENT["text"], True]),
        ('["{{html .text}}", {{.text | html}}]', ['&lt;b&gt; &amp; &#34;q&#34; \\ \n\t\ufffd größe 😀'] * 2),
        ('[{{range $i, $e := .ids}}{{if $i}},{{end}}"{{$e}}"{{end}}]', ["T1", "T2"]),
        ('[{{range $i, $e := .ids}}{{if $i}}{{","}}{{end}}{{$e}}{{end}}]', ["T1", "T2"]),
        ('[{% for e in ids %}{{ e }}{{ "," if not loop.last }}{% endfor %}]', ["T1", "T2"]),
        ('[{{ "yes" if severity > 70 else "no" }}, "{{ "y" if severity else "n" }}"]', ["yes", "y"]),
        ('{"a": "\\"{{.description}}\\\\", "b": "\\u00e9{{.severity}}"}', {"a": f'"{HOSTILE}\\', "b": "é80"}),
        ('["{{js .text}}", "{{.text | js}}", {{js .text}}]', [EVENT["text"]] * 3),
        ('[{{println .severity}}]', [80]),
        ('{"{{.description}}": 1}', {HOSTILE: 1}),
        ('{{if .severity}}{"a": "{{.description}}"}{{else}}{}{{end}}', {"a": HOSTILE}),
        ('["{{severity_word .severity}}", "{{date .time}}"]', ["warning", "2026-03-02T09:20:00Z"]),
    ],
)  # fmt: skip
def test_a_template_of_json_gives_the_events_own_values(template: str, expected: object) -> None:
    assert check_template(template, html=True, as_json=True) == []
    assert json.loads(render_body(template, EVENT, as_json=True)) == expected


@pytest.mark.parametrize(
    ("template", "body"),
    [
        ("said {{.text}}", "said &lt;b&gt; &amp; &#34;q&#34; \\ \n\t\ufffd größe 😀"),
        ("said {{ text }}", 'said <b> & "q" \\ \n\t\x00 größe 😀'),
        ("{{.severity}}: {}", "80: {}"),
    ],
)
def test_a_template_that_does_not_begin_as_json_is_none(template: str, body: str) -> None:
    assert render_body(template, EVENT, as_json=True).decode() == body


def test_json_is_written_only_where_the_receiver_is_told_so() -> None:
    assert render_body('{"a": "{{.description}}"}', {"description": '"'}, as_json=False) == b'{"a": "&#34;"}'
    assert render_body('{"a": "{{description}}"}', {"description": '"'}, as_json=False) == b'{"a": """}'


@pytest.mark.parametrize("template", ['{"a": "\\{{.s}}"}', '{"a": "\\u00{{.s}}"}', '{"a": "x\\\\\\{{ s }}"}'])
def test_a_value_cannot_end_an_escape(template: str) -> None:
    with pytest.raises(RenderError, match="in the midst of an escape"):
        render_body(template, {"s": "n"}, as_json=True)


PARTS = (
    ('"{{.a}}"', "{{.b}}", '["{{.c.d}}x{{.a}}", {{json .c}}, {{print .b}}]', '"{{printf "%v %q" .a .b}}"'),
    ('"{{ a }}"', "{{ b }}", '["{{ c.d }}", {{ c | tojson }}, {{ b | upper }}]', '"{{ a | truncate(5) }}"'),
    ('{{.a | default "x"}}', '"{{.b | html}}{{js .a}}"', "{{with .c}}{{.}}{{else}}0{{end}}", "{{json .}}"),
    ('{{ a | default("x") }}', '"{{ b | tojson }}"', "{% if c %}{{ c }}{% else %}0{% endif %}", "{{ event }}"),
    ('"{{date "%H" .a}}{{severity_word .b}}"', "{{truncate 3 .a}}", "{{len (print .c)}}", "{{urlquery .a}}"),
)
TEMPLATES = tuple(f'{{"a": {a}, "b": {b}, "c": {c}, "d": {d}}}' for a, b, c, d in PARTS)
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text() | st.sampled_from([HOSTILE, '"', "\\", "\\u", "\ud800", "}", "null", "-1e5", "{{.a}}", "','"])
VALUES = st.recursive(
    SCALARS | TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
)


@given(st.sampled_from(TEMPLATES), st.fixed_dictionaries({}, optional={"a": VALUES, "b": VALUES, "c": VALUES}))
def test_whatever_the_event_the_result_is_json_with_the_same_keys(template: str, event: dict[str, Any]) -> None:
    try:
        body = render_body(template, event, as_json=True)
    except RenderError as error:
        assert "has no fields" in str(error) or "of null" in str(error)  # noqa: PT017 - `.c.d` of no object, as in Go
        return
    assert [*json.loads(body)] == ["a", "b", "c", "d"]
