"""Jira's issues, its answers, and the look-up of an issue whose creation is in doubt."""

import json
from base64 import b64decode
from urllib.parse import parse_qs, urlsplit

import pytest

from kubectl_sew.consumers.base import (
    Failed,
    FailureReason,
    Found,
    LookupResult,
    NotFound,
    Response,
    Unavailable,
    Verdict,
)
from kubectl_sew.consumers.classification import classify_response
from kubectl_sew.consumers.jira import Jira, escape
from kubectl_sew.event import Event
from kubectl_sew.samples import sample

CONFIG = {
    "url": "https://jira.example/rest/api/2/issue/",
    "project": "SEC",
    "issueType": "Bug",
    "username": "ä@example.com",
    "apiToken": "token\n",
}
ID = "0123456789abcdef0123456789abcdef"
EVENT = Event("i", "1", sample("waf"))
INTO = {"digest": "10m", "groupInto": "open"}


def fields(document: dict[str, object], labels: dict[str, str] | None = None) -> dict[str, object]:
    (request,) = Jira().render(Event("i", "1", document), labels or {}, CONFIG, now=0, delivery_id=ID)
    rendered: dict[str, object] = json.loads(request.body)["fields"]
    return rendered


def test_an_issue_goes_to_the_configured_url_without_its_trailing_slash() -> None:
    (request,) = Jira().render(Event("i", "1", {}), {}, CONFIG, now=0, delivery_id=ID)
    assert request.url == "https://jira.example/rest/api/2/issue"


def test_basic_credentials_are_utf8_and_trimmed() -> None:
    (request,) = Jira().render(Event("i", "1", {}), {}, CONFIG, now=0, delivery_id=ID)
    scheme, credentials = dict(request.headers)["Authorization"].split()
    assert (scheme, b64decode(credentials).decode()) == ("Basic", "ä@example.com:token")


def test_a_bearer_token_needs_no_user_name() -> None:
    config = {**CONFIG, "authentication": "Bearer", "username": ""}
    (request,) = Jira().render(Event("i", "1", {}), {}, config, now=0, delivery_id=ID)
    assert Jira().validate(config) == []
    assert dict(request.headers)["Authorization"] == "Bearer token"


def test_only_what_is_configured_is_sent_beside_the_required_fields() -> None:
    assert set(fields({})) == {"project", "issuetype", "summary", "description"}
    (request,) = Jira().render(
        Event("i", "1", {}), {}, {**CONFIG, "labels": "calico, waf,", "priority": "High"}, now=0, delivery_id=ID
    )
    more = json.loads(request.body)["fields"]
    assert (more["labels"], more["priority"]) == (["calico", "waf"], {"name": "High"})


def test_the_summary_is_one_line_within_its_limit() -> None:
    summary = str(fields({"type": "waf", "severity": 80, "name": "a\nb\r\u2028c " * 500})["summary"])
    assert summary.startswith("waf (severity 80): a b")
    assert len(summary) <= 255
    assert summary.isprintable()


@pytest.mark.parametrize(
    "record", [{"a": "x"}, {"{noformat} {code}": "{NoFormat} {code:java}" * 9_000}, ["y" * 9_000] * 99]
)
def test_the_description_ends_with_the_delivery_id_and_its_one_block_is_closed_before(record: object) -> None:
    document = {**dict.fromkeys(sample("waf"), "{noformat}{code}\nh1. x" * 9_000), "record": record}
    description = str(fields(document, {"{code}": "{noformat}"})["description"])
    assert len(description) <= 32_767
    assert description.endswith(f"\n{{noformat}}\n\nDelivery {ID}")
    assert description.replace("\\{noformat", "").lower().count("{noformat") == 2
    assert "{code" not in description.replace("\\{code", "").lower()
    assert "\nh1." not in description


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("*bold* {code} [~admin] !x.png!", r"\*bold\* \{code\} \[\~admin\] \!x.png\!"),
        ("-gone- _em_ a-b a_b -", r"\-gone\- \_em\_ a-b a_b \-"),
        ("a\\\\b | ^up^ ??cite?? :)", "a&#92;&#92;b \\| \\^up\\^ \\?\\?cite\\?\\? :\\)"),
        ("10.0.0.1:80 /cart plain", "10.0.0.1:80 /cart plain"),
    ],
)
def test_markup_is_escaped_and_plain_text_is_not(given: str, shown: str) -> None:
    assert escape(given) == shown


@pytest.mark.parametrize(
    ("status", "body", "verdict", "said"),
    [
        (201, b'{"key": "SEC-7"}', Verdict.DELIVERED, ""),
        (201, b"<html>", Verdict.RETRY, ""),
        (201, b'{"key": null}', Verdict.RETRY, ""),
        (200, b'{"key": "SEC-7"}', Verdict.RETRY, ""),
        (400, b'{"errorMessages": [], "errors": {"summary": "is required"}}', Verdict.REJECTED, "summary: is required"),
        (400, b'{"errorMessages": ["a\\nb", "c"]}', Verdict.REJECTED, "a b; c"),
        (401, b"<html>login</html>", Verdict.PARKED, "401"),
        (503, b"", Verdict.RETRY, "503"),
    ],
)  # fmt: skip
def test_an_answer_is_classified_and_its_reason_shown(status: int, body: bytes, verdict: Verdict, said: str) -> None:
    outcome = classify_response(Jira(), Response(status, {}, body), 0.0)
    assert outcome.verdict is verdict
    assert said in outcome.detail
    assert outcome.receipt == ("SEC-7" if verdict is Verdict.DELIVERED else "")


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ({}, {"errors": {"project": "valid project is required"}}, FailureReason.CONFIGURATION_REFUSED),
        ({}, {"errors": {"issuetype": "x", "priority": "y"}}, FailureReason.CONFIGURATION_REFUSED),
        ({}, {"errors": {"labels": "cannot be set"}}, FailureReason.CONFIGURATION_REFUSED),
        ({}, {"errors": {"customfield_10010": "Team is required."}}, FailureReason.CONFIGURATION_REFUSED),
        ({"x-ausername": "anonymous"}, {"errors": {"summary": "x"}}, FailureReason.CREDENTIAL_REFUSED),
        ({"x-seraph-loginreason": "AUTHENTICATED_FAILED"}, {}, FailureReason.CREDENTIAL_REFUSED),
        ({}, {"errorMessages": ["Anonymous users may not create issues"]}, FailureReason.CREDENTIAL_REFUSED),
    ],
)
def test_a_400_that_is_the_same_for_every_issue_parks_with_jiras_words(
    headers: dict[str, str], body: dict[str, object], reason: FailureReason
) -> None:
    outcome = classify_response(Jira(), Response(400, headers, json.dumps(body).encode()), 0.0, CONFIG)
    assert (outcome.verdict, outcome.reason) == (Verdict.PARKED, reason)
    assert all(str(field) in outcome.detail for field in body.get("errors", {}))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body", [{"errors": {"project": "x", "summary": "y"}}, {"errors": {"description": "x"}}, {"errorMessages": ["x"]}]
)
def test_a_400_over_what_the_event_says_refuses_that_event_alone(body: dict[str, object]) -> None:
    assert (
        classify_response(Jira(), Response(400, {}, json.dumps(body).encode()), 0.0, CONFIG).verdict is Verdict.REJECTED
    )


@pytest.mark.parametrize("project", ["Security Team", "SEC X"])
def test_a_blank_in_the_projects_key_is_warned_of(project: str) -> None:
    (problem,) = Jira().validate(CONFIG | {"project": project})
    assert (problem.variable, problem.warning) == ("project", True)


def test_a_captcha_is_named_with_what_to_do() -> None:
    headers = {"x-authentication-denied-reason": "CAPTCHA_CHALLENGE; login-url=https://jira.example/login.jsp"}
    outcome = classify_response(Jira(), Response(403, headers, b"<html>Basic Auth Failure</html>"), 0.0, CONFIG)
    assert outcome.verdict is Verdict.PARKED
    assert "log in once as this user in a browser: CAPTCHA_CHALLENGE" in outcome.detail
    assert "Basic Auth Failure" in outcome.detail


@pytest.mark.parametrize(
    "headers",
    [
        {"x-seraph-loginreason": "AUTHENTICATED_FAILED"},
        {"x-seraph-loginreason": "OUT"},
        {"x-ausername": "anonymous"},
        {"x-authentication-denied-reason": "CAPTCHA_CHALLENGE"},
    ],
)
def test_a_search_as_nobody_that_finds_nothing_has_failed(headers: dict[str, str]) -> None:
    result = Jira().read_lookup(Response(200, headers, b'{"issues": []}'), now=0.0)
    assert isinstance(result, Failed)
    assert (result.outcome.verdict, result.outcome.reason) == (Verdict.RETRY, FailureReason.CREDENTIAL_REFUSED)


def test_a_search_as_somebody_that_finds_nothing_has_not_failed() -> None:
    headers = {"x-seraph-loginreason": "OK", "x-ausername": "sew"}
    assert Jira().read_lookup(Response(200, headers, b'{"issues": []}'), now=0.0) == NotFound()


def units(text: object) -> int:
    return len(str(text).encode("utf-16-le")) // 2


@pytest.mark.parametrize("text", ["\N{FIRE}" * 300, "a" + "\N{FIRE}" * 300, "\N{FIRE} \u00e4" * 100_000])
def test_limits_are_kept_in_the_units_that_jira_counts(text: str) -> None:
    document = {**dict.fromkeys(sample("waf"), text), "record": {text[:50]: [text] * 50}}
    issue = fields(document, {text: text})
    assert units(issue["summary"]) <= 255
    assert units(issue["description"]) <= 32_767
    assert units(issue["description"]) > 30_000 or len(text) < 400
    assert units(issue["summary"]) > 250
    assert str(issue["summary"]).endswith("…")
    assert str(issue["description"]).endswith(f"Delivery {ID}")


def test_a_label_of_more_units_than_jira_takes_is_a_problem() -> None:
    assert [problem.variable for problem in Jira().validate(CONFIG | {"labels": "\N{FIRE}" * 128})] == ["labels"]


def test_an_earlier_issue_is_searched_in_the_cloud_s_place_and_then_in_the_data_center_s() -> None:
    first, second = Jira().lookup(CONFIG | {"project": 'S"EC'}, delivery_id=ID)
    assert urlsplit(first.url).path == "/rest/api/2/search/jql"
    assert urlsplit(second.url).path == "/rest/api/2/search"
    assert parse_qs(urlsplit(first.url).query)["jql"] == [f'project = "S\\"EC" AND description ~ "{ID}"']
    assert first.method == "GET"
    assert "Authorization" in dict(second.headers)


def test_an_earlier_delivery_may_be_a_comment_where_there_are_comments() -> None:
    first, _ = Jira().lookup(CONFIG | INTO, delivery_id=ID)
    jql = f'project = "SEC" AND (description ~ "{ID}" OR comment ~ "{ID}")'
    assert parse_qs(urlsplit(first.url).query)["jql"] == [jql]


def test_the_open_issue_of_a_group_is_the_newest_one_with_its_label_that_is_not_done() -> None:
    assert Jira().find_open(CONFIG, group="abc") == ()
    first, second = Jira().find_open(CONFIG | INTO, group="abc")
    jql = 'project = "SEC" AND labels = "sew-abc" AND statusCategory != Done ORDER BY created DESC'
    assert parse_qs(urlsplit(first.url).query)["jql"] == [jql]
    assert [urlsplit(each.url).path.rpartition("/2/")[2] for each in (first, second)] == ["search/jql", "search"]


@pytest.mark.parametrize("more", [{}, {"labels": "a, b"}, {"fields": '{"labels": ["a", "b"]}'}])
def test_an_issue_of_a_group_has_its_label_beside_the_webhooks(more: dict[str, str]) -> None:
    (request,) = Jira().render(EVENT, {}, CONFIG | INTO | more, now=0.0, delivery_id=ID)
    grouped = Jira().in_group(request, group="abc")
    before, after = json.loads(request.body)["fields"], json.loads(grouped.body)["fields"]
    assert after == {**before, "labels": [*(["a", "b"] if more else []), "sew-abc"]}
    assert (grouped.url, grouped.headers) == (request.url, request.headers)


def test_a_comment_has_the_description_and_its_url_the_issue_whatever_that_is_called() -> None:
    (request,) = Jira().render(EVENT, {}, CONFIG | INTO, now=0.0, delivery_id=ID)
    added = Jira().added(request, entry="SEC-7")
    assert (added.method, added.url, added.headers) == ("POST", f"{request.url}/SEC-7/comment", request.headers)
    assert json.loads(added.body) == {"body": json.loads(request.body)["fields"]["description"]}
    assert Jira().added(request, entry="../x?y#z").url == f"{request.url}/..%2Fx%3Fy%23z/comment"


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (201, b'{"id": "10", "body": "x"}', Verdict.DELIVERED),
        (201, b"<html>", Verdict.RETRY),
        (200, b'{"id": "10"}', Verdict.RETRY),
        (400, b'{"errorMessages": [], "errors": {"comment": "The entered text is too long."}}', Verdict.REJECTED),
        (401, b"", Verdict.PARKED),
        (403, b"", Verdict.PARKED),
        (404, b'{"errorMessages": ["Issue does not exist or you do not have permission to see it."]}', None),
        (413, b"", None),
        (429, b"", Verdict.RETRY),
        (503, b"", Verdict.RETRY),
    ],
)
def test_an_answer_to_a_comment_is_classified(status: int, body: bytes, verdict: Verdict | None) -> None:
    outcome = Jira().read_added(Response(status, {}, body), entry="SEC-7")
    assert (outcome and outcome.verdict) == verdict
    assert (outcome.receipt if outcome else "") == ("SEC-7" if verdict is Verdict.DELIVERED else "")


def test_a_url_of_another_form_has_no_place_to_search_and_a_warning_says_so() -> None:
    config = {**CONFIG, "url": "https://jira.example/proxy"}
    assert Jira().lookup(config, delivery_id=ID) == ()
    assert [problem.warning for problem in Jira().validate(config)] == [True]


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, b'{"issues": [{"id": "1", "key": "SEC-7"}]}', Found("SEC-7")),
        (200, b'{"issues": []}', NotFound()),
        (404, b"", Unavailable()),
        (405, b"", Unavailable()),
        (410, b'{"errorMessages": ["removed"]}', Unavailable()),
    ],
)
def test_a_search_says_whether_there_is_an_issue(status: int, body: bytes, result: LookupResult) -> None:
    assert Jira().read_lookup(Response(status, {}, body), now=0.0) == result


@pytest.mark.parametrize("status", [200, 301, 302, 400, 401, 403, 429, 500, 503])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"issues": 1}', b'{"issues": [1]}', b'{"issues": [{"key": ""}]}'])
def test_any_other_answer_to_a_search_is_a_retry_and_never_a_second_issue(status: int, body: bytes) -> None:
    result = Jira().read_lookup(Response(status, {}, body), now=0.0)
    assert isinstance(result, Failed)
    assert result.outcome.verdict is Verdict.RETRY


def test_a_search_that_is_limited_waits_as_long_as_it_says() -> None:
    result = Jira().read_lookup(Response(429, {"retry-after": "30"}, b""), now=0.0)
    assert isinstance(result, Failed)
    assert (result.outcome.verdict, result.outcome.retry_after) == (Verdict.WAIT, 30.0)
    assert result.outcome.reason is FailureReason.RATE_LIMITED


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("url", "https://jira.example/rest/api/3/issue"),
        ("url", "https://u:p@jira.example/rest/api/2/issue"),
        ("authentication", "bearer"),
        ("username", "user:name"),
        ("apiToken", "to\nken"),
        ("labels", "has blank"),
        ("labels", "x" * 256),
    ],
)
def test_what_jira_would_refuse_is_found_when_the_webhook_is_accepted(variable: str, value: str) -> None:
    (problem,) = Jira().validate(CONFIG | {variable: value})
    assert (problem.variable, problem.warning) == (variable, False)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"groupInto": "closed", "digest": "10m"}, "must be `open`"),
        ({"groupInto": "open"}, "does nothing without `digest`"),
        (INTO | {"url": "https://jira.example/proxy"}, "needs a `url` that ends with `/issue`"),
    ],
)
def test_what_is_wrong_with_open_issues_is_named(more: dict[str, str], words: str) -> None:
    (problem,) = (each for each in Jira().validate(CONFIG | more) if not each.warning)
    assert (problem.variable, words in problem.message, bool(problem.hint)) == ("groupInto", True, True)
    assert Jira().validate(CONFIG | INTO) == []
