"""What a webhook means otherwise to Calico's own processor: each difference is told, and nothing else."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubectl_sew.query import CALICO
from kubectl_sew.resource import load_manifests
from kubectl_sew.resource.findings import Finding
from kubectl_sew.validation.manifests import check_for_calico, validate_manifests

URLS = {
    "Slack": "https://hooks.slack.com/services/T/B/x",
    "Jira": "https://jira.example/rest/api/2/issue",
    "Generic": "https://receiver.example/",
    "AlertManager": "http://alertmanager:9093/api/v2/alerts",
}
REST = {"Jira": {"project": "P", "issueType": "Bug", "username": "u", "apiToken": "t"}}
SAME = {"Slack": {"title": "calico"}, "Jira": {"summary": "calico"}}
"""Variables with which a consumer writes what Calico's processor writes."""


def webhook(
    consumer: str = "Generic",
    *,
    query: str = "type = waf",
    labels: str | None = None,
    state: str = "Enabled",
    **config: Any,
) -> dict[str, Any]:
    values = {"url": URLS[consumer], **REST.get(consumer, {}), **SAME.get(consumer, {}), **config}
    metadata: dict[str, Any] = {"name": "hook"}
    if labels is not None:
        metadata["annotations"] = {"webhooks.projectcalico.org/labels": labels}
    variables = [
        {"name": name.replace("_", "."), **(value if isinstance(value, dict) else {"value": value})}
        for name, value in values.items()
        if value is not None
    ]
    spec = {"consumer": consumer, "state": state, "query": query, "config": variables}
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "SecurityEventWebhook",
        "metadata": metadata,
        "spec": spec,
    }


def told(obj: dict[str, Any], code: str = "") -> list[Finding]:
    """Return the differences alone: what is found with --calico and not without."""
    text = yaml.safe_dump(obj)
    without = validate_manifests(load_manifests(text, "f"), CALICO)
    found = validate_manifests(load_manifests(text, "f"), CALICO, calico=True)
    assert [finding for finding in found if finding in without] == without
    more = [finding for finding in found if finding not in without]
    assert all(finding.severity == "warning" and finding.hint and finding.line for finding in more)
    return [finding for finding in more if finding.code.startswith(code)]


@pytest.mark.parametrize(
    "obj",
    [
        webhook("Slack"),
        webhook("Jira", labels="Cluster name:Calico Enterprise"),
        webhook("Generic", labels="a:b,c:d"),
        webhook("Generic", query='type=waf AND source_name = web OR host IN {a, "b*"} // both\nAND time >= 1500000000'),
        webhook("Generic", template='{"severity": {{.severity}}, "kind": "{{if eq .type "waf"}}w{{end}}"}'),
        webhook("Generic", template="{{.description}}", headers="Content-Type: text/plain"),
        webhook("Generic", template="plain"),
        webhook("Generic", state="Disabled"),
    ],
    ids=["slack", "jira", "generic", "query", "template", "text", "constant", "disabled"],
)
def test_nothing_is_told_where_nothing_differs(obj: dict[str, Any]) -> None:
    assert told(obj) == []


@pytest.mark.parametrize(
    ("consumer", "variable", "line"),
    [("Slack", "title", "⚠ Calico Security Alert"), ("Jira", "summary", "Calico Security Alert")],
)
def test_the_line_that_calico_always_writes_is_named_with_the_variable_that_writes_it(
    consumer: str, variable: str, line: str
) -> None:
    (finding,) = told(webhook(consumer, **{variable: None}))
    assert finding.code == "SEW071"
    assert f"`{line}`" in finding.message
    assert finding.hint == f"for the same set the variable `{variable}` to `calico`"
    (passed_over,) = told(webhook(consumer, **{variable: "{{ name }}"}))
    assert passed_over.code == "SEW072"


def test_what_an_alert_holds_otherwise_is_told() -> None:
    messages = "\n".join(finding.message for finding in told(webhook("AlertManager"), "SEW071"))
    assert "`severity`" in messages
    assert "`event_id`" in messages
    assert "`Description`" in messages
    assert "resolve_timeout" in messages


def test_labels_that_alertmanager_gets_otherwise_are_told_at_the_annotation() -> None:
    found = [
        finding for finding in told(webhook("AlertManager", labels="Cluster name:a,alertname:b")) if finding.line < 8
    ]
    assert ["`Cluster_name`" in finding.message for finding in found] == [True, False]
    assert "`Calico Security Event`" in found[1].message


def test_blanks_in_labels_are_told_for_every_consumer() -> None:
    (finding,) = told(webhook(labels="a:b, c:d"))
    assert (finding.code, finding.line) == ("SEW071", 5)


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ('host IN {a, 5, "6"}', "5"),
        ("type = waf AND NOT host EMPTY", "host EMPTY"),
        ('time > "now-1h"', '"now-1h"'),
        ('time > "2026-01-01T00:00:00Z" AND time >= 5', '"2026-01-01T00:00:00Z"'),
    ],
)
def test_a_form_of_query_that_calico_does_not_take_is_marked(query: str, marked: str) -> None:
    (finding,) = told(webhook(query=query))
    line, caret = finding.excerpt.splitlines()
    assert (finding.code, line[caret.index("^") : caret.rindex("^") + 1]) == ("SEW072", marked)


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ('source_ip IN {"10.0.0.0/8", "192.0.2.1"}', "for both write `=` and OR"),
        ("severity NOTIN {80, 90}", "for both write `!=` and AND"),
        ("dismissed IN {true}", "for both write `=` and OR"),
        ("_id IN {a, b}", "for both write `=` and OR"),
    ],
)
def test_a_set_of_anything_but_strings_is_told_since_calico_fails_on_it(query: str, hint: str) -> None:
    (finding,) = told(webhook(query=query))
    assert (finding.code, finding.hint) == ("SEW072", hint)


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("time > 1700000000", "`time >= 1700000001`"),
        ("time <= 1700000000", "`time < 1700000001`"),
        ("host IN {`C:\\Temp`}", "`C:\\\\Temp`"),
        ("host NOTIN {a, `\\\\srv\\c*`}", "`\\\\srv\\\\c*`"),
    ],
)
def test_a_query_that_selects_other_events_there_is_told_with_what_selects_the_same(query: str, hint: str) -> None:
    (finding,) = told(webhook(query=query))
    assert finding.code == "SEW073"
    assert hint in finding.hint
    same = hint.strip("`") if "time" in query else query.replace("`C:\\Temp`", hint).replace("`\\\\srv\\c*`", hint)
    assert told(webhook(query=same)) == []


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("dismissed = true", "dismissed = true"),
        ("type = waf AND NOT (host = a OR dismissed = false)", "dismissed = false"),
        ("dismissed != false", "dismissed != false"),
    ],
)
def test_a_query_for_dismissed_events_is_told_since_calico_looks_once(query: str, marked: str) -> None:
    (finding,) = told(webhook(query=query))
    assert finding.code == "SEW073"
    line, caret = finding.excerpt.splitlines()
    assert line[caret.index("^") : caret.rindex("^") + 1] == marked


@pytest.mark.parametrize(
    "query",
    [
        "NOT dismissed = true",
        "dismissed = false OR dismissed != true",
        "time >= 1700000000",
        "time < 1700000000.5",
        "time = 5",
        r"host IN {`a\*b`, `c\\d`, `e\`}",
    ],
)
def test_what_selects_the_same_events_is_not_told(query: str) -> None:
    assert [finding for finding in told(webhook(query=query)) if finding.code == "SEW073"] == []


def test_an_exceptions_selector_is_judged_as_a_query_is() -> None:
    spec = {"description": "d", "selector": "host EMPTY OR dismissed = true", "startTime": "2026-01-01T00:00:00Z"}
    exception = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "AlertException",
        "metadata": {"name": "e"},
        "spec": spec,
    }
    (finding,) = told(exception)
    assert (finding.code, finding.resource) == ("SEW072", "e")


@pytest.mark.parametrize(
    ("consumer", "config", "variable"),
    [
        ("Generic", {"rate": "1/s"}, "rate"),
        ("Generic", {"ca_crt": {"valueFrom": {"configMapKeyRef": {"name": "n", "key": "k"}}}}, "ca.crt"),
        ("Jira", {"priority": "High"}, "priority"),
        ("AlertManager", {"severityMap": "page:90,ticket:0"}, "severityMap"),
        ("AlertManager", {"ca_crt": {"valueFrom": {"configMapKeyRef": {"name": "n", "key": "k"}}}}, "ca.crt"),
    ],
)
def test_a_variable_that_calico_does_not_read_is_named(consumer: str, config: dict[str, Any], variable: str) -> None:
    (finding,) = told(webhook(consumer, **config), "SEW072")
    assert f"`{variable}`" in finding.message


def test_all_three_files_of_tls_are_used_by_both() -> None:
    source = {"valueFrom": {"secretKeyRef": {"name": "n", "key": "k"}}}
    assert told(webhook("AlertManager", ca_crt=source, tls_crt=source, tls_key=source), "SEW072") == []


def test_an_optional_reference_is_told_at_its_place() -> None:
    source = {"valueFrom": {"secretKeyRef": {"name": "n", "key": "k", "optional": True}}}
    (finding,) = told(webhook(headers=source))
    assert finding.code == "SEW072"
    assert "`optional`" in finding.message


def test_a_test_without_a_chosen_sample_is_told() -> None:
    (finding,) = told(webhook(state="Test"))
    assert finding.code == "SEW073"


@pytest.mark.parametrize(
    ("template", "theirs", "ours"),
    [
        ('{"text": "{{.description}}"}', "&#34;&amp;&lt;&#39;&#43;", '\\"&'),
        ('{"time": {{.time}}}', "e&#43;09", '"time": 17'),
        ('{"all": {{.}}}', "map[", '{"all": {'),
    ],
)
def test_a_body_that_calico_writes_otherwise_is_shown_beside_ours(template: str, theirs: str, ours: str) -> None:
    (finding,) = told(webhook(template=template))
    assert finding.code == "SEW070"
    shown, _, here = finding.message.rpartition(", and here")
    assert theirs in shown.rpartition("it writes")[2]
    assert ours in here


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ('{"text": {{ description | tojson }}}', "in Jinja2"),
        ('{"text": {{json .description}}, "at": "{{.time | date}}"}', "no function `date` or `json`"),
        ('{"text": "{{.type}} {# plain #}"}', "plain text"),
        (" ", "empty body"),
    ],
)
def test_a_template_that_calico_does_not_read_so_is_told(template: str, why: str) -> None:
    (finding,) = told(webhook(template=template))
    assert finding.code == "SEW070"
    assert why in finding.message


def test_what_is_hinted_for_a_brace_in_a_template_means_the_same_in_both() -> None:
    assert told(webhook(template='{"text": "{{.severity}} {{"{"}}# plain #}"}')) == []


@pytest.mark.parametrize("hide", [lambda obj: obj["spec"]["config"][-1], None], ids=["secret", "plain"])
def test_no_template_out_of_a_secret_is_shown(hide: Callable[[dict[str, Any]], dict[str, Any]] | None) -> None:
    template = '{"canary": "{{.description}}"}'
    obj = webhook(template=template)
    if hide:
        variable = hide(obj)
        del variable["value"]
        variable["valueFrom"] = {"secretKeyRef": {"name": "keys", "key": "template"}}
    found = check_for_calico(obj, {"keys": {"template": template.encode()}}, {}, CALICO)
    (finding,) = [finding for finding in found if finding.code == "SEW070"]
    assert ("&#34;" in finding.message) is (hide is None)


def test_a_value_in_a_tag_of_html_is_told_as_such() -> None:
    (finding,) = told(webhook(template='{"link": "<a href={{.severity}}>"}'))
    assert "as HTML" in finding.message


@given(
    consumer=st.sampled_from([*URLS, "Other"]),
    query=st.text() | st.sampled_from(["host IN {`\\a`, 1}", "time > 5", "NOT dismissed = true", "a IN {b}"]),
    labels=st.text(),
    template=st.text() | st.sampled_from(["{{.a}}", "{% if x %}", '{"a": "{{.}}"}', "{{define}}"]),
    state=st.sampled_from(["Enabled", "Test", "", "x"]),
)
def test_any_webhook_can_be_judged(consumer: str, query: str, labels: str, template: str, state: str) -> None:
    obj = webhook("Generic", query=query, labels=labels, state=state, template=template)
    obj["spec"]["consumer"] = consumer
    assert isinstance(check_for_calico(obj, {}, {}, CALICO), list)


def test_headers_out_of_sight_leave_open_what_a_body_is() -> None:
    headers = {"valueFrom": {"secretKeyRef": {"name": "n", "key": "k"}}}
    assert told(webhook(template='{"all": {{.}}}', headers=headers)) == []


def test_whoever_validates_without_it_loads_no_engine_of_templates() -> None:
    """The agent does."""
    code = "import sys, kubectl_sew.validation.manifests; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_webhook_of_the_cluster_is_judged_with_all_that_the_api_adds_and_without_places() -> None:
    obj = webhook("Slack", title=None, query="source_name = Web")
    obj["metadata"] |= {"uid": "1", "generation": 2, "managedFields": [], "resourceVersion": "5"}
    obj["status"] = [{"type": "Healthy", "status": "True"}]
    found = check_for_calico(json.loads(json.dumps(obj)), {}, {}, CALICO)
    assert [finding.code for finding in found] == ["SEW071", "SEW032"]
    assert {(finding.file, finding.line, finding.resource) for finding in found} == {("", 0, "hook")}
    assert "Calico compares with `web`" in found[1].hint.replace('"', "`")
