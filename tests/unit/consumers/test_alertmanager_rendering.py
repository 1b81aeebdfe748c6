"""Alerts as rendered: identity, times, names; the answers in both forms of body. The real server has its own tests."""

import json

import pytest

from kubectl_sew.consumers.alertmanager import AlertManager
from kubectl_sew.consumers.alertmanager_labels import label_name
from kubectl_sew.consumers.base import Response, Verdict
from kubectl_sew.consumers.classification import classify_response
from kubectl_sew.event import Event

NOW = 1_772_450_000.0
URL = "https://am.example/api/v2/alerts"


def alert(document: dict[str, object], labels: dict[str, str] | None = None, delivery_id: str = "d-1"):
    (request,) = AlertManager().render(
        Event("i", "id-1", document), labels or {}, {"url": URL}, now=NOW, delivery_id=delivery_id
    )
    (rendered,) = json.loads(request.body)
    return rendered


def test_events_that_look_alike_differ_in_their_labels() -> None:
    assert alert({"type": "waf"}, delivery_id="a")["labels"] != alert({"type": "waf"}, delivery_id="b")["labels"]


@pytest.mark.parametrize(
    ("time", "starts"),
    [
        (NOW - 60, "2026-03-02T11:12:20Z"),
        (NOW + 60, "2026-03-02T11:13:20Z"),
        (None, "2026-03-02T11:13:20Z"),
        ("nonsense", "2026-03-02T11:13:20Z"),
        (-9e11, "1970-01-01T00:00:00Z"),
    ],
)
def test_an_alert_starts_at_the_events_time_and_never_in_the_future(time: object, starts: str) -> None:
    rendered = alert({"time": time})
    assert rendered["startsAt"] == starts
    assert rendered["endsAt"] == "2026-03-02T12:13:20Z"


@pytest.mark.parametrize(
    ("given", "name"),
    [("cluster", "cluster"), ("Cluster name", "Cluster_name"), ("1st", "_1st"), ("", "_"), ("a.b/c-ä", "a_b_c__")],
)
def test_label_names_are_mapped_to_what_alertmanager_takes(given: str, name: str) -> None:
    assert label_name(given) == name


def labels_of(document: dict[str, object], given: dict[str, str] | None = None, **config: str) -> dict[str, str]:
    config |= {"url": URL}
    assert AlertManager().validate(config) == []
    (request,) = AlertManager().render(Event("i", "id-1", document), given or {}, config, now=NOW, delivery_id="d-1")
    (rendered,) = json.loads(request.body)
    return dict(rendered["labels"])


def test_the_webhooks_labels_win_but_for_the_identity_and_empty_ones_are_left_out() -> None:
    given = {"delivery_id": "x", "event_id": "y", "severity": "page", "origin": "", "e": "", "team": "sec"}
    assert labels_of({"type": "waf", "severity": 80, "origin": "o", "host": "h"}, given) == {
        "alertname": "Calico Security Event",
        "delivery_id": "d-1",
        "event_id": "id-1",
        "origin": "o",
        "severity": "page",
        "team": "sec",
        "type": "waf",
    }


@pytest.mark.parametrize(
    ("severity", "word"),
    [
        (100, "critical"),
        (90, "critical"),
        ("90", "critical"),
        (89.9, "warning"),
        (60, "warning"),
        (59, "info"),
        (0, "info"),
        (-1, None),
        (None, None),
        (float("nan"), None),
        (float("inf"), "critical"),
        (10**400, "a number of 1329 bits…"),
        ("Critical", "Critical"),
        ("", None),
    ],
)
def test_the_severity_is_a_word_that_routes_know_and_its_number_an_annotation(severity: object, word: str) -> None:
    rendered = alert({"severity": severity})
    assert rendered["labels"].get("severity") == word
    assert alert({"severity": 95})["annotations"]["severity"] == "95"


def test_the_words_of_the_severity_are_the_webhooks_own() -> None:
    words = {
        number: labels_of({"severity": number}, severityMap="page: 95, ticket:50.5").get("severity")
        for number in (95, 94, 51, 50)
    }
    assert words == {95: "page", 94: "ticket", 51: "ticket", 50: None}


@pytest.mark.parametrize(
    "table", ["critical", "critical:", ":90", "critical:high", "a:-1", "a:90,b:90", "a:1:2", "a=1"]
)
def test_a_table_of_severities_that_cannot_be_read_is_a_problem(table: str) -> None:
    (problem,) = AlertManager().validate({"url": URL, "severityMap": table})
    assert (problem.variable, problem.warning) == ("severityMap", False)


@pytest.mark.parametrize(
    ("given", "config", "name"),
    [
        ({}, {}, "Calico Security Event"),
        ({}, {"alertname": "{{ type }}"}, "waf"),
        ({}, {"alertname": "{{ nothing }}"}, "Calico Security Event"),
        ({}, {"alertname": "calico"}, "Calico Security Event"),
        ({"alertname": "Mine"}, {"alertname": "{{ type }}"}, "Mine"),
    ],
)
def test_the_alerts_name_is_calicos_unless_a_label_or_the_variable_says_otherwise(
    given: dict[str, str], config: dict[str, str], name: str
) -> None:
    assert labels_of({"type": "waf"}, given, **config)["alertname"] == name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cluster": "a", "severity": ""}, []),
        ({"severity": "page"}, ["the label `severity` is sent as it is given here, in place of the agent's own"]),
        ({"delivery id": "x"}, ["the label `delivery_id` is not sent: the agent's own identifies the alert"]),
        ({"a.b": "1", "a-b": "2"}, ["`a.b` and `a-b` are both sent as `a_b`: the last one wins"]),
    ],
)
def test_it_is_said_which_of_two_labels_of_one_name_is_sent(given: dict[str, str], said: list[str]) -> None:
    assert AlertManager().check_labels(given) == said


def test_each_peer_gets_the_alert_with_its_own_or_the_common_credentials() -> None:
    config = {"url": f"https://u:p@a.example/api/v2/alerts, {URL},"}
    first, second = AlertManager().render(Event("i", "1", {}), {}, config, now=NOW, delivery_id="d")
    assert AlertManager().validate(config) == []
    assert (first.url, second.url) == ("https://a.example/api/v2/alerts", URL)
    assert ("Authorization" in dict(first.headers), "Authorization" in dict(second.headers)) == (True, False)
    (common,) = AlertManager().render(
        Event("i", "1", {}), {}, {"url": URL, "basicAuth": "u:p:w"}, now=NOW, delivery_id="d"
    )
    assert dict(common.headers)["Authorization"] == "Basic dTpwOnc="


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("url", "https://am.example/"),
        ("url", "https://am.example/api/v2/alerts/"),
        ("url", "https://am.example//api/v2/alerts"),
        ("url", "https://am.example/x?y=/api/v2/alerts"),
        ("url", "https://am.example/#/api/v2/alerts"),
        ("url", f"{URL},https://am.example/"),
        ("url", ","),
        ("basicAuth", "user"),
        ("basicAuth", ":password"),
        ("generatorURL", "no url"),
        ("tls.key", "nonsense"),
    ],
)
def test_what_alertmanager_would_refuse_is_found_when_the_webhook_is_accepted(variable: str, value: str) -> None:
    problems = AlertManager().validate({"url": URL} | {variable: value})
    assert variable in {problem.variable for problem in problems if not problem.warning}


def test_a_user_in_the_url_beside_basic_auth_is_a_problem() -> None:
    config = {"url": "https://u:p@h/api/v2/alerts", "basicAuth": "u:p"}
    assert [problem.variable for problem in AlertManager().validate(config)] == ["url"]


@pytest.mark.parametrize(
    ("status", "body", "verdict", "said"),
    [
        (200, b"", Verdict.DELIVERED, ""),
        (200, b"\n", Verdict.DELIVERED, ""),
        (200, b"<html>login</html>", Verdict.RETRY, ""),
        (400, b'"bad label"', Verdict.REJECTED, "bad label"),
        (422, b'{"code": 602, "message": "labels in body is required"}', Verdict.REJECTED, "labels in body"),
        (401, b"Unauthorized", Verdict.PARKED, "401"),
    ],
)
def test_both_forms_of_its_reasons_are_shown(status: int, body: bytes, verdict: Verdict, said: str) -> None:
    outcome = classify_response(AlertManager(), Response(status, {}, body), NOW)
    assert outcome.verdict is verdict
    assert said in outcome.detail


def headers(**config: str) -> dict[str, str]:
    (request,) = AlertManager().render(Event("i", "id-1", {}), {}, {"url": URL} | config, now=NOW, delivery_id="d")
    return dict(request.headers)


def test_a_bearer_token_and_more_headers_go_with_every_alert() -> None:
    assert headers(bearerToken="T0K3N\n", headers="X-Scope-OrgID: team-a") == {
        "Content-Type": "application/json",
        "X-Scope-OrgID": "team-a",
        "Authorization": "Bearer T0K3N",
    }


@pytest.mark.parametrize(
    ("config", "variable"),
    [
        ({"basicAuth": "u:p", "bearerToken": "t"}, "bearerToken"),
        ({"basicAuth": "u:p", "headers": "authorization: Bearer t"}, "headers"),
        ({"bearerToken": "t", "headers": "Authorization: Bearer t"}, "headers"),
        ({"bearerToken": "t", "url": "https://u:p@h/api/v2/alerts"}, "url"),
        ({"headers": "Authorization: Bearer t", "url": "https://u:p@h/api/v2/alerts"}, "headers"),
        ({"bearerToken": "to\nken"}, "bearerToken"),
        ({"headers": "Content-Type: text/plain"}, "headers"),
        ({"headers": "Host: x"}, "headers"),
        ({"headers": "nonsense"}, "headers"),
    ],
)
def test_headers_that_cannot_be_sent_and_two_authorizations_are_problems(config: dict[str, str], variable: str) -> None:
    assert [problem.variable for problem in AlertManager().validate({"url": URL} | config)] == [variable]


def test_token_and_headers_are_secrets() -> None:
    config = {"url": URL, "bearerToken": "T0K3N-of-am", "headers": "X-Key: 0TH3R-key"}
    said = b"no T0K3N-of-am nor 0TH3R-key"
    assert classify_response(AlertManager(), Response(401, {}, said), NOW, config).detail.endswith(
        "no [secret] nor [secret]"
    )


@pytest.mark.parametrize("text", ["\N{FIRE}" * 9_000, "\u00e4" * 9_000, "a" + "\u20ac" * 9_000])
def test_limits_are_kept_in_bytes(text: str) -> None:
    rendered = alert({**dict.fromkeys(["type", "host", "description", "severity"], text), "record": text}, {"l": text})
    assert all(len(value.encode()) <= 1_024 for value in rendered["labels"].values())
    assert all(len(value.encode()) <= 8_000 for value in rendered["annotations"].values())
    assert len(rendered["labels"]["l"].encode()) >= 1_020
    assert rendered["labels"]["l"].endswith("…")


def test_more_than_ten_peers_are_a_problem() -> None:
    urls = [f"https://h{n}/api/v2/alerts" for n in range(11)]
    assert AlertManager().validate({"url": ",".join(urls[:10])}) == []
    assert [problem.variable for problem in AlertManager().validate({"url": ",".join(urls)})] == ["url"]
