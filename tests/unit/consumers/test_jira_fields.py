"""More fields of an issue: checked when the webhook is accepted, filled in for each event."""

import json

import pytest

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.jira import Jira
from kubectl_sew.event import Event

CONFIG = {
    "url": "https://jira.example/rest/api/2/issue",
    "project": "SEC",
    "issueType": "Bug",
    "username": "sew",
    "apiToken": "token",
}


def issue(fields: object, document: dict[str, object], **config: str) -> dict[str, object]:
    given = CONFIG | {"fields": json.dumps(fields)} | config
    (request,) = Jira().render(Event("i", "e-1", document), {"cluster": "prod"}, given, now=0, delivery_id="d")
    rendered: dict[str, object] = json.loads(request.body)["fields"]
    return rendered


def test_fields_are_merged_into_the_issues_own() -> None:
    made = issue({"components": [{"name": "Net"}], "customfield_1": 7}, {"type": "waf"})
    assert (made["components"], made["customfield_1"]) == ([{"name": "Net"}], 7)
    assert made["project"] == {"key": "SEC"}
    assert made["summary"] == "waf"


def test_templates_in_its_texts_are_filled_in_at_any_depth_as_generics_are() -> None:
    fields = {
        "a": "{{.type}}/{{ labels.cluster }}/{{ id }}/{{ nope }}",
        "b": [{"value": "{% if severity %}x{% endif %}"}],
    }
    made = issue(fields, {"type": "waf", "severity": 80})
    assert (made["a"], made["b"]) == ("waf/prod/e-1/", [{"value": "x"}])


@pytest.mark.parametrize("value", [80, None, ["a"], {"b": 1}, 'a"\n'])
def test_a_text_that_is_one_value_as_json_gives_the_value_itself(value: object) -> None:
    assert issue({"n": " {{ severity | tojson }} "}, {"severity": value})["n"] == value


def test_text_of_an_event_cannot_leave_its_field() -> None:
    assert issue({"n": "{{ name }}"}, {"name": '","project":{"key":"X"},"x":"'})["project"] == {"key": "SEC"}


def test_a_long_text_is_cut_to_what_jira_takes() -> None:
    assert len(str(issue({"n": "{{ name }}"}, {"name": "x" * 100_000})["n"])) == 32_767


def test_all_templates_of_an_issue_share_one_budget() -> None:
    fields = {f"f{n}": "{% for a in l %}{{ l | truncate(1) }}{% endfor %}" for n in range(50)}
    with pytest.raises(RenderError, match="too many steps"):
        issue(fields, {"l": list(range(300))})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{", "not JSON, line 1 column 2"),
        ('{"a": NaN}', "not JSON"),
        ("[" * 9_000, "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"project": {"key": "X"}}', "`project` cannot be set"),
        ('{"summary": "x"}', "`summary` cannot be set"),
        ('{"description": "x"}', "`description` cannot be set"),
        ('{"issuetype": 1}', "`issuetype` cannot be set"),
        ('{"labels": ["x"]}', "both `fields` and the variable `labels`"),
        ('{"a": ["{{ x() }}"]}', "a template in it: line 1: calls cannot be used"),
    ],
)
def test_what_cannot_be_sent_is_found_when_the_webhook_is_accepted(given: str, message: str) -> None:
    (problem,) = Jira().validate(CONFIG | {"fields": given, "labels": "own"})
    assert (problem.variable, problem.warning) == ("fields", False)
    assert message in problem.message


def test_what_can_be_sent_is_no_problem() -> None:
    assert Jira().validate(CONFIG | {"fields": '{"a": "{{ .type }}", "labels": ["x"]}'}) == []
