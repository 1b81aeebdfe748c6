"""The AlertManager consumer renders for a real Alertmanager, and reads its answers."""

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener
from urllib.request import Request as HttpRequest

import pytest

from kubectl_sew.consumers.alertmanager import AlertManager
from kubectl_sew.consumers.base import FailureReason, Outcome, Request, Response, Verdict
from kubectl_sew.consumers.classification import classify_response
from kubectl_sew.event import Event
from kubectl_sew.samples import SAMPLE_TYPES, sample
from testbed.servers.alertmanager import alertmanager, find
from testbed.servers.required import required

pytestmark = pytest.mark.server
CONSUMER = AlertManager()


class NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


OPENER = build_opener(ProxyHandler({}), NoRedirects())


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with required(), alertmanager(find()) as url:
        yield url


def exchange(method: str, url: str, headers: tuple[tuple[str, str], ...] = (), body: bytes | None = None) -> Response:
    request = HttpRequest(url, data=body, headers=dict(headers), method=method)
    try:
        with OPENER.open(request, timeout=10) as answer:
            return Response(answer.status, {}, answer.read())
    except HTTPError as error:
        with error:
            return Response(error.code, {}, error.read())


def post(request: Request) -> Outcome:
    return classify_response(
        CONSUMER, exchange(request.method, request.url, request.headers, request.body), time.time()
    )


def post_event(base: str, event: Event, labels: dict[str, str] | None = None, delivery_id: str = "d1") -> Outcome:
    config = {"url": f"{base}/api/v2/alerts", "generatorURL": "https://calico.example/events"}
    assert CONSUMER.validate(config) == []
    (request,) = CONSUMER.render(event, labels or {}, config, now=time.time(), delivery_id=delivery_id)
    return post(request)


def firing(base: str, delivery_id: str) -> list[dict[str, object]]:
    answer = exchange("GET", f"{base}/api/v2/alerts?filter=delivery_id%3D%22{delivery_id}%22&active=true")
    alerts: list[dict[str, object]] = json.loads(answer.body)
    return alerts


@pytest.mark.parametrize("event_type", SAMPLE_TYPES)
def test_every_sample_fires_as_one_alert(base: str, event_type: str) -> None:
    document = sample(event_type)
    outcome = post_event(base, Event("i", document["_id"], document), {"Cluster name": "prod"}, event_type)
    assert outcome.verdict is Verdict.DELIVERED
    (alert,) = firing(base, event_type)
    assert alert["labels"]["alertname"] == "Calico Security Event"
    assert alert["labels"]["type"] == event_type
    assert alert["labels"]["Cluster_name"] == "prod"
    assert alert["status"]["state"] in ("active", "unprocessed")


def test_a_duplicate_delivery_is_the_same_alert_and_a_twin_event_is_another(base: str) -> None:
    event = Event("i", "1", {"type": "waf"})
    for delivery_id in ("twin-a", "twin-a", "twin-b"):
        assert post_event(base, event, delivery_id=delivery_id).verdict is Verdict.DELIVERED
    assert (len(firing(base, "twin-a")), len(firing(base, "twin-b"))) == (1, 1)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"time": 4_102_444_800, "type": "in the future"},
        {"time": -9e11, "type": "before all time"},
        {"time": "not a time"},
        {"type": "\ud800\x00<&>", "description": "x" * 1_000_000, "record": {"a": ["\udfff"] * 5_000}},
        dict.fromkeys(("type", "name", "severity", "origin", "source_name"), ""),
    ],
)
def test_an_odd_event_is_accepted_and_fires(base: str, document: dict[str, object]) -> None:
    delivery_id = f"odd-{len(str(document))}"
    labels = {"1st": "a", "": "b", "größe": "\ud800", "alertname": "", "empty": ""}
    assert post_event(base, Event("", "x", document), labels, delivery_id).verdict is Verdict.DELIVERED
    assert len(firing(base, delivery_id)) == 1


HEADERS = (("Content-Type", "application/json"),)


@pytest.mark.parametrize(
    ("path", "headers", "body", "verdict", "reason"),
    [
        ("/api/v2/alerts", HEADERS, b"{", Verdict.REJECTED, FailureReason.EVENT_REFUSED),
        ("/api/v2/alerts", HEADERS, b'[{"annotations":{}}]', Verdict.REJECTED, FailureReason.EVENT_REFUSED),
        ("/api/v2/alerts", HEADERS, b'[{"labels":{}}]', Verdict.REJECTED, FailureReason.EVENT_REFUSED),
        ("/api/v2/alerts", (("Content-Type", "text/x"),), b"[]", Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED),
        ("/api/v2/alarms", HEADERS, b"[]", Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED),
        ("/api/v2/status", HEADERS, b"[]", Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED),
        ("//api/v2/alerts", HEADERS, b"[]", Verdict.PARKED, FailureReason.REDIRECT),
        ("/", HEADERS, b"[]", Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED),
    ],
)
def test_real_refusals_get_their_verdicts(
    base: str, path: str, headers: tuple[tuple[str, str], ...], body: bytes, verdict: Verdict, reason: FailureReason
) -> None:
    outcome = post(Request("POST", base + path, headers, body))
    assert (outcome.verdict, outcome.reason) == (verdict, reason), outcome


def test_the_reason_of_a_refusal_is_reported(base: str) -> None:
    outcome = post(Request("POST", f"{base}/api/v2/alerts", HEADERS, b'[{"labels":{"bad-name":"x"}}]'))
    assert outcome.verdict is Verdict.REJECTED
    assert "invalid label" in outcome.detail


def test_what_is_said_of_alerts_of_calicos_processor_is_so(base: str) -> None:
    """It sends the webhook's labels and `alertname`, facts as annotations, and no end."""
    headers = (("Content-Type", "application/json"),)
    labels = {"alertname": "Calico Security Event", "webhook": "theirs"}
    for description in ("first", "second"):
        body = json.dumps([{"labels": labels, "annotations": {"Description": description}}]).encode()
        assert exchange("POST", f"{base}/api/v2/alerts", headers, body).status == 200
    (alert,) = json.loads(exchange("GET", f"{base}/api/v2/alerts?filter=webhook%3D%22theirs%22").body)
    assert alert["annotations"] == {"Description": "second"}
    ends = datetime.fromisoformat(alert["endsAt"]) - datetime.fromisoformat(alert["updatedAt"])
    assert timedelta(minutes=4, seconds=50) < ends <= timedelta(minutes=5)
    refused = [{"labels": {**labels, "Cluster name": "prod"}}]
    assert exchange("POST", f"{base}/api/v2/alerts", headers, json.dumps(refused).encode()).status == 400
    for number in range(2):
        event = Event("i", f"e{number}", sample("waf"))
        assert (
            post_event(base, event, {"webhook": "ours", "Cluster name": "prod"}, f"n{number}").verdict
            is Verdict.DELIVERED
        )
    ours = json.loads(exchange("GET", f"{base}/api/v2/alerts?filter=webhook%3D%22ours%22").body)
    assert len(ours) == 2
