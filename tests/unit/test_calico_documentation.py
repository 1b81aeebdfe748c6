"""With Calico's documentation in hand: what it describes works here, and what is otherwise is told.

The facts are those of its pages "Security event webhook", "Webhooks for security event alerts", "Alert exception", and
of the language of queries; the manifests are written anew.
"""

import json
from typing import Any

import pytest
import yaml

from kubectl_sew.consumers.registry import find
from kubectl_sew.consumers.template import render_body
from kubectl_sew.event import Event
from kubectl_sew.query import CALICO, bind, compile_matcher, parse
from kubectl_sew.resource import Webhook, load_manifests, parse_labels
from kubectl_sew.samples import sample
from kubectl_sew.validation.manifests import validate_manifests

JIRA = """\
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata:
  name: tickets
  annotations:
    webhooks.projectcalico.org/labels: 'Cluster name:Calico Enterprise'
spec:
  consumer: Jira
  state: Enabled
  query: type=waf
  config:
    - name: url
      value: 'https://company.example/rest/api/2/issue/'
    - name: project
      value: OPS
    - name: issueType
      value: Bug
    - name: username
      valueFrom:
        secretKeyRef: {name: jira, key: username}
    - name: apiToken
      valueFrom:
        secretKeyRef: {name: jira, key: token}
"""
SECRET = "---\n{kind: Secret, metadata: {name: jira}, stringData: {username: u, token: t}}\n"


def found(text: str, *, calico: bool = False) -> list[str]:
    manifests = load_manifests(text, "f")
    return [finding.code for finding in validate_manifests(manifests, CALICO, unread={}, calico=calico)]


def hook(consumer: str, state: str = "Enabled", **config: str) -> str:
    variables = [{"name": name, "value": value} for name, value in config.items()]
    spec = {"consumer": consumer, "state": state, "query": "type=waf", "config": variables}
    return yaml.safe_dump(
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": "SecurityEventWebhook",
            "metadata": {"name": "hook"},
            "spec": spec,
        }
    )


def payload(text: str) -> Any:
    """Return the body of the request for a sample event."""
    webhook = Webhook.from_object(yaml.safe_load(text))
    consumer = find(webhook.consumer)
    assert consumer
    config = {setting.name: setting.value if isinstance(setting.value, str) else "x" for setting in webhook.config}
    labels = parse_labels(webhook.labels_text)[0]
    (request,) = consumer.render(Event("", "e1", sample("waf")), labels, config, now=1.8e9, delivery_id="0" * 32)
    return json.loads(request.body)


def test_the_documented_manifest_is_taken_and_says_what_is_otherwise() -> None:
    assert found(JIRA + SECRET) == []
    assert found(JIRA + SECRET, calico=True) == ["SEW071"]
    fields = payload(JIRA)["fields"]
    assert (fields["project"], fields["issuetype"]) == ({"key": "OPS"}, {"name": "Bug"})
    assert "Calico Enterprise" in fields["description"]


@pytest.mark.parametrize("state", ["Enabled", "Disabled", "Debug", "Test"])
@pytest.mark.parametrize(
    ("consumer", "config"),
    [
        ("Slack", {"url": "https://hooks.slack.com/services/T/B/x"}),
        ("Generic", {"url": "http://receiver.example:8080/path?key=value"}),
        ("Alertmanager", {"url": "http://am.monitoring.svc.cluster.local:9093/api/v2/alerts"}),
        ("AlertManager", {"url": "https://am.example/api/v2/alerts", "basicAuth": "user:password"}),
    ],
)
def test_every_documented_consumer_takes_its_variables_in_every_state(
    consumer: str, config: dict[str, str], state: str
) -> None:
    text = hook(consumer, state, **config)
    assert found(text) == []
    assert payload(text)


def test_a_basic_auth_that_is_a_checksum_is_an_error_and_not_a_user_without_a_password() -> None:
    """One page of the documentation calls the value a checksum, which neither processor can send."""
    url = "https://am.example/api/v2/alerts"
    assert found(hook("Alertmanager", url=url, basicAuth="5f4dcc3b5aa765d61d8327deb882cf99")) == ["SEW021"]


@pytest.mark.parametrize(
    ("query", "selected"),
    [
        ("type=waf", True),
        ("type = waf AND severity >= 80", True),
        ("severity < 5 OR time >= 1500000000 AND type = 'waf'", True),
        ('NOT type = "waf"', False),
        ("type != waf", False),
        ("(type = waf OR type = alert) and not dismissed = true", True),
        ("type IN {waf, runtime_security}", True),
        ('type NOTIN { "waf" }', False),
        ("source_name IN {\"frontend-*\", 'other'}", True),
        ('"source_name" in {"frontend-5d4f7c9b8-x2x7?"}', True),
        ("'source_ip' >= '10.0.0.0' AND source_ip <= \"10.255.255.255\"", True),
        ('source_ip = "10.0.0.0/8"', True),
        ('dest_namespace = "-"', False),
        ("type IN {'waf', 'runtime_security', 'gtf_suspicious_flow'} AND NOT dismissed = true", True),
    ],
)
def test_the_documented_forms_of_a_query_select_what_they_say(query: str, selected: bool) -> None:
    document = sample("waf")
    assert compile_matcher(bind(parse(query), CALICO))(document, document["time"]) is selected
    obj = yaml.safe_load(hook("Generic", url="http://receiver.example/"))
    obj["spec"]["query"] = query
    assert found(yaml.safe_dump(obj), calico=True) == []


@pytest.mark.parametrize("end", ["endTime: '2022-01-03T00:00:00Z'", ""], ids=["ends", "for ever"])
def test_the_documented_exception_is_taken(end: str) -> None:
    text = f"""\
apiVersion: projectcalico.org/v3
kind: AlertException
metadata: {{name: sample}}
spec:
  description: A sample
  selector: origin = "an origin" and source_namespace = "a-namespace"
  startTime: '2022-01-02T00:00:00Z'
  {end}
"""
    assert found(text, calico=True) == []


@pytest.mark.parametrize(
    "key",
    [
        *("origin", "type", "host", "dest_ip", "dest_name", "dest_name_aggr", "dest_namespace"),
        *("source_ip", "source_name", "source_name_aggr", "source_namespace"),
    ],
)
def test_every_documented_field_of_an_exception_can_be_asked(key: str) -> None:
    value = {"type": "alert", "dest_ip": "10.0.0.1", "source_ip": "10.0.0.1"}.get(key, "x")
    bind(parse(f'{key} = "{value}"'), CALICO)


def rendered(template: str) -> Any:
    document = sample("waf") | {"id": "e1", "labels": {"cluster": "test-cluster"}}
    return json.loads(render_body(template, document, as_json=True))


def test_a_template_writes_the_events_fields_its_labels_and_nothing_for_what_is_missing() -> None:
    template = """{
        "text": "a sentence with an ' in it",
        "event": "{{.description}}",
        "kind": "{{.type}}",
        "cluster-id": "{{.labels.cluster}}",
        "missing": "{{.no_such_field}}",
        "missing_below": "{{.no_such_field.below}}"
    }"""
    assert rendered(template) == {
        "text": "a sentence with an ' in it",
        "event": sample("waf")["description"],
        "kind": "waf",
        "cluster-id": "test-cluster",
        "missing": "",
        "missing_below": "",
    }


def test_the_whole_event_in_a_template_is_written_as_go_prints_it_inside_a_string() -> None:
    assert rendered('{"all": "{{.}}"}')["all"].startswith("map[")
    assert rendered('{"all": {{.}}}')["all"]["type"] == "waf"


@pytest.mark.parametrize("template", ['{"event": {{}}}', '{"event": {{}\n}', '{"event": {{{}}\n}', "{{.a"])
def test_a_template_that_calico_refuses_is_an_error(template: str) -> None:
    assert found(hook("Generic", url="http://receiver.example/", template=template)) == ["SEW021"]


@pytest.mark.parametrize(
    ("headers", "codes"),
    [
        ("Authorization: Bearer x\nX-Team: a: b", []),
        ("Authorization: Bearer x\nno colon", ["SEW022"]),
        ("X-Team: a\nx-team: b", ["SEW022"]),
        ("Host: other.example", ["SEW022"]),
    ],
)
def test_headers_are_read_as_there_and_what_is_passed_over_is_told(headers: str, codes: list[str]) -> None:
    assert found(hook("Generic", url="http://receiver.example/", headers=headers), calico=True) == codes
