"""`kubectl sew preview-payload`: the request that would be sent, and no secret."""

import json
from pathlib import Path

import pytest

from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.samples import SAMPLE_TYPES

EXAMPLES = {path.stem: path for path in Path("examples/webhooks").glob("*.yaml")}
SECRETS = ("a-jira-api-token", "security@example.com", "T00000000", "XXXXXXXX", "whsec_", "Zm9yIHRo", "/rest/api/2")


@pytest.mark.parametrize("kind", SAMPLE_TYPES)
@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_consumers_request_shows_its_body_and_none_of_its_secrets(name, kind, sew):
    ran = sew("preview-payload", "-f", str(EXAMPLES[name]), "--sample", kind)
    head, _, body = ran.out.partition("\n\n")
    assert ran.code == 0
    assert head.startswith("POST http")
    assert head.splitlines()[0].endswith("/[secret]")
    assert json.loads(body)
    assert not [secret for secret in SECRETS if secret in ran.out + ran.err]


def test_the_examples_show_every_consumer():
    text = "".join(path.read_text("utf-8") for path in EXAMPLES.values())
    assert all(f"consumer: {name}\n" in text for name in CONSUMERS)


def test_the_event_is_taken_from_a_file_and_must_be_selected_to_be_sent(tmp_path, sew):
    event = tmp_path / "event.json"
    event.write_text('{\n  "id": "e1",\n  "type": "alert"\n}\n')
    ran = sew("preview-payload", "-f", str(EXAMPLES["jira"]), "--event", str(event))
    assert json.loads(ran.out.partition("\n\n")[2])["fields"]["summary"] == "alert"
    assert ran.err == "warning: jira-webhook: its query does not select this event: it would not be sent\n"


@pytest.mark.parametrize(("name", "warned"), [("jira", True), ("slack", True), ("generic", False)])
def test_an_event_without_any_known_field_is_warned_of_where_people_would_read_it(name, warned, sew):
    ran = sew("preview-payload", "-f", str(EXAMPLES[name]), "--event", "-", stdin='{"id": "x", "verb": "delete"}')
    assert "verb" in ran.out
    assert ("its main fields are shown instead" in ran.err) is warned


def test_what_a_template_from_a_secret_makes_is_not_shown(sew):
    template = 'stringData:\n  template: \'{"routing_key": "R0UT1NG", "t": "{{ type }}"}\''
    variable = "- name: template\n    valueFrom:\n      secretKeyRef: {name: s, key: template}"
    manifest = (
        "apiVersion: crd.projectcalico.org/v1\nkind: SecurityEventWebhook\nmetadata: {name: w}\nspec:\n"
        "  consumer: Generic\n  state: Enabled\n  query: type = waf\n  config:\n  - name: url\n    value: https://h/x\n"
        f"  {variable}\n---\napiVersion: v1\nkind: Secret\n"
        f"metadata: {{name: s, namespace: tigera-intrusion-detection}}\n{template}\n"
    )
    ran = sew("preview-payload", "-f", "-", stdin=manifest)
    assert (ran.code, "R0UT1NG" in ran.out + ran.err) == (0, False)
    assert "[secret]: the template is in a Secret" in ran.out


def test_of_ndjson_the_first_event_is_taken(sew):
    events = '{"id": "first", "severity": 1}\n{"id": "second"}\n'
    ran = sew("preview-payload", "-f", str(EXAMPLES["generic"]), "--event", "-", stdin=events)
    assert json.loads(ran.out.partition("\n\n")[2])["id"] == "first"


def test_several_webhooks_are_kept_apart(sew):
    out = sew("preview-payload", "-f", "examples/webhooks").out
    assert [line for line in out.splitlines() if line.startswith("# ")] == [
        "# on-call",
        "# archive",
        "# jira-webhook",
        "# slack-urgent",
    ]


def test_what_only_the_cluster_knows_is_said_and_something_stands_in_its_place(sew):
    alone = EXAMPLES["slack"].read_text("utf-8").partition("---")[0]
    ran = sew("preview-payload", "-f", "-", stdin=alone)
    assert ran.code == 0
    assert ran.out.startswith("POST [the URL]\n")
    assert "`url` is in Secret slack-hook, key url, which is not in the files" in ran.err


def test_a_webhook_that_cannot_work_is_refused_with_what_validation_finds(sew):
    bad = EXAMPLES["jira"].read_text("utf-8").replace("type=waf", "tpye=waf")
    ran = sew("preview-payload", "-f", "-", stdin=bad)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("stdin:11:10: error SEW031: jira-webhook: query: there is no field `tpye`")


@pytest.mark.parametrize("event", ["", "[1]", "{", "not json\n{}", '{"a": NaN}', "{" * 5_000])
def test_what_is_no_event_is_an_error_that_says_why(event, sew):
    ran = sew("preview-payload", "-f", str(EXAMPLES["jira"]), "--event", "-", stdin=event)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: there is no event in -: ")


@pytest.mark.parametrize("digest", [(), ("--digest",)], ids=["one", "digest"])
@pytest.mark.parametrize("events", ['[{"type": "waf"}]', '[\n{"type": "waf"},\n{"type": "waf"}\n]\n'])
def test_a_list_of_events_comes_with_the_command_that_makes_lines_of_it(events, digest, sew):
    ran = sew("preview-payload", "-f", DIGEST, *digest, "--event", "-", stdin=events)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: there is no event in -: it ")
    assert "`jq -c '.[]'` makes lines of it" in ran.err


def test_nothing_in_an_event_can_steer_a_terminal(tmp_path, sew):
    text = (
        EXAMPLES["generic"]
        .read_text("utf-8")
        .replace("  config:\n", "  config:\n    - name: template\n      value: 'said {{.description}}'\n")
    )
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"id": "e", "severity": 1, "description": "\x1b[2J\x9b31m"}))
    ran = sew("preview-payload", "-f", "-", "--event", str(event), stdin=text)
    assert ran.out.endswith("said \ufffd[2J\ufffd31m\n")


@pytest.mark.parametrize(
    ("template", "event", "warning"),
    [
        (
            '{"a": {{.severity}}{{if .x}},{{end}}}',
            '{"severity": 1, "x": 1}',
            "is not JSON: line 1 column ",  # 9; from Python 3.13 on 8
        ),
        ("{{if .severity}}{}{{end}}", '{"severity": 0}', "is empty"),
        ('{"a": "{{.severity}}"}', '{"severity": 0}', ""),
    ],
)
def test_what_is_wrong_with_a_body_is_said_of_the_given_event(template, event, warning, tmp_path, sew):
    variable = f"  config:\n    - name: template\n      value: {json.dumps(template)}\n"
    manifest = EXAMPLES["generic"].read_text("utf-8").replace("  config:\n", variable)
    file = tmp_path / "event.json"
    file.write_text(event)
    ran = sew("preview-payload", "-f", "-", "--event", str(file), stdin=manifest)
    warned = [line for line in ran.err.splitlines() if "the body that the template makes of this event" in line]
    assert (ran.code, len(warned)) == (0, 1 if warning else 0)
    assert warning in "".join(warned)


def test_an_event_and_a_sample_together_are_a_usage_error(sew):
    assert sew("preview-payload", "-f", "x", "--event", "y", "--sample", "waf").code == 2


@pytest.mark.parametrize("manifest", [("-f", "-"), ("-",), ("-f", "x.yaml,-")])
def test_standard_input_cannot_hold_both_manifest_and_event(manifest, sew):
    ran = sew("preview-payload", *manifest, "--event", "-", stdin="{}")
    assert (ran.code, ran.out) == (2, "")
    assert "cannot both come from standard input" in ran.err


def test_a_manifest_that_cannot_be_read_is_all_that_is_reported(tmp_path, sew):
    ran = sew("preview-payload", "-f", str(tmp_path / "none.yaml"))
    assert ran.code == 1
    assert ran.err == f"{tmp_path}/none.yaml: error SEW051: it cannot be read: No such file or directory\n"


DIGEST = str(Path("docs/examples/digest.yaml"))
STORM = str(Path("docs/examples/storm.ndjson"))


def test_the_digest_of_all_events_of_a_file_or_of_all_samples_is_drawn(tmp_path, sew):
    ran = sew("preview-payload", "-f", DIGEST, "--digest", "--event", STORM)
    blocks = json.loads(ran.out.partition("\n\n")[2])["blocks"]
    assert (ran.code, blocks[0]["text"]["text"]) == (0, "6 events · highest severity 95")
    samples = sew("preview-payload", "-f", DIGEST, "--digest")
    assert samples.code == 0
    assert " events" in json.loads(samples.out.partition("\n\n")[2])["blocks"][0]["text"]["text"]
    lines = tmp_path / "lines.ndjson"
    lines.write_text("no event\n" + Path(STORM).read_text())
    grouped = tmp_path / "grouped.yaml"
    grouped.write_text(Path(DIGEST).read_text() + "    - name: groupBy\n      value: type\n")
    ran = sew("preview-payload", "-f", str(grouped), "--digest", "--event", str(lines))
    assert "4 events · global_alert · highest severity 80" in ran.out
    assert "1 of 7 lines are no events" in ran.err


def test_a_digest_that_may_be_a_comment_is_drawn_as_the_first_issue_of_its_group(sew):
    ran = sew("preview-payload", "-f", "docs/examples/jira-open.yaml", "--digest", "--event", STORM)
    fields = json.loads(ran.out.partition("\n\n")[2])["fields"]
    assert (ran.code, fields["summary"]) == (0, "3 events · global_alert · highest severity 70")
    (label,) = fields["labels"]
    assert label.startswith("sew-")
    alone = sew("preview-payload", "-f", "docs/examples/jira-open.yaml", "--event", STORM)
    assert json.loads(alone.out.partition("\n\n")[2])["fields"]["labels"] == [label]
    assert "with this group's label is open, the description is a comment" in ran.err


def test_a_digest_is_drawn_only_for_who_has_digests(sew):
    ran = sew("preview-payload", "-f", str(EXAMPLES["slack"]), "--digest")
    assert (ran.code, "has no digests: set its variable `digest`" in ran.err) == (1, True)
    ran = sew("preview-payload", "-f", str(EXAMPLES["alertmanager"]), "--digest")
    assert (ran.code, "AlertManager gets no digests" in ran.err) == (1, True)
    ran = sew("preview-payload", "-f", DIGEST, "--digest", "--sample", "waf")
    assert (ran.code, "leave --sample out" in ran.err) == (2, True)


def test_a_field_to_group_by_must_exist(tmp_path, sew):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(Path(DIGEST).read_text() + "    - name: groupBy\n      value: type, source_namspace\n")
    ran = sew("validate", "-f", str(wrong))
    assert ran.code == 1
    assert "there is no field `source_namspace` to group by (did you mean `source_namespace`?)" in ran.out + ran.err
    assert ":16:" in ran.out + ran.err


def test_a_template_may_ask_for_the_digest_where_there_is_one(tmp_path, sew):
    manifest = Path("docs/examples/archive-digest.yaml").read_text()
    template = '    - name: template\n      value: \'{"text": "{{ digest.count }} of {{ type }}"}\'\n'
    (tmp_path / "with.yaml").write_text(manifest + template)
    ran = sew("validate", "-f", str(tmp_path / "with.yaml"))
    assert (ran.code, ran.out, ran.err) == (0, "", "1 webhook checked: 0 errors, 0 warnings\n")
    ran = sew("preview-payload", "-f", str(tmp_path / "with.yaml"), "--digest", "--event", STORM)
    assert json.loads(ran.out.partition("\n\n")[2]) == {"text": "6 of digest"}
    without = "".join(line for line in (manifest + template).splitlines(True) if "digest" not in line.split("{{")[0])
    (tmp_path / "without.yaml").write_text(without.replace("      value: 10m\n", "").replace('      value: "1"\n', ""))
    assert "there is no field `digest`" in sew("validate", "-f", str(tmp_path / "without.yaml")).out
