"""Digests that are comments on the open issue of their group, by the dispatcher and a Jira that is strict."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kubectl_sew.consumers.base import FailureReason, Request, Response
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.http.errors import SendError
from sew_agent.delivery.queue import Assignment
from sew_agent.store.records import EnqueueBatch, NewDelivery
from testbed.jira import Jira
from testbed.receivers import Incoming
from tests.unit.agent.delivery.harness import NOW, PATIENCE, DispatcherHarness, until

LOST = SendError(FailureReason.NETWORK, "the connection broke")
CONFIG = {
    "url": "http://a/rest/api/2/issue",
    "project": "SEC",
    "issueType": "Bug",
    "username": "u",
    "apiToken": "t",
    "labels": "calico",
    "digest": "1m",
    "groupBy": "host",
    "groupInto": "open",
}


class Tracker(Jira):
    """Jira; `after` is asked after each request, and its answer goes back in place of Jira's, if it has one."""

    def __init__(self) -> None:
        super().__init__(project="SEC", issue_type="Bug", username="u", token="t")
        self.asked: list[str] = []
        self.after: Callable[[str], Response | SendError | None] = lambda _: None
        self.before: Callable[[str], Response | None] = lambda _: None

    def __call__(self, request: Request) -> Response:
        split = urlsplit(request.url)
        headers = {name.lower(): value for name, value in request.headers}
        called = f"{request.method} {split.path.removeprefix('/rest/api/2/')}"
        self.asked.append(called)
        if refused := self.before(called):
            return refused
        answer = self.receive(Incoming(request.method, f"{split.path}?{split.query}", headers, request.body))
        instead = self.after(called)
        if isinstance(instead, SendError):
            raise instead
        return instead or Response(answer.status, answer.headers, answer.body)

    @property
    def said(self) -> dict[str, int]:
        """Return how many comments each issue has."""
        return {key: len(issue.comments) for key, issue in self.issues.items()}


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    with Tracker() as made:
        yield made


@pytest.fixture
def harness(tmp_path: Path, tracker: Tracker) -> Iterator[DispatcherHarness]:
    made = DispatcherHarness(tmp_path, in_flight=8)
    made.receivers.answers["a"] = tracker
    serve(made)
    yield made
    made.dispatcher.stop(PATIENCE)
    made.store.close()


def serve(harness: DispatcherHarness, **config: str) -> None:
    config = {**CONFIG, **config}
    assert CONSUMERS["Jira"].validate(config) == []
    harness.dispatcher.serve({"a": Route("a", CONSUMERS["Jira"], config, {}, json.dumps(config), "there")})


def enqueue(harness: DispatcherHarness, names: Sequence[str], host: str = "h", again: str = "") -> None:
    events = [Event("", name, {"type": "waf", "severity": 50, "time": NOW, "host": host}) for name in names]
    deliveries = [NewDelivery(event, ("a",), again=again) for event in events]
    harness.store.enqueue(EnqueueBatch(deliveries, {}, harness.clock()))
    harness.dispatcher.notify({"a"})


def wait(harness: DispatcherHarness, seconds: int = 70) -> None:
    for _ in range(seconds):
        harness.pass_time(1.0)


def books(harness: DispatcherHarness) -> tuple[int, int, int, int]:
    (row,) = harness.store.counters()
    assert row.seen == row.delivered + row.pending + row.dead + sum(row.dropped.values())
    return row.seen, row.delivered, row.pending, row.dead


def test_what_follows_is_a_comment_until_the_issue_is_done(harness: DispatcherHarness, tracker: Tracker) -> None:
    enqueue(harness, ["first"])
    wait(harness, 2)
    enqueue(harness, ["e1", "e2", "e3"])
    wait(harness)
    assert tracker.said == {"SEC-1": 1}
    issue = tracker.issues["SEC-1"]
    assert issue.fields["labels"][0] == "calico"
    assert issue.fields["labels"][1].startswith("sew-")
    assert "*Events:* 3" in issue.comments[0]
    wait(harness)
    enqueue(harness, ["alone"])
    wait(harness, 2)
    assert tracker.said == {"SEC-1": 2}
    assert "alone" in issue.comments[1]
    issue.done = True
    wait(harness)
    enqueue(harness, ["e4", "e5"])
    wait(harness, 2)
    assert tracker.said == {"SEC-1": 2, "SEC-2": 0}
    log = harness.store.attempts("a")
    assert [entry.receipt for entry in log] == [*["SEC-1"] * 5, *["SEC-2"] * 2]
    assert not any("without looking" in entry.detail for entry in log)
    assert books(harness) == (7, 7, 0, 0)


def test_each_group_and_each_webhook_has_an_issue_of_its_own(harness: DispatcherHarness, tracker: Tracker) -> None:
    for _ in range(2):
        for host in ("a", "b", ""):
            enqueue(harness, [f"{host}{len(tracker.asked)}"], host)
        wait(harness)
    assert tracker.said == {"SEC-1": 1, "SEC-2": 1, "SEC-3": 1}
    labels = {issue.fields["labels"][1] for issue in tracker.issues.values()}
    routes = {name: Route(name, CONSUMERS["Jira"], CONFIG, {}, name, name) for name in ("a", "other")}
    harness.dispatcher.serve(routes)
    event = Event("", "x", {"type": "waf", "host": "a"})
    harness.store.enqueue(EnqueueBatch([NewDelivery(event, ("other",))], {}, harness.clock()))
    harness.dispatcher.notify({"other"})
    wait(harness, 2)
    assert tracker.issues["SEC-4"].fields["labels"][1] not in labels


@pytest.mark.parametrize("lost", [LOST, Response(500, {}, b""), Response(201, {}, b"<html>")])
def test_a_comment_whose_answer_was_lost_is_found_and_not_doubled(
    harness: DispatcherHarness, tracker: Tracker, lost: Response | SendError
) -> None:
    enqueue(harness, ["first"])
    wait(harness)
    tracker.after = lambda called: lost if called.endswith("/comment") else None
    enqueue(harness, ["e1", "e2"])
    wait(harness, 2)
    wait(harness, 30)
    assert tracker.said == {"SEC-1": 1}
    assert books(harness) == (3, 3, 0, 0)


def test_a_comment_in_flight_at_a_kill_is_found_or_made_up_for(harness: DispatcherHarness, tracker: Tracker) -> None:
    enqueue(harness, ["first"])
    wait(harness)
    for arrives in (True, False):
        if not arrives:
            tracker.before = lambda called: Response(503, {}, b"") if called.endswith("/comment") else None
        enqueue(harness, [f"e1-{arrives}", f"e2-{arrives}"])
        while not isinstance(assignment := harness.dispatcher.next_assignment(), Assignment):
            harness.clock.now += 0.01
        harness.dispatcher.begin(assignment)
        harness.receivers.run(0.0)
        assert tracker.asked[-1].endswith("/comment")  # and it is killed before the result is written
        tracker.before = lambda _: None
        harness.restart()
        serve(harness)
        wait(harness)
    assert tracker.said == {"SEC-1": 2}
    assert books(harness) == (5, 5, 0, 0)


def test_an_issue_that_takes_no_comment_any_more_is_followed_by_another_one(
    harness: DispatcherHarness, tracker: Tracker
) -> None:
    tracker.most_comments = 1
    enqueue(harness, ["first"])
    wait(harness)
    for name in ("e1", "e2", "e3"):
        enqueue(harness, [name])
        wait(harness)
    assert tracker.said == {"SEC-1": 1, "SEC-2": 1}

    def delete(called: str) -> None:
        if called.startswith("GET"):
            tracker.issues.clear()

    tracker.after = delete
    enqueue(harness, ["e4", "e5"])
    wait(harness, 2)
    assert tracker.said == {"SEC-3": 0}
    assert books(harness) == (6, 6, 0, 0)


def test_comments_that_are_not_allowed_park_the_webhook_with_jiras_words_and_lose_nothing(
    harness: DispatcherHarness, tracker: Tracker
) -> None:
    said = b'{"errorMessages":["You do not have the permission to comment on this issue."],"errors":{}}'
    enqueue(harness, ["first"])
    wait(harness)
    tracker.before = lambda called: Response(400, {}, said) if called.endswith("/comment") else None
    enqueue(harness, [f"e{number}" for number in range(40)])
    wait(harness, 60)
    receiver = harness.dispatcher.receivers()["a"]
    assert receiver.parked
    assert "You do not have the permission to comment on this issue." in receiver.detail
    assert books(harness) == (41, 1, 40, 0)


def test_a_search_that_fails_creates_nothing_and_one_that_is_not_there_says_so(
    harness: DispatcherHarness, tracker: Tracker
) -> None:
    tracker.before = lambda called: Response(502, {}, b"") if called.startswith("GET") else None
    enqueue(harness, ["first"])
    wait(harness, 20)
    assert tracker.said == {}
    assert "looking for" in harness.store.attempts("a")[0].detail
    tracker.before = lambda called: Response(404, {}, b"") if called.startswith("GET") else None
    enqueue(harness, ["e1", "e2"])
    wait(harness, 140)
    assert list(tracker.said.values()) == [0, 0]
    assert "without looking for the open one of its group" in harness.store.attempts("a")[-1].detail
    assert books(harness) == (3, 3, 0, 0)


def test_where_the_index_lags_a_second_issue_begins_and_the_newest_one_goes_on(
    harness: DispatcherHarness, tracker: Tracker
) -> None:
    tracker.lags = True
    for name in ("first", "second"):
        enqueue(harness, [name])
        wait(harness)
    assert tracker.said == {"SEC-1": 0, "SEC-2": 0}
    tracker.lags = False
    enqueue(harness, ["third"])
    wait(harness)
    assert tracker.said == {"SEC-1": 0, "SEC-2": 1}


def test_an_agent_that_may_not_send_any_more_after_its_search_sends_nothing(
    harness: DispatcherHarness, tracker: Tracker
) -> None:
    may_send = threading.Event()
    may_send.set()

    def lose(called: str) -> None:
        if called.startswith("GET"):
            may_send.clear()

    tracker.after = lose
    harness.start(may_send.is_set)
    enqueue(harness, ["first"])
    until(lambda: tracker.asked and not harness.dispatcher.busy)
    assert tracker.asked == ["GET search/jql"]
    tracker.after = lambda _: None
    may_send.set()
    until(lambda: books(harness)[1] == 1)
    assert tracker.said == {"SEC-1": 0}


def test_what_a_person_sends_again_is_an_issue_of_its_own(harness: DispatcherHarness, tracker: Tracker) -> None:
    enqueue(harness, ["first"])
    wait(harness)
    enqueue(harness, ["first"], again="r1")
    wait(harness, 3)
    assert tracker.said == {"SEC-1": 0, "SEC-2": 0}
    assert tracker.issues["SEC-2"].fields["labels"] == ["calico"]
