"""Templates of Slack's and Jira's texts: their own markup counts, that of an event never."""

import json
from typing import Any

import pytest

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event

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
BOTH = pytest.mark.parametrize("name", CONFIG)


def body(name: str, template: str, document: dict[str, object]) -> Any:
    config = CONFIG[name] | {"template": template}
    assert CONSUMERS[name].validate(config) == []
    (request,) = CONSUMERS[name].render(Event("", "e-1", document), {"env": "prod"}, config, now=0, delivery_id="d1")
    return json.loads(request.body)


def slack(template: str, document: dict[str, object]) -> str:
    blocks = body("Slack", template, document)["blocks"]
    return "".join(block["text"]["text"] for block in blocks if block["type"] == "section")


def jira(template: str, document: dict[str, object]) -> str:
    return str(body("Jira", template, document)["fields"]["description"])


def test_slack_shows_it_in_place_of_the_facts_under_the_same_header() -> None:
    document: dict[str, object] = {"type": "waf", "description": "long", "record": {"a": 1}, "host": "n<1>"}
    assert slack("*{{ host }}* <https://run.book|runbook> {{ labels.env }} {{ id }}", document) == (
        "*n&lt;1&gt;* <https://run.book|runbook> prod e-1"
    )
    assert body("Slack", "x", document)["blocks"][0]["text"]["text"] == "waf"


def test_jira_shows_it_in_place_of_the_facts_and_ends_with_the_delivery_id() -> None:
    document: dict[str, object] = {"description": "{code} *x*\nh1. y", "record": {"a": 1}}
    assert jira("h2. What\n{{ description }} [book|https://run.book]", document) == (
        "h2. What\n\\{code\\} \\*x\\* h1. y [book|https://run.book]\n\nDelivery d1"
    )


@pytest.mark.parametrize("value", ["<!channel>", "<https://evil|x>", "&lt;!here&gt;"])
def test_no_value_mentions_anybody_in_slack(value: str) -> None:
    for template in ("{{ v }}", "{{ v | upper | lower }}", "{{ v | tojson }}", "{{ l | join(v) }}"):
        shown = slack(template, {"v": value, "l": ["a", "b"]})
        assert "<" not in shown
        assert ">" not in shown


@BOTH
def test_limits_are_kept_whatever_a_template_makes(name: str) -> None:
    document: dict[str, object] = {"v": "&\N{FIRE}" * 30_000, "l": list(range(500))}
    for template in ("{{ v }}", "{% for a in l %}{{ v | truncate(400) }}{% endfor %}", "x" * 60_000):
        if name == "Slack":
            shown = slack(template, document)
            assert 1 <= len(shown) <= 3_000
            assert not shown.endswith(("&…", "&a…", "&am…", "&amp…"))
        else:
            assert len(jira(template, document).encode("utf-16-le")) <= 2 * 32_767


@BOTH
def test_nothing_made_leaves_a_message_that_can_be_sent(name: str) -> None:
    shown = body(name, "{{ nothing }}", {"type": "waf"})
    assert json.dumps(shown)
    if name == "Slack":
        assert all(block["text"]["text"] for block in shown["blocks"] if "text" in block)


@BOTH
def test_a_template_that_costs_too_much_refuses_the_event(name: str) -> None:
    with pytest.raises(RenderError):
        body(name, "{% for a in l %}{{ l | truncate(1) }}{% endfor %}", {"l": list(range(9_000))})


@BOTH
def test_a_template_that_cannot_be_bounded_is_a_problem(name: str) -> None:
    (problem,) = CONSUMERS[name].validate(CONFIG[name] | {"template": "{{ x() }}"})
    assert (problem.variable, problem.warning) == ("template", False)
