"""`kubectl sew create` without a cluster: from flags, and step by step on a terminal."""

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kubectl_sew.cli.next_steps import remaining
from kubectl_sew.cluster.objects import Held
from kubectl_sew.resource import ConfigVar, Reference, State, Webhook
from tests.waiting import DEADLINE

PROGRAM = Path(sys.executable).parent / "kubectl-sew"
SLACK = ("urgent", "--consumer", "Slack", "--query", "severity >= 90", "--secret", "url=slack-hook/url")
DRY = ("--dry-run=client",)


def test_flags_become_a_manifest(sew):
    more = ("--label", "cluster:production", "--label", "team:a:b", "--state", "Disabled")
    ran = sew("create", *SLACK, *more, *DRY, "-o", "yaml")
    assert (ran.code, ran.err) == (0, "")
    assert yaml.safe_load(ran.out) == {
        "apiVersion": "projectcalico.org/v3",
        "kind": "SecurityEventWebhook",
        "metadata": {
            "name": "urgent",
            "annotations": {"webhooks.projectcalico.org/labels": "cluster:production,team:a:b"},
        },
        "spec": {
            "consumer": "Slack",
            "state": "Disabled",
            "query": "severity >= 90",
            "config": [{"name": "url", "valueFrom": {"secretKeyRef": {"name": "slack-hook", "key": "url"}}}],
        },
    }


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--query", "name = caf\udce9"),
        *(("--config", "summary=\udcff"), ("--label", "a:\udcff"), ("--secret", "url=\udcff/url")),
    ],
)
def test_bytes_that_are_not_utf_8_are_refused_by_the_name_of_their_flag(flag, value, sew):
    ran = sew("create", *SLACK, flag, value, *DRY)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {flag} holds bytes that are not UTF-8: write it in UTF-8\n")


def test_what_is_made_is_valid(sew):
    jira = (
        "--config",
        "url=https://j.example.com/rest/api/2/issue",
        "--config",
        "project=P",
        "--config",
        "issueType=Bug",
    )
    secrets = ("--secret", "username=jira/user", "--secret", "apiToken=jira/token", "--configmap", "labels=jira/labels")
    made = sew("create", "j", "--consumer", "Jira", "--query", "type = waf", *jira, *secrets, *DRY, "-o", "json")
    assert json.loads(made.out)["spec"]["config"][0] == {
        "name": "url",
        "value": "https://j.example.com/rest/api/2/issue",
    }
    assert sew("validate", "-f", "-", "--strict", stdin=made.out).code == 0


def test_a_dry_run_says_what_would_be_created(sew):
    assert sew("create", *SLACK, *DRY).out == "securityeventwebhook.projectcalico.org/urgent created (dry run)\n"
    assert sew("create", *SLACK, *DRY, "-o", "name").out == "securityeventwebhook.projectcalico.org/urgent\n"


@pytest.mark.parametrize(("given", "listed"), [("generic", "Generic"), ("Alertmanager", "AlertManager")])
def test_a_consumer_is_known_in_any_letter_case(given, listed, sew):
    url = "url=http://x.example/api/v2/alerts"
    ran = sew("create", "x", "--consumer", given, "--query", "type=waf", "--config", url, *DRY, "-o", "json")
    assert json.loads(ran.out)["spec"]["consumer"] == listed


@pytest.mark.parametrize("given", ["sew/urgent", "securityeventwebhook.projectcalico.org/urgent"])
def test_a_name_may_have_its_type_before_it(given, sew):
    assert sew("create", given, *SLACK[1:], *DRY, "-o", "name").out == sew("create", *SLACK, *DRY, "-o", "name").out
    assert sew("create", "pod/urgent", *SLACK[1:], *DRY).code == 2


def test_every_problem_is_reported_at_once_and_nothing_is_made(sew):
    ran = sew("create", "Urgent", "--consumer", "Slack", "--query", "tpye = waf", *DRY, "-o", "yaml")
    assert (ran.code, ran.out) == (1, "")
    first, *rest = ran.err.splitlines()
    assert first.startswith("error: Kubernetes does not allow the name `Urgent`")
    assert rest == [
        "query: there is no field `tpye` (did you mean `type`?)",
        "  tpye = waf",
        "  ^^^^",
        "Slack requires `url` (set it to the Incoming Webhook's URL)",
    ]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--consumer", "slac"), "`slac` is unknown: did you mean Slack?"),
        (("--state", "on"), "`on` is unknown: it must be one of Enabled, Disabled, Debug, Test"),
        (("--config", "s3cret"), "--config must be NAME=VALUE"),
        (("--secret", "url=s3cret"), "--secret must be NAME=SECRET/KEY"),
        (("--configmap", "url"), "--configmap must be NAME=CONFIGMAP/KEY"),
        (("--label", "a=b"), "a label is written KEY:VALUE"),
        (("--label", "a:b,c"), "a label cannot hold a comma"),
    ],
)
def test_a_flag_written_wrongly_is_a_usage_error_that_shows_no_value(flags, said, sew):
    ran = sew("create", *SLACK, *flags, *DRY)
    assert ran.code == 2
    assert said in ran.err
    assert "s3cret" not in ran.err


def test_what_is_missing_is_named_where_nobody_can_be_asked(sew):
    ran = sew("create", "--consumer", "Slack", *DRY)
    assert ran.code == 2
    assert ran.err.startswith("error: NAME, --query must be given where there is no terminal to ask on\n")


class Dialogue:
    """The program on a terminal; its stdout is a pipe, as with `> file`."""

    def __init__(self, *args: str) -> None:
        self.terminal, program_side = pty.openpty()
        self.process = subprocess.Popen(
            [PROGRAM, "create", *args],
            stdin=program_side,
            stderr=program_side,
            stdout=subprocess.PIPE,
            env=os.environ | {"NO_COLOR": "1"},
        )
        os.close(program_side)
        self.seen = ""

    def answer(self, question: str, text: str) -> None:
        """Waits for a question, which ends with `: `, and answers it."""
        answered = len(self.seen)
        while not self.seen.endswith(": ") or question not in self.seen[answered:].rpartition("\n")[2]:
            ready, _, _ = select.select([self.terminal], [], [], DEADLINE)
            assert ready, f"`{question}` was not asked: {self.seen}"
            self.seen += os.read(self.terminal, 4096).decode()
        os.write(self.terminal, text.encode())

    def rest(self) -> str:
        """Return what the program, which has ended, has printed since."""
        said = ""
        while select.select([self.terminal], [], [], 0)[0]:
            try:
                said += os.read(self.terminal, 4096).decode()
            except OSError:  # Linux says so where nobody holds the other side any more
                break
        return said

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()
        os.close(self.terminal)


@pytest.fixture
def dialogue() -> Iterator[type[Dialogue]]:
    begun: list[Dialogue] = []

    class Kept(Dialogue):
        def __init__(self, *args: str) -> None:
            super().__init__(*args)
            begun.append(self)

    yield Kept
    for file in begun:
        file.close()


def test_on_a_terminal_it_asks_step_by_step_and_asks_again_after_a_wrong_answer(dialogue):
    asked = dialogue(*DRY, "-o", "json")
    asked.answer("Name", "Bad Name\n")
    asked.answer("Name", "my-hook\n")
    asked.answer("Consumer", "j\n")
    asked.answer("Query", "tpye = waf\n")
    asked.answer("Query", "type = waf\n")
    asked.answer("authentication", "Bearer\n")
    asked.answer("* url", "jira.example.com\n")
    asked.answer("* url", "https://jira.example.com/rest/api/2/issue\n")
    asked.answer("* project", "\n")
    asked.answer("* project", "P\n")
    asked.answer("* issueType", "Bug\n")
    asked.answer("  username", "\n")
    asked.answer("* apiToken", "secret:jira\n")
    asked.answer("* apiToken", "secret:jira/token\n")
    asked.answer("  labels", "\n")
    asked.answer("  priority", "High\n")
    asked.answer("Labels", "cluster:production, team:x\n")
    asked.answer("State", "dis\n")
    out, _ = asked.process.communicate()
    made = json.loads(out)
    assert asked.process.returncode == 0
    assert made["metadata"] == {
        "name": "my-hook",
        "annotations": {"webhooks.projectcalico.org/labels": "cluster:production,team:x"},
    }
    assert made["spec"]["state"] == "Disabled"
    assert {variable["name"]: variable.get("value") for variable in made["spec"]["config"]} == {
        "authentication": "Bearer",
        "url": "https://jira.example.com/rest/api/2/issue",
        "project": "P",
        "issueType": "Bug",
        "apiToken": None,
        "priority": "High",
    }
    for said in ("does not allow the name `Bad Name`", "did you mean `type`?", "Jira requires `project`"):
        assert said in asked.seen


def test_only_what_the_flags_leave_out_is_asked_for(dialogue):
    asked = dialogue(*SLACK[1:], "--state", "Test", "--label", "a:b", *DRY)
    asked.answer("Name", "urgent\n")
    out, _ = asked.process.communicate()
    assert out == b"securityeventwebhook.projectcalico.org/urgent created (dry run)\n"


def test_the_end_of_the_input_ends_it_without_a_traceback(dialogue):
    asked = dialogue(*DRY)
    asked.answer("Name", "\x04")
    out, _ = asked.process.communicate()
    assert (out, asked.process.returncode) == (b"", 130)


def test_an_answer_with_what_cannot_be_seen_is_asked_for_again(dialogue):
    asked = dialogue(*DRY, "-o", "json")
    asked.answer("Name", "hook\x16\x1b\n")
    asked.answer("Name", "hook\n")
    asked.answer("Consumer", "s\n")
    assert "or some that are not text: type it again" in asked.seen


def test_a_certificate_is_asked_for_as_a_reference_since_it_has_several_lines(dialogue):
    given = ("urgent", "--consumer", "Generic", "--query", "type = waf", "--label", "a:b", "--state", "Test")
    asked = dialogue(*given, *DRY, "-o", "json")
    for question in ("* url", "  headers", "  template", "  signingSecret"):
        asked.answer(question, "https://a.example/x\n" if question == "* url" else "\n")
    asked.answer("  ca.crt", "-----BEGIN CERTIFICATE-----\n")
    asked.answer("  ca.crt", "secret:authority/ca.crt\n")
    asked.answer("  tls.crt", "\n")
    asked.answer("  tls.key", "\n")
    out, _ = asked.process.communicate()
    assert json.loads(out)["spec"]["config"][1]["valueFrom"]["secretKeyRef"]["name"] == "authority"
    assert "has several lines: keep it in a Secret, and type secret:NAME/KEY" in asked.seen


def test_a_line_can_be_edited_as_in_a_shell(dialogue):
    asked = dialogue(*SLACK[1:], *DRY, "-o", "json")
    asked.answer("Name", "hok\x1b[Do\n")
    asked.answer("Labels", "\n")
    asked.answer("State", "\n")
    out, _ = asked.process.communicate()
    assert json.loads(out)["metadata"]["name"] == "hook"


def test_a_secret_is_not_shown_as_it_is_typed_and_what_is_required_is_asked_for(dialogue):
    asked = dialogue("urgent", *SLACK[1:5], "--label", "a:b", "--state", "Test", *DRY, "-o", "json")
    asked.answer("* url", "https://hooks.slack.com/services/T/B/canary\n")
    out, _ = asked.process.communicate()
    assert "canary" in json.loads(out)["spec"]["config"][0]["value"]
    assert "not shown" in asked.seen
    assert "canary" not in asked.seen + asked.rest()


def test_who_was_asked_reads_which_secret_is_needed_and_what_comes_next(dialogue):
    asked = dialogue(*SLACK[1:], "--state", "Test", "--label", "a:b", *DRY)
    asked.answer("Name", "urgent\n")
    asked.process.communicate()
    printed = asked.rest()
    assert "slack-hook" in printed
    assert "kubectl -n tigera-intrusion-detection create secret generic slack-hook --from-file=url=FILE" in printed
    assert "next: `kubectl apply -f FILE`; then `kubectl sew test urgent` sends a sample event" in printed


def test_of_the_secrets_in_the_cluster_only_those_that_are_missing_are_listed():
    references = [Reference("Secret", "there", "key"), Reference("Secret", "there", "other")]
    references += [Reference("ConfigMap", "gone", "key"), Reference("Secret", "unread", "key")]
    config = tuple(ConfigVar(f"v{at}", reference) for at, reference in enumerate(references))
    held = Held({("Secret", "there"): {"key": b"x"}}, {("Secret", "unread"): "forbidden"})
    printed = list(remaining(Webhook("urgent", "Slack", State.ENABLED, "type = waf", config), held, made=True))
    assert [line.partition(" create ")[2].partition("=FILE")[0] for line in printed[:-1]] == [
        "secret generic there --from-file=other",
        "configmap gone --from-file=key",
    ]
    assert printed[-1] == "next: `kubectl sew test urgent` sends a sample event"


def test_by_a_recipe_its_own_variables_are_asked_for_and_held_to_their_form(dialogue):
    shown = dialogue("--recipe", "telegram", "--query", "type = waf", "--dry-run=client", "-o", "json")
    shown.answer("url", "https://evil.example/\n")
    shown.answer("url", "https://api.telegram.org/bot123:abc/sendMessage\n")
    shown.answer("chatId", 'x"y\n')
    shown.answer("chatId", "-100\n")
    for question in ("Name", "Labels", "State"):
        shown.answer(question, "tg\n" if question == "Name" else "\n")
    made = json.loads(shown.process.communicate()[0])
    assert shown.process.returncode == 0
    assert made["metadata"]["annotations"] == {"kubectl-sew/recipe": "telegram"}
    assert [each["name"] for each in made["spec"]["config"]] == ["url", "template", "expect", "limits", "rate"]
    assert "be of the form" in shown.seen
    assert "evil" not in shown.seen
