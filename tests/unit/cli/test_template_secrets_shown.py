"""Secrets in Generic's templates, from the manifest to what is shown: `validate`, `preview-payload` and the agent."""

import json
from pathlib import Path

import pytest

from kubectl_sew.event import Event
from kubectl_sew.query import CALICO
from kubectl_sew.resource import load_manifests
from kubectl_sew.resource.findings import Finding
from kubectl_sew.validation.manifests import validate_manifests
from kubectl_sew.validation.webhook import Accepted, accept
from sew_agent.status.debug_log import describe
from sew_agent.webhooks.validator import endpoint_digest

KEY = "c4n4ry-of-the-key"
HOOK = """\
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata: {name: hook}
spec:
  consumer: Generic
  state: Enabled
  query: type = waf
  config:
    - {name: url, value: 'https://h.example/x'}
    - {name: key, valueFrom: {secretKeyRef: {name: keys, key: token}}}
    - {name: headers, value: 'Authorization: Key {{ secret.key }}'}
    - {name: template, value: '{"key": "{{ secret.key }}", "d": "{{ description }}", "i": "{{ delivery_id }}"}'}
"""
SECRET = f"\n---\n{{apiVersion: v1, kind: Secret, metadata: {{name: keys}}, stringData: {{token: {KEY}}}}}\n"


def findings_in(text: str) -> list[Finding]:
    return validate_manifests(load_manifests(text, "f"), CALICO)


@pytest.mark.parametrize("text", [HOOK, HOOK + SECRET], ids=["in the cluster", "in the files"])
def test_a_secret_of_a_template_is_no_unknown_variable(text: str) -> None:
    assert findings_in(text) == []


def test_one_that_no_variable_gives_is_an_error_at_the_configuration() -> None:
    (finding,) = findings_in(HOOK.replace("name: key,", "name: kee,") + SECRET)[:1]
    assert (finding.code, finding.is_error) == ("SEW021", True)
    assert "`{{ secret.key }}` is asked for, and there is no variable of that name" in finding.message


def test_one_that_is_written_into_the_manifest_is_a_warning() -> None:
    plain = "{name: key, value: " + KEY + "}"
    (finding,) = findings_in(HOOK.replace("{name: key, valueFrom: {secretKeyRef: {name: keys, key: token}}}", plain))
    assert (finding.code, finding.is_error, finding.line) == ("SEW022", False, 10)
    assert KEY not in finding.message + finding.hint


def test_where_the_template_is_out_of_sight_any_variable_may_be_its_secret() -> None:
    hidden = "{name: template, valueFrom: {configMapKeyRef: {name: templates, key: t}}}"
    lines = [line for line in HOOK.splitlines() if "name: template" not in line and "name: headers" not in line]
    assert findings_in("\n".join(lines) + f"\n    - {hidden}\n") == []
    (finding,) = findings_in("\n".join(lines) + "\n")
    assert "Generic does not know the variable `key`" in finding.message


def test_the_word_for_secrets_means_nothing_in_another_consumers_template() -> None:
    place = "hooks.slack.com/services/T/B/x"
    slack = HOOK.replace("consumer: Generic", "consumer: Slack").replace("h.example/x", place)
    messages = [finding.message for finding in findings_in(slack + SECRET)]
    assert any("there is no field `secret`" in message for message in messages)


@pytest.mark.parametrize("text", [HOOK, HOOK + SECRET], ids=["in the cluster", "in the files"])
def test_a_preview_shows_a_placeholder(text: str, sew, tmp_path: Path) -> None:
    path = tmp_path / "hook.yaml"
    path.write_text(text)
    ran = sew("preview-payload", "-f", str(path))
    assert ran.code == 0
    assert KEY not in ran.out + ran.err
    assert "Authorization: [secret]" in ran.out
    assert json.loads(ran.out.partition("\n\n")[2])["key"] == "[secret]"


def accepted(secret: str) -> Accepted:
    manifests = load_manifests(HOOK + SECRET.replace(KEY, secret), "f")
    done = accept(manifests.webhooks[0].webhook, manifests.secrets, manifests.config_maps, CALICO)
    assert isinstance(done, Accepted)
    return done


@pytest.mark.parametrize("secret", [KEY, "ab", "x"])
def test_the_log_of_state_debug_shows_a_placeholder(secret: str) -> None:
    (shown,) = describe(accepted(secret), Event("", "1", {"description": "d"}), 0.0)["would_send"]
    assert shown.startswith('POST h.example: {"key": "[secret]", "d": "d"')


def test_another_secret_is_another_receiver() -> None:
    assert endpoint_digest(accepted("one")) != endpoint_digest(accepted("two"))


def test_calicos_own_processor_is_said_to_have_no_secrets_in_templates(sew) -> None:
    ran = sew("validate", "--calico", "-f", "-", stdin=HOOK.replace("{{ description }}", "{{.description}}"))
    assert (ran.code, "writes nothing for `secret.NAME`" in ran.out) == (0, True)
