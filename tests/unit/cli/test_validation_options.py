"""The plugin judges a webhook by the keys and hosts that the agent has."""

import json

import pytest

FALCO = """
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata: {name: falco}
spec:
  consumer: Slack
  state: Enabled
  query: priority = Critical AND "output_fields.proc.name" IN {"xmr*"}
  config: [{name: url, value: "https://hooks.slack.com/services/T/B/X"}]
"""
EVENT = {"priority": "Critical", "rule": "r", "output_fields": {"proc.name": "xmrig", "port": 1}, "n": [1, "x"]}


def test_a_webhook_for_events_that_are_not_calicos_is_accepted_where_any_key_is(sew):
    assert sew("validate", "-f", "-", stdin=FALCO).code == 1
    assert "--fields any" in sew("validate", "-f", "-", stdin=FALCO).out
    assert sew("validate", "-f", "-", "--fields", "any", stdin=FALCO).code == 0


def test_a_payload_for_such_events_is_previewed(tmp_path, sew):
    (tmp_path / "event.json").write_text(json.dumps(EVENT))
    ran = sew("preview-payload", "-f", "-", "--fields", "any", "--event", str(tmp_path / "event.json"), stdin=FALCO)
    assert (ran.code, ran.err) == (0, "")


def test_such_a_webhook_is_created(sew):
    args = ("create", "falco", "--consumer", "Slack", "--query", "priority = Critical", "--secret", "url=slack/url")
    assert sew(*args, "--dry-run=client").code == 1
    assert sew(*args, "--dry-run=client", "--fields=any").code == 0


@pytest.mark.parametrize("command", ["validate", "preview-payload"])
def test_an_index_and_a_set_of_fields_are_not_named_together(command, sew):
    ran = sew(command, "-f", "-", "--fields", "any", "--elasticsearch", "http://127.0.0.1:9", stdin=FALCO)
    assert ran.code == 2
    assert "cannot be given together" in ran.err


def test_slack_urls_may_begin_as_the_agents_variable_says(sew, monkeypatch):
    proxied = FALCO.replace("https://hooks.slack.com", "https://slack.proxy.example")
    args = ("validate", "-f", "-", "--fields=any")
    assert sew(*args, stdin=proxied).code == 1
    monkeypatch.setenv("SEW_SLACK_URL_PREFIXES", "https://slack.proxy.example/, https://other/")
    assert sew(*args, stdin=proxied).code == 0


def test_the_keys_of_a_files_events_are_listed_with_types_and_values(tmp_path, sew):
    (tmp_path / "events").write_text(f"{json.dumps(EVENT)}\nnonsense\n{json.dumps({'rule': 'r2', 'gone': None})}\n")
    ran = sew("fields", "--events", str(tmp_path / "events"), "-o", "json")
    assert json.loads(ran.out) == [
        {"name": "n", "type": "string or number", "events": "1 of 2", "values": "x, 1"},
        {"name": "output_fields.port", "type": "number", "events": "1 of 2", "values": "1"},
        {"name": "output_fields.proc.name", "type": "string", "events": "1 of 2", "values": "xmrig"},
        {"name": "priority", "type": "string", "events": "1 of 2", "values": "Critical"},
        {"name": "rule", "type": "string", "events": "2 of 2", "values": "r, r2"},
    ]
    assert "line 2" in ran.err


def test_calicos_keys_are_listed_as_json(sew):
    (severity,) = [field for field in json.loads(sew("fields", "-o", "json").out) if field["name"] == "severity"]
    assert severity == {"name": "severity", "type": "integer", "meaning": "how bad it is", "values": "0 to 100"}
