"""Alerts as rendered: identity, times, names; the answers in both forms of body. The real server has its own tests."""

import json

import pytest

from kubectl_sew.consumers.alertmanager import AlertManager, label_name
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


def test_our_labels_win_and_empty_ones_are_left_out() -> None:
    labels = alert({"type": "waf", "severity": 80, "origin": ""}, {"delivery_id": "x", "severity": "low", "e": ""})[
        "labels"
    ]
    assert labels == {"delivery_id": "d-1", "severity": "80", "alertname": "waf", "event_id": "id-1"}


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
def test_both_forms_of_its_reasons_are_told(status: int, body: bytes, verdict: Verdict, said: str) -> None:
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
