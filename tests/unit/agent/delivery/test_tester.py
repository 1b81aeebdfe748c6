"""State Test: the sample, and its result."""

import io
import json
import threading
from dataclasses import replace

import pytest

from kubectl_sew.consumers.base import FailureReason, Outcome, Verdict
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from kubectl_sew.query import parse
from kubectl_sew.resource import TEST_EVENT_ANNOTATION, State, Webhook
from kubectl_sew.samples import SAMPLE_TYPES, sample
from kubectl_sew.validation.webhook import Accepted
from sew_agent.base.log import Log
from sew_agent.delivery.tester import FileDeliveryTester, describe, marked_sample
from tests import threads
from tests.waiting import eventually

NOW = 1_767_225_600.0
WEBHOOK = Accepted(Webhook("w", "Generic", State.TEST, "type = waf"), CONSUMERS["Generic"], {}, {}, parse("type = waf"))


@pytest.mark.parametrize("kind", SAMPLE_TYPES)
def test_every_sample_is_marked_and_of_now(kind: str) -> None:
    event = marked_sample(kind, "d" * 32, NOW)
    assert event.document["description"].startswith("[Test] ")
    assert event.time == NOW


def test_a_sample_is_an_event_of_no_index_named_by_the_contents_digest() -> None:
    event = marked_sample("waf", "0123456789abcdef" * 2, NOW)
    assert (event.index, event.id) == ("", "sew-test-0123456789abcdef")
    marked = sample("waf") | {"_id": event.id, "id": event.id, "time": int(NOW)}
    assert event.document == marked | {"description": f"[Test] {sample('waf')['description']}"}


def test_the_same_content_is_the_same_event() -> None:
    assert marked_sample("waf", "d" * 32, NOW).key == marked_sample("waf", "d" * 32, NOW + 1).key
    assert marked_sample("waf", "e" * 32, NOW).key != marked_sample("waf", "d" * 32, NOW).key


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome(Verdict.DELIVERED, detail="200 OK", status=200), "2026-01-01T00:00:00Z delivered: 200 OK"),
        (
            Outcome(Verdict.PARKED, FailureReason.CREDENTIAL_REFUSED, "401 Unauthorized", 401),
            "2026-01-01T00:00:00Z not delivered (credential_refused): 401 Unauthorized",
        ),
        (Outcome(Verdict.DELIVERED), "2026-01-01T00:00:00Z delivered"),
        (Outcome(Verdict.DELIVERED, status=204), "2026-01-01T00:00:00Z delivered: 204"),
    ],
)
def test_a_result_is_one_line(outcome: Outcome, text: str) -> None:
    assert describe(outcome, NOW) == text


def test_a_test_under_way_is_not_sent_again_and_its_result_is_given_once() -> None:
    release, sent = threading.Event(), list[str]()

    def attempt(webhook: Accepted, event: Event) -> Outcome:
        sent.append(event.id)
        release.wait(10)
        return Outcome(Verdict.DELIVERED, detail="200 OK")

    tester = FileDeliveryTester(attempt, lambda: NOW, Log(io.StringIO(), lambda: NOW))
    tester.fire(WEBHOOK, "d")
    tester.fire(WEBHOOK, "d")
    assert tester.take_finished() == []
    assert tester.busy
    release.set()
    for thread in threading.enumerate():
        if thread.name == "delivery-test":
            thread.join(10)
    assert tester.take_finished() == [("w", "d", "2026-01-01T00:00:00Z delivered: 200 OK")]
    assert tester.take_finished() == []
    assert not tester.busy
    assert len(sent) == 1


def results(tester: FileDeliveryTester) -> list[tuple[str, str, str]]:
    """Return all results, when no test is under way any more."""
    ended: list[tuple[str, str, str]] = []

    def over() -> bool:
        ended.extend(tester.take_finished())
        return not tester.busy

    eventually(over, "the tests end")
    return ended


def delivered(_webhook: Accepted, _event: Event) -> Outcome:
    return Outcome(Verdict.DELIVERED, detail="200 OK")


def test_a_test_that_has_just_ended_is_not_sent_again_before_its_result_was_taken() -> None:
    sent = list[str]()

    def attempt(webhook: Accepted, event: Event) -> Outcome:
        sent.append(event.id)
        return Outcome(Verdict.DELIVERED, detail="200 OK")

    tester = FileDeliveryTester(attempt, lambda: NOW, Log(io.StringIO(), lambda: NOW))
    for _ in range(2):
        tester.fire(WEBHOOK, "d")
        for thread in threading.enumerate():
            if thread.name == "delivery-test":
                thread.join(10)
    assert tester.take_finished() == [("w", "d", "2026-01-01T00:00:00Z delivered: 200 OK")]
    assert len(sent) == 1


def test_a_test_waits_where_the_system_gives_no_more_threads_and_this_is_said_once() -> None:
    out = io.StringIO()
    tester = FileDeliveryTester(delivered, lambda: NOW, Log(out, lambda: NOW))
    with pytest.MonkeyPatch.context() as patch:
        threads.refuse(patch, "delivery-test")
        tester.fire(WEBHOOK, "d")
        tester.fire(WEBHOOK, "e")
        assert tester.take_finished() == []
    assert tester.busy
    (line,) = map(json.loads, out.getvalue().splitlines())
    assert (line["event"], line["webhook"]) == ("test_waits", "w")
    assert "`ulimit -u`" in line["message"]
    assert line["message"].endswith("it is tried again")
    assert sorted(digest for _, digest, _ in results(tester)) == ["d", "e"]
    with pytest.MonkeyPatch.context() as patch:
        threads.refuse(patch, "delivery-test")
        tester.fire(WEBHOOK, "f")
    assert len(out.getvalue().splitlines()) == 2
    assert len(results(tester)) == 1


def test_an_unknown_test_event_sends_the_default_sample() -> None:
    annotated = replace(WEBHOOK.webhook, annotations={TEST_EVENT_ANNOTATION: "nothing"})
    sent: list[Event] = []

    def attempt(_webhook: Accepted, event: Event) -> Outcome:
        sent.append(event)
        return delivered(_webhook, event)

    tester = FileDeliveryTester(attempt, lambda: NOW, Log(io.StringIO(), lambda: NOW))
    tester.fire(replace(WEBHOOK, webhook=annotated), "d")
    assert results(tester) == [("w", "d", "2026-01-01T00:00:00Z delivered: 200 OK")]
    assert [event.document["type"] for event in sent] == ["waf"]
