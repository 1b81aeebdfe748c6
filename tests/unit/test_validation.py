"""A webhook as a whole: what the plugin reports of manifests, and what the agent takes."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.query import ANY, CALICO
from kubectl_sew.query.ast import EVERY_EVENT
from kubectl_sew.resource import CODES, ConfigVar, HealthyReason, Reference, State, Webhook, load_manifests, load_many
from kubectl_sew.resource.findings import Finding
from kubectl_sew.validation.manifests import validate_manifests
from kubectl_sew.validation.webhook import REASONS, Accepted, InvalidWebhook, accept

ROOT = Path(__file__).parents[2]

JIRA = """\
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata: {name: hook}
spec:
  consumer: Jira
  state: Enabled
  query: type=waf
  config:
    - {name: url, value: 'https://jira.example/rest/api/2/issue'}
    - {name: project, value: P}
    - {name: issueType, value: Bug}
    - {name: username, value: u}
    - {name: apiToken, valueFrom: {secretKeyRef: {name: keys, key: token}}}
"""
SECRET = "\n---\n{kind: Secret, metadata: {name: keys}, stringData: {token: canary}}\n"


def findings_in(text: str, *, unread: Mapping[tuple[str, str], str] | None = None) -> list[Finding]:
    return validate_manifests(load_manifests(text, "f"), CALICO, unread=unread)


def test_the_examples_have_no_finding() -> None:
    files = [(path.name, path.read_bytes()) for path in sorted((ROOT / "examples/webhooks").glob("*.yaml"))]
    assert files
    assert validate_manifests(load_many(files), CALICO, unread={}) == []


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        ("consumer: Jira", "consumer: Jirra", "SEW020", (5, 13)),
        ("consumer: Jira", "consumer: Alertmanager", "SEW021", (9, 26)),
        ("value: P}", "value: ''}", "SEW021", (10, 30)),
        ("project, value: P", "projekt, value: P", "SEW021", (9, 5)),
        ("project, value: P", "projekt, value: P", "SEW022", (10, 30)),
        ("name: apiToken", "name: apiTocken", "SEW022", (13, 36)),
        ("query: type=waf", "query: type=", "SEW030", (7, 10)),
        ("query: type=waf", "query: /* later */", "SEW030", (7, 10)),
        ("query: type=waf", "query: tpye=waf", "SEW031", (7, 10)),
        ("query: type=waf", "query: tpye IN {a}", "SEW032", (7, 10)),
        ("{name: hook}", "{name: hook, annotations: {webhooks.projectcalico.org/testEvent: x}}", "SEW016", (3, 76)),
        ("{name: hook}", "{name: Hook}", "SEW010", (3, 18)),
    ],
)
def test_each_problem_of_the_whole_has_its_code_and_place(
    old: str, new: str, code: str, place: tuple[int, int]
) -> None:
    assert old in JIRA
    findings = findings_in(JIRA.replace(old, new, 1))
    assert (code, *place) in [(finding.code, finding.line, finding.column) for finding in findings]
    assert {finding.resource for finding in findings} <= {"hook", "Hook"}


def test_the_labels_of_an_alert_that_meet_the_agents_own_are_named_at_the_annotation() -> None:
    text = """\
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata:
  name: hook
  annotations:
    webhooks.projectcalico.org/labels: 'severity:page,event_id:x,team:sec'
spec: {consumer: AlertManager, state: Enabled, query: type=waf, config: [{name: url, value: "http://h/api/v2/alerts"}]}
"""
    reported = [(finding.code, finding.severity, finding.line, finding.message) for finding in findings_in(text)]
    assert reported == [
        ("SEW022", "warning", 6, "the label `severity` is sent as it is given here, in place of the agent's own"),
        ("SEW022", "warning", 6, "the label `event_id` is not sent: the agent's own identifies the alert"),
    ]
    assert findings_in(text.replace("AlertManager", "Generic")) == []


@pytest.mark.parametrize("state", ["Enabled", "Test"])
def test_an_unknown_test_event_is_a_warning_whatever_the_state_and_calicos_older_names_are_known(state: str) -> None:
    annotated = "{name: hook, annotations: {webhooks.projectcalico.org/testEvent: %s}}"
    text = JIRA.replace("Enabled", state)
    (finding,) = findings_in(text.replace("{name: hook}", annotated % "x"))
    assert (finding.code, finding.severity) == ("SEW016", "warning")
    assert finding.message == "no sample event is called `x`: state Test sends `waf`"
    assert findings_in(text.replace("{name: hook}", annotated % "gtf_suspicious_*")) == []


def test_a_name_that_no_event_has_is_a_warning_at_the_line_that_asks_for_it() -> None:
    text = JIRA.replace(
        "{name: project, value: P}", "{name: project, value: P}\n    - {name: summary, value: '{{ naem }}'}"
    )
    assert [(finding.code, finding.line, finding.hint) for finding in findings_in(text)] == [
        ("SEW022", 11, "did you mean `name`?")
    ]


def test_a_problem_in_a_query_is_drawn_with_a_caret() -> None:
    query = findings_in(JIRA.replace("type=waf", "type=waf AND tpye = x"))[0]
    assert query.excerpt == "  type=waf AND tpye = x\n" + " " * 15 + "^^^^"


def test_independent_problems_are_all_found() -> None:
    text = JIRA.replace("Jira", "Jirra").replace("type=waf", "a=").replace("{name: hook}", "{name: H}")
    assert [finding.code for finding in findings_in(text)] == ["SEW010", "SEW020", "SEW030"]


def test_a_secret_that_is_not_among_the_manifests_may_be_in_the_cluster() -> None:
    assert findings_in(JIRA) == []
    assert [finding.code for finding in findings_in(JIRA, unread={})] == ["SEW040"]
    assert findings_in(JIRA + SECRET, unread={}) == []


def test_a_secret_that_could_not_be_read_is_a_warning_and_its_value_is_not_judged() -> None:
    (only,) = findings_in(JIRA, unread={("Secret", "keys"): "secrets is forbidden"})
    assert (only.code, only.severity, only.hint) == ("SEW043", "warning", "secrets is forbidden")


def test_a_key_that_a_given_secret_does_not_hold_is_an_error() -> None:
    assert [(finding.code, finding.line) for finding in findings_in(JIRA + SECRET.replace("token", "other"))] == [
        ("SEW041", 13)
    ]


def test_a_variable_is_not_missed_when_what_excuses_it_is_elsewhere() -> None:
    auth = "{name: authentication, valueFrom: {secretKeyRef: {name: elsewhere, key: k}}}"
    assert findings_in(JIRA.replace("{name: username, value: u}", auth)) == []


def test_a_configuration_that_is_no_list_is_one_finding() -> None:
    text = JIRA[: JIRA.index("    - {name: url")] + "    {url: x}\n"
    assert [finding.code for finding in findings_in(text)] == ["SEW006"]


def test_where_no_webhook_was_found_nothing_was_checked_which_is_an_error() -> None:
    assert [(finding.code, finding.severity) for finding in findings_in("kind: Pod")] == [("SEW017", "error")]


def test_no_finding_shows_a_value() -> None:
    text = JIRA.replace("https://jira.example/rest/api/2/issue", "ftp://canary/issue") + SECRET
    findings = findings_in(text)
    assert [finding.code for finding in findings] == ["SEW021"]
    assert "canary" not in repr(findings) + "".join(map(str, findings))


HOOK = Webhook(
    "hook",
    "Generic",
    State.ENABLED,
    "type = waf",
    (ConfigVar("url", "https://x.example/canary"), ConfigVar("signingSecret", Reference("Secret", "keys", "k"))),
    {"webhooks.projectcalico.org/labels": "a:b,oops"},
)
KEYS = {"keys": {"k": b"whsec_Zm9yIHRoZSBkZW1vbnN0cmF0aW9uIG9ubHkh"}}


def test_an_accepted_webhook_has_all_that_delivery_needs() -> None:
    accepted = accept(HOOK, KEYS, {}, CALICO)
    assert isinstance(accepted, Accepted)
    assert accepted.consumer is CONSUMERS["Generic"]
    assert accepted.config == {"url": "https://x.example/canary", "signingSecret": KEYS["keys"]["k"].decode()}
    assert str(accepted.node) == "type = waf"
    assert accepted.labels == {"a": "b"}
    assert [warning.code for warning in accepted.warnings] == ["SEW015"]
    assert "canary" not in repr(accepted)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (replace(HOOK, query="type ="), HealthyReason.QUERY_PARSING),
        (replace(HOOK, query=""), HealthyReason.QUERY_PARSING),
        (replace(HOOK, query="tpye = x"), HealthyReason.QUERY_VALIDATION),
        (replace(HOOK, consumer="Pager"), HealthyReason.CONSUMER_DISCOVERY),
        (replace(HOOK, config=HOOK.config[1:]), HealthyReason.CONSUMER_VALIDATION),
        (replace(HOOK, config=(*HOOK.config, ConfigVar("url", "x"))), HealthyReason.CONFIGURATION_PARSING),
        (
            replace(HOOK, config=(ConfigVar("url", Reference("Secret", "no", "k")),)),
            HealthyReason.CONFIGURATION_PARSING,
        ),
    ],
)
def test_a_refused_webhook_says_why_in_calicos_word(changed: Webhook, reason: HealthyReason) -> None:
    refused = accept(changed, KEYS, {}, CALICO)
    assert isinstance(refused, InvalidWebhook)
    assert refused.reason is reason
    assert refused.message
    assert "canary" not in repr(refused)


def test_a_refusal_counts_what_it_does_not_name() -> None:
    refused = accept(replace(HOOK, query="type =", consumer="Pager"), KEYS, {}, CALICO)
    assert isinstance(refused, InvalidWebhook)
    assert refused.message.endswith("(and 1 more)")


def test_an_optional_reference_that_leads_nowhere_leaves_a_required_variable_missing() -> None:
    hook = replace(HOOK, config=(ConfigVar("url", Reference("Secret", "no", "k", optional=True)),))
    refused = accept(hook, {}, {}, CALICO)
    assert isinstance(refused, InvalidWebhook)
    assert [finding.code for finding in refused.findings if finding.is_error] == ["SEW021"]


@given(
    st.sampled_from(sorted(CONSUMERS)),
    st.text(max_size=30),
    st.dictionaries(st.text(max_size=9), st.text(), max_size=4),
)
def test_any_query_and_configuration_is_accepted_or_refused(consumer: str, query: str, config: dict[str, str]) -> None:
    hook = Webhook("hook", consumer, State.ENABLED, query, tuple(ConfigVar(*item) for item in config.items()))
    assert isinstance(accept(hook, {}, {}, CALICO), Accepted | InvalidWebhook)
    text = yaml.safe_dump(
        {"apiVersion": "projectcalico.org/v3", "kind": "SecurityEventWebhook", "spec": {"query": query}}
    )
    assert findings_in(text)


@pytest.mark.documentation
def test_the_documentation_lists_every_code_with_its_meaning() -> None:
    rows = re.findall(r"^\| (SEW\d{3}) \| (.+?) \|$", (ROOT / "docs/validation.md").read_text(), re.MULTILINE)
    assert dict(rows) == CODES
    assert len(rows) == len(CODES)
    assert set(REASONS) <= set(CODES)


def test_every_code_is_used_and_none_is_unknown() -> None:
    package = ROOT / "kubectl_sew"
    sources = [*(package / "resource").glob("*.py"), *(package / "validation").glob("*.py")]
    sources += [package / "exceptions.py", package / "query_findings.py", package / "calico.py"]
    sources += [package / "cluster/validation.py", package / "cli/files.py"]
    text = "".join(path.read_text() for path in sources)
    used = re.findall(r"\"(SEW\d{3})\"(?!:)", text)
    assert set(used) == set(CODES)


def test_the_resource_is_imported_without_a_yaml_parser() -> None:
    code = "import sys, kubectl_sew.resource; sys.exit('yaml' in sys.modules or 'parsimonious' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


GENERIC = """\
kind: SecurityEventWebhook
apiVersion: projectcalico.org/v3
metadata: {name: hook}
spec:
  consumer: Generic
  state: Enabled
  query: type=waf
  config:
    - {name: url, value: 'https://h.example/'}
    - name: template
      %s
"""


def template(text: str, query: str = "type=waf", more: str = "") -> list[Finding]:
    return findings_in((GENERIC % f"value: {json.dumps(text)}").replace("type=waf", query) + more)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{{ sevrity }}", "line 1: there is no field `sevrity`", "did you mean `severity`?"),
        ("a\n{{ secrets.routing_key }}", "line 2: there is no field `secrets`", "{{ description }}"),
        ("{{ document }}", "line 1: there is no field `document`", "{{ event | tojson }}"),
        ("{{.event}}", "line 1: there is no field `event`", "{{json .}}"),
        ("{{with .labels}}{{.a}}{{$.recrod}}{{end}}", "line 1: there is no field `recrod`", "did you mean `record`?"),
        ("{{.descripton}}", "line 1: there is no field `descripton`", "did you mean `description`?"),
        (
            "{% for a in recrod.l %}{{ a.b }}{% endfor %}",
            "line 1: there is no field `recrod`",
            "did you mean `record`?",
        ),
        ("{% if mitre_id == 1 %}{% endif %}", "line 1: there is no field `mitre_id`", "did you mean `mitre_ids`?"),
        (
            '{"a": {{ severity }}.}',
            "for the sample event `waf` the body is not JSON: line 1 column 9",
            "preview-payload",
        ),
        ('{"a": {{ severity }}, }', "for the sample event `waf` the body is not JSON: line 1", "preview-payload"),
        ("said {{ description }}", "for the sample event `waf` the body is not JSON: line 1", "text/plain"),
        ("{% if host == 1 %}x{% endif %}", "for the sample event `waf` the body is empty", "narrow the query"),
        ("{{if ge .severity 80}}{}{{end}}", "for the sample event `waf` the template cannot be rendered", "preview"),
        ("[{{ severity | truncate(0) }}]", "for the sample event `waf` a `truncate`", "preview-payload"),
    ],
)
def test_what_a_template_would_get_silently_wrong_is_warned_of_at_its_place(text: str, message: str, hint: str) -> None:
    (finding,) = template(text)
    assert (finding.code, finding.is_error, finding.line) == ("SEW022", False, 11)
    assert finding.message.startswith(message)
    assert hint in finding.hint


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "{{.description}}", "l": "{{.labels.x}}", "s": {{.severity}}, "all": {{json .}}}',
        '{"a": {{ description | tojson }}, "l": {{ labels.x | tojson }}, "i": {{ id | tojson }}, "s": {{ severity }}}',
        "[{{ .record.rules[0].id }}, {{ geo_info }}, {{ mitigations }}, {{ protocol }}, {{ attack_phase }}]",
        "{{ event | tojson }}",
        "{{json .}}",
        "[{% for a in mitre_ids %}{{ a | tojson }}{% if not loop.last %},{% endif %}{% endfor %}]",
    ],
)
def test_a_template_that_works_has_no_finding(text: str) -> None:
    assert template(text) == []


def test_each_sample_event_that_the_query_selects_is_rendered() -> None:
    text = '{"a": {{.severity}}{{if .source_port}}, "p": {{.source_port}}{{end}}}'
    assert template(text, "type=alert") == []
    (finding,) = template(text, "type IN {alert, waf, suspicious_flow}")
    assert finding.message == "for the sample event `alert` the body has other keys than for `waf`: `p`"
    assert "`null`" in finding.hint


SLACK_WITH = GENERIC.replace("Generic", "Slack").replace("h.example/", "hooks.slack.com/services/T/B/x")
JIRA_WITH = GENERIC.replace("Generic", "Jira").replace(
    "h.example/'}",
    "j.example/rest/api/2/issue'}\n    - {name: project, value: P}\n    - {name: issueType, value: Bug}\n"
    "    - {name: username, value: u}\n    - {name: apiToken, value: t}",
)


@pytest.mark.parametrize(
    ("manifest", "variable", "text"),
    [
        (SLACK_WITH, "template", "{{index .description 9999}}"),
        (SLACK_WITH, "title", "{{index .description 9999}}"),
        (JIRA_WITH, "summary", "{{.type.x}}"),
        (JIRA_WITH, "fields", '{"a": ["{{.type.x}}"]}'),
    ],
)
def test_a_template_of_a_message_that_fails_for_a_sample_event_is_warned_of(
    manifest: str, variable: str, text: str
) -> None:
    named = manifest.replace("name: template", f"name: {variable}")
    (finding,) = findings_in(named % f"value: {json.dumps(text)}")
    assert (finding.code, finding.is_error) == ("SEW022", False)
    assert finding.message.startswith("for the sample event `waf` the template cannot be rendered")
    assert findings_in(named % "value: '{}'") == []


def test_one_warning_says_of_how_many_sample_events_it_is() -> None:
    (finding,) = template("{{.type}}-{{.severity}}", "type IN {waf, alert, global_alert}")
    assert finding.message == "for the sample event `waf` (and 2 more) the body is not JSON: line 1 column 1"


def test_a_query_that_selects_no_sample_is_tried_with_the_test_event() -> None:
    (finding,) = template("x{{.severity}}", "host = nobody")
    assert finding.message.startswith("for the sample event `waf` the body is not JSON")


def test_an_age_in_the_query_leaves_no_sample_out() -> None:
    (finding,) = template("x{{.severity}}", 'time > "now-1h"')
    assert "(and 9 more)" in finding.message


def test_a_content_type_of_plain_text_or_out_of_sight_is_no_warning() -> None:
    plain = "    - {name: headers, value: 'Content-Type: text/plain'}\n"
    hidden = "    - {name: headers, valueFrom: {secretKeyRef: {name: elsewhere, key: h}}}\n"
    assert template("said {{ description }}", more=hidden) == template("said {{ description }}", more=plain) == []


def test_a_template_for_events_of_any_kind_may_name_any_field() -> None:
    text = GENERIC % "value: '[{{ rule }}, {{ output_fields.x }}]'"
    assert validate_manifests(load_manifests(text, "f"), ANY) == []


def test_names_in_jiras_fields_are_checked_as_well() -> None:
    text = JIRA.replace(
        "    - {name: username", '    - {name: fields, value: \'{"x": "{{ sevrity }}"}\'}\n    - {name: username'
    )
    (finding,) = [finding for finding in findings_in(text + SECRET) if finding.code == "SEW022"]
    assert "`sevrity`" in finding.message


@pytest.mark.parametrize("text", ["{{ cana.ry }}", "{% canary %}", "{{ a canary }}"])
def test_of_a_template_from_a_secret_nothing_is_shown_but_the_line(text: str) -> None:
    secret = f"---\n{{kind: Secret, metadata: {{name: keys}}, stringData: {{token: {json.dumps(text)}}}}}\n"
    findings = findings_in(GENERIC % "valueFrom: {secretKeyRef: {name: keys, key: token}}" + secret)
    assert any("line 1" in finding.message for finding in findings)
    assert not [finding for finding in findings if "cana" in finding.message + finding.hint]


def test_of_what_to_group_by_nothing_is_shown_where_it_is_from_a_secret() -> None:
    digest = GENERIC.replace("    - name: template\n", "    - {name: digest, value: 10m}\n    - name: groupBy\n")
    assert any("`canary`" in finding.message for finding in findings_in(digest % "value: canary"))
    findings = findings_in(digest % "valueFrom: {secretKeyRef: {name: keys, key: token}}" + SECRET)
    assert any("to group by" in finding.message for finding in findings)
    assert not [finding for finding in findings if "canary" in finding.message + finding.hint]


@pytest.mark.parametrize("query", ["''", "' '", "'*'", "'true'", "ALL", "'// nothing'"])
def test_a_query_that_is_meant_to_select_everything_comes_with_one_that_does(query: str) -> None:
    (finding,) = findings_in(GENERIC.replace("type=waf", query) % "value: '{}'")
    assert finding.hint.endswith(f"`{EVERY_EVENT}`")
