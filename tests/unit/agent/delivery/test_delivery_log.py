"""Every attempt is in the log of deliveries, with what a person needs and nothing that is secret."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest

from kubectl_sew.consumers.base import FailureReason, Outcome, Request, Response, Verdict
from kubectl_sew.event import Event, delivery_id
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps
from kubectl_sew.redaction import HIDDEN
from kubectl_sew.text import parse_rfc3339
from sew_agent.delivery.delivery_log import Sent, logged, sent
from sew_agent.delivery.http.errors import SendError
from sew_agent.store.records import (
    Delivery,
    DeliveryResult,
    DeliveryState,
    EnqueueBatch,
    LoggedAttempt,
    NewDelivery,
    ReceiverState,
)
from tests.unit.agent.delivery.harness import NOW, PATIENCE, TOKEN, DispatcherHarness, answering_within, status

DELIVERED = Outcome(Verdict.DELIVERED)
RECEIVER = ReceiverState("a")
EVENT = Event("events.2026", "e-1", {"type": "waf", "severity": 90, "time": NOW - 60})


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[DispatcherHarness]:
    made = DispatcherHarness(tmp_path)
    yield made
    made.dispatcher.stop(PATIENCE)
    made.store.close()


def enqueue(harness: DispatcherHarness, *events: Event, webhook: str = "a") -> None:
    harness.store.enqueue(EnqueueBatch([NewDelivery(event, (webhook,)) for event in events], {}, NOW))
    harness.dispatcher.notify({webhook})


def test_what_a_replay_sends_once_more_is_marked_and_has_the_id_of_the_first(harness: DispatcherHarness) -> None:
    harness.serve("a")
    enqueue(harness, EVENT)
    harness.run()
    harness.store.enqueue(EnqueueBatch([NewDelivery(EVENT, ("a",), again="replay")], {}, NOW))
    harness.dispatcher.notify({"a"})
    harness.run()
    assert [(attempt.event, attempt.again) for attempt in harness.store.attempts("a")] == [
        ("e-1", False),
        ("e-1", True),
    ]
    assert harness.receivers.received == [("a", delivery_id("a", EVENT))] * 2


def test_an_attempt_that_delivers_is_logged_whole(harness: DispatcherHarness) -> None:
    harness.receivers.answers["a"] = answering_within(harness, 0.25)
    harness.serve("a")
    enqueue(harness, EVENT)
    harness.run()
    (attempt,) = harness.store.attempts("a")
    assert attempt == LoggedAttempt(
        webhook="a",
        delivery=1,
        delivery_id=delivery_id("a", EVENT),
        event="e-1",
        source="events.2026",
        time=NOW - 60,
        type="waf",
        severity=90,
        attempt=1,
        at=NOW + 0.25,
        milliseconds=250,
        outcome="delivered",
        reason="none",
        detail="204 No Content",
        status=204,
        sent_to="http://a",
        sent_bytes=attempt.sent_bytes,
        receipt="",
        next_try=None,
    )
    assert attempt.sent_bytes > 50


def test_an_event_that_is_not_calicos_is_named_in_the_log_as_in_messages(harness: DispatcherHarness) -> None:
    falco = {"rule": "Shell in a container", "priority": "Critical", "output": "x", "time": "2026-11-29T10:00:00Z"}
    ecs = {"ecs.version": "8.11.0", "rule.name": "Egress", "event.severity": 47, "@timestamp": "2026-11-29T10:00:00Z"}
    harness.serve("a")
    enqueue(harness, Event("", "falco", falco), Event("", "ecs", ecs))
    harness.run()
    at = parse_rfc3339("2026-11-29T10:00:00Z")
    assert [(attempt.type, attempt.severity, attempt.time) for attempt in harness.store.attempts("a")] == [
        ("Shell in a container", EVENT_MAPS.read(Event("", "", falco)).severity, at),
        ("Egress", 47, at),
    ]


def test_an_event_that_its_map_cannot_read_is_delivered_and_logged(harness: DispatcherHarness) -> None:
    class Broken(EventMaps):
        def heading(self, event: Event) -> NoReturn:
            raise RuntimeError

    harness.restart(maps=Broken())
    harness.serve("a")
    enqueue(harness, EVENT)
    harness.run()
    (attempt,) = harness.store.attempts("a")
    assert (attempt.event, attempt.outcome, attempt.type) == ("e-1", "delivered", "")


def test_each_attempt_of_a_delivery_is_logged_and_says_when_the_next_one_may_be(harness: DispatcherHarness) -> None:
    harness.receivers.answers["a"] = status(503, retry_after="30")
    harness.serve("a")
    enqueue(harness, EVENT)
    harness.run()
    del harness.receivers.answers["a"]
    harness.pass_time(31.0)
    first, second = harness.store.attempts("a")
    assert (first.attempt, first.outcome, first.reason, first.status) == (1, "pending", "server_error", 503)
    assert first.next_try == NOW + 30
    assert (second.attempt, second.outcome, second.next_try) == (2, "delivered", None)


def test_an_attempt_without_an_answer_is_logged_with_its_reason(harness: DispatcherHarness) -> None:
    def fail(_: Request) -> Response:
        raise SendError(FailureReason.TIMEOUT, "no answer within 10 s")

    harness.receivers.answers["a"] = fail
    harness.serve("a")
    enqueue(harness, EVENT)
    harness.run()
    attempt = harness.store.attempts("a")[0]
    assert (attempt.reason, attempt.detail, attempt.status) == ("timeout", "no answer within 10 s", None)


def test_a_receivers_receipt_is_logged(harness: DispatcherHarness) -> None:
    harness.receivers.answers["a"] = lambda _: Response(201, {}, json.dumps({"key": "SEC-7"}).encode())
    harness.serve("a", consumer="Jira")
    enqueue(harness, EVENT)
    harness.run()
    assert [attempt.receipt for attempt in harness.store.attempts("a")] == ["SEC-7"]


def test_neither_a_secret_nor_what_steers_a_terminal_gets_into_the_log(harness: DispatcherHarness) -> None:
    words = f"no \x1b[2J\u202e\x00\r\n{TOKEN} at http://a/rest/api/2/issue?key={TOKEN}"
    harness.receivers.answers["a"] = lambda _: Response(400, {}, json.dumps({"errorMessages": [words]}).encode())
    harness.serve("a", consumer="Jira")
    hostile = {"type": ["\x1b]0;x\x07", "\ud800"], "severity": float("nan"), "time": "\u202e"}
    enqueue(harness, Event("i\u202e", "e\x1b\n" + "x" * 500, hostile))
    harness.run()
    entry = harness.store.attempts("a")[-1]
    assert all(text.isprintable() for text in entry if isinstance(text, str))
    assert HIDDEN in entry.detail
    assert TOKEN not in str(entry)
    assert "/rest/api" not in entry.sent_to
    assert len(entry.event) <= 128


def request(url: str, body: bytes = b"") -> Request:
    return Request("POST", url, (), body)


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ((), Sent()),
        (
            (request("https://u:p@hooks.slack.com/services/T0/B0/xyz?a=b", b"1234"),),
            Sent("https://hooks.slack.com", 4, "POST"),
        ),
        (
            (request("http://[::1]:8080/x", b"1"), request("http://b/y", b"22")),
            Sent("http://[::1]:8080, http://b", 3, "POST"),
        ),
        ((request("http://b/x", b"1"), request("http://b/y", b"22")), Sent("http://b", 3, "POST")),
        ((request("http://[broken/x", b"1"),), Sent("a URL that cannot be read", 1, "POST")),
    ],
)
def test_of_what_was_sent_scheme_and_host_are_logged_and_the_bytes(
    requests: tuple[Request, ...], expected: Sent
) -> None:
    assert sent(requests) == expected


@pytest.mark.parametrize(
    ("document", "type_", "severity"),
    [
        ({}, "", None),
        ({"type": None, "severity": True}, "", None),
        ({"type": {"a": [1]}, "severity": "80"}, '{"a": [1]}', None),
        ({"type": 7, "severity": 80.9}, "7", 80),
        ({"type": "x" * 100, "severity": 10**400}, "x" * 63 + "…", None),
        ({"type": "x" * 64, "severity": 0}, "x" * 64, 0),
        ({"severity": 10**6}, "", 10**6),
        ({"severity": 10**6 + 1}, "", None),
    ],
)
def test_type_and_severity_of_any_event_can_be_logged(
    document: Mapping[str, Any], type_: str, severity: int | None
) -> None:
    entry = entry_of(event=Event("", "e", document))
    assert (entry.type, entry.severity) == (type_, severity)


def entry_of(
    event: Event = EVENT,
    outcome: Outcome = DELIVERED,
    receiver: ReceiverState = RECEIVER,
    started: float = NOW,
    **written: Any,
) -> LoggedAttempt:
    """Return the entry of an attempt that began then, of whose result this is written."""
    delivery = Delivery(1, "a", "id", event, NOW)
    result = DeliveryResult(delivery, DeliveryState.DELIVERED, NOW, 1)._replace(**written)
    return logged(result, receiver, started, outcome, Sent(), EVENT_MAPS)


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(12.3456, 12346), (0.0004, 0), (0.0, 0), pytest.param(-30.0, 0, id="clock set back")]
)
def test_an_attempt_is_logged_to_the_millisecond(seconds: float, milliseconds: int) -> None:
    entry = entry_of(at=NOW + seconds)
    assert (entry.at, entry.milliseconds) == (round(NOW + seconds, 3), milliseconds)
    assert entry_of(at=NOW + seconds, started=NOW + seconds).milliseconds == 0


@pytest.mark.parametrize(("due", "held", "retry"), [(9.0, 3.0, 4.0), (1.0, 9.0, 2.0), (1.0, 2.0, 9.0)])
def test_the_next_try_is_when_the_event_is_due_and_its_receiver_is_asked_again(
    due: float, held: float, retry: float
) -> None:
    receiver = ReceiverState("a", held_until=NOW + held, retry_until=NOW + retry)
    assert entry_of(receiver=receiver, state=DeliveryState.PENDING, due=NOW + due).next_try == NOW + 9


def test_what_is_decided_of_a_delivery_is_logged_rather_than_what_its_receiver_said() -> None:
    outcome = Outcome(Verdict.RETRY, FailureReason.SERVER_ERROR, "503")
    assert entry_of(outcome=outcome, detail="given up after 72 h: 503").detail == "given up after 72 h: 503"
    assert entry_of(outcome=outcome).detail == "503"


def test_each_text_of_an_entry_is_cut() -> None:
    long = "x" * 999
    outcome = Outcome(Verdict.DELIVERED, FailureReason.NONE, long, receipt=long)
    entry = entry_of(Event(long, long, {"type": long}), outcome)
    assert [len(text) for text in (entry.event, entry.source, entry.type, entry.detail, entry.receipt)] == [
        *(128, 128),
        *(64, 300, 64),
    ]
    assert len(sent([request(f"http://{long}/")]).to) == 128
    assert len(sent([request(f"http://{letter * 90}/") for letter in "ab"]).to) == 128
