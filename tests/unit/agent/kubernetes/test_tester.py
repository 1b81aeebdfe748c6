"""State Test in a cluster: how often the sample is sent, and what the journal says of another agent's test."""

import io
import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest

from kubectl_sew.consumers.base import Outcome, Verdict
from kubectl_sew.query import ANY
from kubectl_sew.resource import TEST_REQUESTED_ANNOTATION, TEST_RESULT_ANNOTATION
from kubectl_sew.resource.delivery_tests import read_test_result
from kubectl_sew.resource.serving import Served
from kubectl_sew.validation.webhook import Accepted, accept
from sew_agent.base.health import Health
from sew_agent.base.log import Log
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.paths import WebhookPath
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.tester import NOT_AGAIN, JournalStep, KubernetesDeliveryTester, next_step
from sew_agent.kubernetes.webhooks import read_webhook
from sew_agent.store.records import WebhookRecord
from sew_agent.webhooks.validator import content_digest
from tests import threads
from tests.waiting import eventually

AT = "2026-11-25T15:00:00Z"


@pytest.mark.parametrize(
    ("journal", "step"),
    [
        ("", JournalStep.SEND),
        (f"{AT} delivered: 204", JournalStep.SEND),
        ("whatever a person wrote", JournalStep.SEND),
        (f"{AT} the sample is being sent", JournalStep.SEND_AGAIN),
        (f"{AT} the sample is being sent again", JournalStep.GIVE_UP),
        (
            '{"httpResponseCode":200,"httpResponseDescription":"OK","timestamp":"2026-11-25T15:00:00Z"}',
            JournalStep.SEND,
        ),
        (f"{AT} not known: the agent ended twice while the sample was being sent", JournalStep.SEND),
    ],
)
def test_a_sample_is_sent_once_more_at_most(journal: str, step: JournalStep) -> None:
    assert next_step(journal) is step


class WebhookServer:
    """An API server that holds one webhook."""

    def __init__(self) -> None:
        config = [{"name": "url", "value": "https://receiver.example/hook"}]
        spec = {"consumer": "Generic", "state": "Enabled", "query": "type = waf", "config": config}
        metadata = {"name": "w", "uid": "u", "resourceVersion": "1", "generation": 1, "annotations": {}}
        self.webhook: dict[str, Any] = {"metadata": metadata, "spec": spec}

    def get(self, _path: str) -> dict[str, Any]:
        return deepcopy(self.webhook)

    def patch(self, _path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.webhook["spec"] |= body.get("spec", {})
        self.webhook["metadata"]["annotations"] |= body["metadata"].get("annotations", {})
        return deepcopy(self.webhook)

    @property
    def result(self) -> str:
        return read_test_result(self.annotation)

    @property
    def annotation(self) -> str:
        return str(self.webhook["metadata"]["annotations"].get(TEST_RESULT_ANNOTATION, ""))


class StateTestHarness:
    """Tests of one webhook one after another, at times that the test chooses."""

    def __init__(self) -> None:
        self.server: Any = WebhookServer()
        self.now = 1_767_225_600.0
        self.sent = 0
        self.log = io.StringIO()
        path = WebhookPath(self.server, "")
        path.served = Served("projectcalico.org/v3", status=True)
        log = Log(self.log, lambda: self.now)
        self._context = ClusterContext(self.server, path, Problems(log), log, clock=lambda: self.now)
        self._records: dict[str, WebhookRecord] = {}
        self.restart()

    def restart(self) -> None:
        """Begin another process over the same store."""
        records = self._records.values
        self.tester = KubernetesDeliveryTester(
            self._context, self._attempt, Health(), request_timeout=1.0, records=records
        )

    def _attempt(self, _accepted: Accepted, _event: object) -> Outcome:
        self.sent += 1
        return Outcome(Verdict.DELIVERED, status=204, detail="204 No Content")

    def test(self, requested: str = "", query: str = "type = waf") -> Accepted:
        """Set state Test, and wait until it ends."""
        accepted = self.ask(requested, query)
        eventually(self.remember, "the test ends")
        eventually(lambda: self.server.webhook["spec"]["state"] == "Enabled", "the state is set back")
        return accepted

    def remember(self) -> bool:
        """Keep in the store what has ended; return whether anything has."""
        ended = self.tester.take_finished()
        self._records |= {
            name: WebhookRecord(name, "Test", None, tested=tested, test_result=text) for name, tested, text in ended
        }
        return bool(ended)

    def ask(self, requested: str = "", query: str = "type = waf") -> Accepted:
        """Set state Test."""
        self.server.patch("", {"metadata": {}, "spec": {"state": "Test", "query": query}})
        if requested:
            self.server.webhook["metadata"]["annotations"][TEST_REQUESTED_ANNOTATION] = requested
        accepted = accept(read_webhook(self.server.get("")).webhook, {}, {}, ANY)
        assert isinstance(accepted, Accepted)
        self.tester.fire(accepted, content_digest(accepted))
        return accepted


def test_the_result_is_written_in_calicos_form_also_after_a_restart() -> None:
    harness = StateTestHarness()
    harness.test(requested="first")
    said = {"httpResponseCode": 204, "timestamp": "2026-01-01T00:00:00Z"}
    text = "2026-01-01T00:00:00Z delivered: 204 No Content"
    assert json.loads(harness.server.annotation) == {**said, "httpResponseDescription": text}
    harness.restart()
    harness.test(requested="first")
    assert json.loads(harness.server.annotation) == {**said, "httpResponseDescription": text + NOT_AGAIN}


def test_a_state_that_is_set_again_and_again_sends_the_sample_once_an_hour_and_the_result_says_so() -> None:
    harness = StateTestHarness()
    harness.test()
    for _ in range(3):
        harness.now += 180.0
        accepted = harness.test()
    assert harness.sent == 1
    assert harness.server.result == "2026-01-01T00:00:00Z delivered: 204 No Content" + NOT_AGAIN
    result = harness.tester.results({"w": accepted})["w"]
    assert (result.delivered, result.repeated) == (True, True)
    harness.now += 3600.0
    harness.test()
    assert harness.sent == 2


def test_a_test_within_the_hour_is_known_after_a_restart() -> None:
    harness = StateTestHarness()
    accepted = harness.test(requested="first")
    for _ in range(2):
        harness.now += 180.0
        harness.restart()
        assert harness.tester.results({"w": accepted})["w"].delivered
        harness.test(requested="first")
    assert harness.sent == 1
    assert harness.server.result == "2026-01-01T00:00:00Z delivered: 204 No Content" + NOT_AGAIN
    assert harness.tester.results({"w": accepted})["w"].repeated
    harness.restart()
    harness.test(requested="second")
    assert harness.sent == 2


def test_another_content_and_each_request_of_a_person_send_a_sample_of_their_own() -> None:
    harness = StateTestHarness()
    harness.test()
    harness.test(query="type = runtime_security")
    harness.test(requested="first", query="type = runtime_security")
    harness.test(requested="second", query="type = runtime_security")
    assert harness.sent == 4
    harness.test(query="type = runtime_security")
    assert harness.sent == 4


def test_a_test_waits_where_the_system_gives_no_more_threads_and_this_is_logged() -> None:
    harness = StateTestHarness()
    with pytest.MonkeyPatch.context() as patch:
        threads.refuse(patch, "delivery-test")
        harness.ask()
        assert harness.tester.take_finished() == []
    assert harness.tester.busy
    problems = harness.log.getvalue().splitlines()
    assert problems
    assert all("no more threads" in line for line in problems)
    eventually(harness.tester.take_finished, "the test ends")
    assert harness.sent == 1
