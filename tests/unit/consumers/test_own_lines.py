"""The lines of messages that a webhook may write itself: Jira's summary, Slack's header, an alert's name."""

import json
from typing import Any

import pytest

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.classification import shown_body
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from kubectl_sew.redaction import Secret

CONFIG = {
    "Slack": {"url": "https://hooks.slack.com/services/T/B/x"},
    "Jira": {
        "url": "https://jira.example/rest/api/2/issue",
        "project": "P",
        "issueType": "B",
        "username": "u",
        "apiToken": "t",
    },
}
VARIABLES = {"Slack": "title", "Jira": "summary"}
for_each_consumer = pytest.mark.parametrize("name", CONFIG)


def request(name: str, value: str, document: dict[str, object]) -> Any:
    config = CONFIG[name] | {VARIABLES[name]: value}
    assert CONSUMERS[name].validate(config) == []
    (made,) = CONSUMERS[name].render(Event("", "e-1", document), {"env": "prod"}, config, now=0, delivery_id="d1")
    return made


def written(name: str, value: str, document: dict[str, object]) -> str:
    body = json.loads(request(name, value, document).body)
    return str(body["fields"]["summary"] if name == "Jira" else body["blocks"][0]["text"]["text"])


@pytest.mark.parametrize(
    ("name", "constant"), [("Slack", "⚠ Calico Security Alert"), ("Jira", "Calico Security Alert")]
)
def test_calico_stands_for_what_calico_writes(name: str, constant: str) -> None:
    for value in ("calico", " calico\n"):
        assert written(name, value, {"type": "waf", "name": "calico"}) == constant


@for_each_consumer
def test_a_template_writes_the_line_and_may_be_plain_text(name: str) -> None:
    document: dict[str, object] = {"type": "waf", "name": "a\n b", "host": "n"}
    assert written(name, "[{{ labels.env }}] {{ name }} on {{ .host }} ({{ id }})", document) == "[prod] a b on n (e-1)"
    assert written(name, "Look here", document) == "Look here"


@for_each_consumer
def test_a_template_that_writes_nothing_leaves_the_usual_line(name: str) -> None:
    assert written(name, "{{ nothing }} ", {"type": "waf"}) == written(name, "", {"type": "waf"}) == "waf"


@for_each_consumer
@pytest.mark.parametrize("text", ["x" * 9_000, "\n" * 90 + "\N{FIRE}" * 900, "& <!here> " * 900])
def test_the_line_keeps_the_receivers_limit_whatever_an_event_holds(name: str, text: str) -> None:
    line = written(name, "{{ description }} and {{ description }}", {"description": text})
    assert line.isprintable()
    assert line.endswith("…")
    assert len(line.encode("utf-16-le")) // 2 <= (255 if name == "Jira" else 300)
    assert "<!here>" not in line or name == "Jira"


def test_slacks_notification_begins_with_the_title() -> None:
    body = json.loads(request("Slack", "{{ type }} <x>", {"type": "waf", "description": "what"}).body)
    assert body["text"] == "waf &lt;x&gt;: what"


@for_each_consumer
def test_what_is_wrong_with_the_template_is_named_by_its_variable(name: str) -> None:
    (problem,) = CONSUMERS[name].validate(CONFIG[name] | {VARIABLES[name]: "{{ x() }}"})
    assert (problem.variable, problem.warning) == (VARIABLES[name], False)


@for_each_consumer
def test_an_endless_line_makes_a_dead_letter(name: str) -> None:
    template = "{% for a in l %}{% for b in l %}{% for c in l %}{{ a }}{% endfor %}{% endfor %}{% endfor %}"
    with pytest.raises(RenderError):
        request(name, template, {"l": ["xxxxxxxx"] * 500})


@for_each_consumer
def test_a_line_from_a_secret_is_shown_nowhere(name: str) -> None:
    value = Secret("{{ type }} S3CR3T-text")
    made = request(name, value, {"type": "waf"})
    assert "S3CR3T" not in shown_body(made, CONSUMERS[name], CONFIG[name] | {VARIABLES[name]: value})
