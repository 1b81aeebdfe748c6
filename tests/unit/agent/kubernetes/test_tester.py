"""Tests of a webhook in a cluster: how often the sample is sent, and what an annotation says of another agent's."""

from collections.abc import Mapping
from contextlib import nullcontext
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest

from kubectl_sew.consumers.base import Outcome, Verdict
from kubectl_sew.query import ANY
from kubectl_sew.resource import TEST_REQUESTED_ANNOTATION, TEST_RESULT_ANNOTATION
from kubectl_sew.resource.serving import Served
from kubectl_sew.validation import Accepted, accept
from sew_agent.base.health import Heartbeat
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
        (f"{AT} not known: the agent ended twice while the sample was being sent", JournalStep.SEND),
    ],
)
def test_a_sample_is_sent_once_more_at_most(journal: str, step: JournalStep) -> None:
    assert next_step(journal) is step


class Server:
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
        return str(self.webhook["metadata"]["annotations"].get(TEST_RESULT_ANNOTATION, ""))


class Scene:
    """Tests one after another, at times that the test chooses."""

    def __init__(self) -> None:
        self.server = Server()
        self.now = 1_767_225_600.0
        self.sent = 0
        place = SimpleNamespace(path=lambda: "/", served=Served("projectcalico.org/v3", status=True))
        self.said: list[str] = []
        problems = SimpleNamespace(over=lambda _: None, say=lambda _, text: self.said.append(text))
        self.known: dict[str, WebhookRecord] = {}
        self._parts: tuple[Any, Any, Any] = self.server, place, problems
        self.restart()

    def restart(self) -> None:
        """Another process over the same store."""
        alive = lambda _: nullcontext(Heartbeat(1, float))  # noqa: E731 - of no test
        self.tester = KubernetesDeliveryTester(
            *self._parts, self._attempt, lambda: self.now, alive, before=self.known.values()
        )

    def _attempt(self, _accepted: Accepted, _event: object) -> Outcome:
        self.sent += 1
        return Outcome(Verdict.DELIVERED, status=204, detail="204 No Content")

    def test(self, requested: str = "", query: str = "type = waf") -> Accepted:
        """Somebody sets state Test, and it ends."""
        accepted = self.ask(requested, query)
        eventually(self.remember, "the test ends")
        eventually(lambda: self.server.webhook["spec"]["state"] == "Enabled", "the state is set back")
        return accepted

    def remember(self) -> bool:
        """Keep in the store what has ended; whether anything has."""
        ended = self.tester.finished()
        self.known |= {
            name: WebhookRecord(name, "Test", None, tested=tested, test_result=said) for name, tested, said in ended
        }
        return bool(ended)

    def ask(self, requested: str = "", query: str = "type = waf") -> Accepted:
        """Somebody sets state Test."""
        self.server.patch("", {"metadata": {}, "spec": {"state": "Test", "query": query}})
        if requested:
            self.server.webhook["metadata"]["annotations"][TEST_REQUESTED_ANNOTATION] = requested
        accepted = accept(read_webhook(self.server.get("")).webhook, {}, {}, ANY)
        assert isinstance(accepted, Accepted)
        self.tester.fire(accepted, content_digest(accepted))
        return accepted


def test_whoever_keeps_setting_the_state_has_the_sample_sent_once_an_hour_and_is_told() -> None:
    scene = Scene()
    scene.test()
    for _ in range(3):
        scene.now += 180.0
        accepted = scene.test()
    assert scene.sent == 1
    assert scene.server.result == "2026-01-01T00:00:00Z delivered: 204 No Content" + NOT_AGAIN
    told = scene.tester.results({"w": accepted})["w"]
    assert (told.delivered, told.repeated) == (True, True)
    scene.now += 3600.0
    scene.test()
    assert scene.sent == 2


def test_what_was_tested_within_the_hour_is_known_after_a_restart() -> None:
    scene = Scene()
    accepted = scene.test(requested="first")
    for _ in range(2):
        scene.now += 180.0
        scene.restart()
        assert scene.tester.results({"w": accepted})["w"].delivered
        scene.test(requested="first")
    assert scene.sent == 1
    assert scene.server.result == "2026-01-01T00:00:00Z delivered: 204 No Content" + NOT_AGAIN
    assert scene.tester.results({"w": accepted})["w"].repeated
    scene.restart()
    scene.test(requested="second")
    assert scene.sent == 2


def test_another_content_and_each_request_of_a_person_have_a_sample_of_their_own() -> None:
    scene = Scene()
    scene.test()
    scene.test(query="type = runtime_security")
    scene.test(requested="first", query="type = runtime_security")
    scene.test(requested="second", query="type = runtime_security")
    assert scene.sent == 4
    scene.test(query="type = runtime_security")
    assert scene.sent == 4


def test_a_test_waits_where_the_system_gives_no_more_threads_and_this_is_said() -> None:
    scene = Scene()
    with pytest.MonkeyPatch.context() as patch:
        threads.refuse(patch, "trial")
        scene.ask()
        assert scene.tester.finished() == []
    assert scene.tester.busy
    assert all("no more threads" in each for each in scene.said)
    assert scene.said
    eventually(scene.tester.finished, "the test ends")
    assert scene.sent == 1
