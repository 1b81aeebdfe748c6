"""Digests by the dispatcher, over a real store: what goes together, and what becomes of it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kubectl_sew.consumers.base import FailureReason, Request, Response
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event, delivery_id
from sew_agent.delivery import gathered
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.gathering import MOST, STUCK
from sew_agent.delivery.http.errors import SendError
from sew_agent.delivery.queue import Assignment
from sew_agent.store.records import Delivery, DropReason, EnqueueBatch, NewDelivery, StoreError
from sew_agent.store.sqlite import store as sqlite_store
from tests.unit.agent.delivery.harness import NOW, PATIENCE, TOKEN, DispatcherHarness, route, status

WITHIN = 60.0


class Sent:
    """Answers, and what was sent: the ids of each message's events, under its own id."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, list[str]]] = []
        self.answers: list[Response | SendError] = []
        self.refuses: str | None = None
        """Id of an event that is refused wherever it is, by `refusal`."""
        self.refusal = 400

    def __call__(self, request: Request) -> Response:
        body = json.loads(request.body)
        ids = body["digest"]["ids"] if "digest" in body else [body["id"]]
        self.messages.append((dict(request.headers)["webhook-id"], ids))
        answer = self.answers.pop(0) if self.answers else Response(204, {}, b"")
        if self.refuses in ids:
            answer = Response(self.refusal, {}, b"")
        if isinstance(answer, SendError):
            raise answer
        return answer

    @property
    def sizes(self) -> list[int]:
        return [len(ids) for _, ids in self.messages]


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def harness(tmp_path: Path, sent: Sent) -> Iterator[DispatcherHarness]:
    made = DispatcherHarness(tmp_path, in_flight=8)
    made.receivers.answers["a"] = sent
    serve(made)
    yield made
    made.dispatcher.stop(PATIENCE)
    made.store.close()


def serve(harness: DispatcherHarness, digest: str = "1m", **config: str) -> None:
    config = {"url": "http://a/", **({"digest": digest} if digest else {}), **config}
    key = json.dumps(config)
    harness.dispatcher.serve({"a": Route("a", CONSUMERS["Generic"], config, {}, key, "there")})


def enqueue(harness: DispatcherHarness, names: Sequence[str], **fields: object) -> None:
    events = [Event("", name, {"type": "waf", "severity": 50, "time": NOW, **fields}) for name in names]
    harness.store.enqueue(EnqueueBatch([NewDelivery(event, ("a",)) for event in events], {}, harness.clock()))
    harness.dispatcher.notify({"a"})


def some(count: int, prefix: str = "e") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def wait(harness: DispatcherHarness, seconds: float) -> None:
    """Let time pass, in steps in which all that is due is delivered."""
    for _ in range(max(int(seconds), 1)):
        harness.pass_time(min(seconds, 1.0))


def settle(harness: DispatcherHarness) -> None:
    for _ in range(20):
        harness.pass_time(0.01)


def books(harness: DispatcherHarness) -> tuple[int, int, int, int]:
    (row,) = harness.store.counters()
    assert row.seen == row.delivered + row.pending + row.dead + sum(row.dropped.values())
    return row.seen, row.delivered, row.pending, row.dead


def test_a_group_waits_for_what_it_has_in_flight_also_where_its_webhook_was_not_served_for_a_moment(
    harness: DispatcherHarness, sent: Sent
) -> None:
    enqueue(harness, ["first"])
    settle(harness)
    sent.messages.clear()
    harness.clock.now += 70
    enqueue(harness, some(3))
    answer = harness.begin()
    harness.dispatcher.serve({}, moving={"a"})
    serve(harness)
    enqueue(harness, some(2, "later"))
    harness.clock.now += 70
    settle(harness)
    assert sent.messages == [], "the answer to the first is still to come"
    answer()
    settle(harness)
    wait(harness, 60)
    assert [ids for _, ids in sent.messages] == [some(3), some(2, "later")]
    assert books(harness) == (6, 6, 0, 0)


def test_the_first_event_of_a_quiet_group_goes_at_once_and_the_rest_together(
    harness: DispatcherHarness, sent: Sent
) -> None:
    enqueue(harness, ["first"])
    settle(harness)
    assert sent.messages == [(delivery_id("a", Event("", "first", {})), ["first"])]
    for name in some(5):
        enqueue(harness, [name])
        wait(harness, 5)
    assert sent.sizes == [1]
    wait(harness, 40)
    assert sent.messages[1][1] == some(5)
    assert books(harness) == (6, 6, 0, 0)
    enqueue(harness, ["soon"])
    wait(harness, 50)
    assert sent.sizes == [1, 5]
    wait(harness, 15)
    wait(harness, 70)
    enqueue(harness, ["later"])
    settle(harness)
    assert [ids for _, ids in sent.messages[2:]] == [["soon"], ["later"]]


def test_what_waits_when_a_group_is_quiet_goes_at_once_and_together(harness: DispatcherHarness, sent: Sent) -> None:
    enqueue(harness, some(30))
    settle(harness)
    assert sent.sizes == [30]


def test_groups_have_messages_of_their_own(harness: DispatcherHarness, sent: Sent) -> None:
    serve(harness, groupBy="source_namespace, host")
    for round_ in range(3):
        for namespace in ("prod", "test"):
            for host in ("h1", "h2"):
                enqueue(harness, [f"{namespace}-{host}-{round_}"], source_namespace=namespace, host=host)
    enqueue(harness, ["nowhere"])
    settle(harness)
    wait(harness, 70)
    together = {name.rpartition("-")[0] for _, ids in sent.messages for name in ids}
    assert len(together) == 5
    assert all(len({name.rpartition("-")[0] for name in ids}) == 1 for _, ids in sent.messages)
    assert sorted(name for _, ids in sent.messages for name in ids) == sorted(
        ["nowhere", *(f"{n}-{h}-{r}" for n in ("prod", "test") for h in ("h1", "h2") for r in range(3))]
    )


def test_a_full_digest_does_not_wait_and_no_digest_holds_more(harness: DispatcherHarness, sent: Sent) -> None:
    enqueue(harness, ["first"])
    settle(harness)
    enqueue(harness, some(2 * MOST + 10))
    settle(harness)
    settle(harness)
    wait(harness, 10)
    assert sent.sizes == [1, MOST, MOST]
    wait(harness, WITHIN)
    assert sent.sizes == [1, MOST, MOST, 10]
    assert books(harness)[:2] == (2 * MOST + 11, 2 * MOST + 11)


def test_a_digest_that_may_have_arrived_is_sent_again_as_it_was(harness: DispatcherHarness, sent: Sent) -> None:
    sent.answers = [Response(500, {}, b"")] * 3
    enqueue(harness, some(3))
    settle(harness)
    enqueue(harness, some(2, "late"))
    wait(harness, 60)
    assert len(sent.messages) == 4
    assert len({identity for identity, _ in sent.messages}) == 1
    assert {tuple(ids) for _, ids in sent.messages} == {tuple(some(3))}
    wait(harness, WITHIN)
    assert sent.messages[4][1] == some(2, "late")
    assert books(harness) == (5, 5, 0, 0)


def test_a_digest_that_may_have_arrived_is_not_dissolved_where_its_credential_is_refused_later(
    harness: DispatcherHarness, sent: Sent
) -> None:
    serve(harness, groupBy="host")
    sent.refuses, sent.refusal = "e0", 500
    enqueue(harness, some(3), host="h1")
    settle(harness)
    sent.refusal = 401
    for number in range(STUCK):
        enqueue(harness, [f"other{number}"], host=f"other{number}")
        wait(harness, 2)
        if len([ids for _, ids in sent.messages if "e0" in ids]) == STUCK - 1:
            break
    sent.refuses = None
    wait(harness, 60)
    assert len({identity for identity, ids in sent.messages if "e0" in ids}) == 1
    assert books(harness)[2:] == (0, 0)


@pytest.mark.parametrize("set_by", [-1800.0, -7200.0, 7200.0])
def test_a_clock_that_is_set_makes_no_pause_of_a_digest_longer(
    harness: DispatcherHarness, sent: Sent, set_by: float
) -> None:
    enqueue(harness, ["first"])
    settle(harness)
    sent.answers = [Response(500, {}, b"")] * 2
    enqueue(harness, some(3))
    wait(harness, 65)
    assert sent.sizes[:2] == [1, 3]
    harness.clock.set(set_by)
    wait(harness, 60)
    assert books(harness) == (4, 4, 0, 0)


def test_a_digest_that_was_surely_not_taken_takes_in_what_came_meanwhile(
    harness: DispatcherHarness, sent: Sent
) -> None:
    sent.answers = [Response(429, {"retry-after": "10"}, b"")]
    enqueue(harness, some(3))
    settle(harness)
    enqueue(harness, some(2, "late"))
    wait(harness, 9)
    assert sent.sizes == [3]
    wait(harness, 5)
    assert [sorted(ids) for _, ids in sent.messages] == [some(3), [*some(3), *some(2, "late")]]
    assert sent.messages[0][0] != sent.messages[1][0]
    assert books(harness) == (5, 5, 0, 0)


def test_what_was_in_flight_at_a_kill_is_sent_again_as_it_was(harness: DispatcherHarness, sent: Sent) -> None:
    enqueue(harness, some(250))
    assignment = next_assignment(harness)
    harness.dispatcher.begin(assignment)  # and it is killed before the result is written
    harness.restart()
    serve(harness)
    enqueue(harness, some(5, "late"))
    settle(harness)
    assert sent.messages[0] == sent.messages[1]
    wait(harness, 70)
    assert sorted(name for _, ids in sent.messages[1:] for name in ids) == sorted([*some(250), *some(5, "late")])
    assert books(harness) == (255, 255, 0, 0)


def test_a_single_event_that_was_in_flight_at_a_kill_is_sent_again_alone(
    harness: DispatcherHarness, sent: Sent
) -> None:
    enqueue(harness, ["first"])
    harness.dispatcher.begin(next_assignment(harness))
    harness.restart()
    serve(harness)
    enqueue(harness, some(5, "late"))
    settle(harness)
    assert sent.messages[:2] == [(delivery_id("a", Event("", "first", {})), ["first"])] * 2
    wait(harness, 70)
    assert sent.messages[2][1] == some(5, "late")
    assert books(harness) == (6, 6, 0, 0)


def next_assignment(harness: DispatcherHarness) -> Assignment:
    while not isinstance(assignment := harness.dispatcher.next_assignment(), Assignment):
        harness.clock.now += 0.01
    return assignment


def test_one_bad_event_is_found_by_halves_and_dies_alone(harness: DispatcherHarness, sent: Sent) -> None:
    sent.refuses = "e13"
    enqueue(harness, some(64))
    for _ in range(60):
        wait(harness, 5)
    (letter,) = harness.store.dead_letters()
    assert letter.event.id == "e13"
    assert books(harness) == (64, 63, 0, 1)
    accepted = [name for _, ids in sent.messages if "e13" not in ids for name in ids]
    assert sorted(accepted) == sorted(set(some(64)) - {"e13"})
    assert len(sent.messages) < 25
    sent.refuses = None
    harness.store.replay(None)
    harness.dispatcher.notify({"a"})
    wait(harness, 70)
    assert books(harness) == (64, 64, 0, 0)


def test_halves_follow_each_answer_however_long_that_took(harness: DispatcherHarness, sent: Sent) -> None:
    enqueue(harness, ["proof"])
    settle(harness)
    sent.refuses = "e0"
    enqueue(harness, some(8))
    harness.clock.now += WITHIN
    answered = harness.clock()
    for size in (8, 4, 2, 1):
        message = next_assignment(harness)
        assert (len(message.deliveries), harness.clock() - answered < 0.1) == (size, True)
        for _ in range(5):
            harness.clock.now += 0.05
            assert isinstance(harness.dispatcher.next_assignment(), float)
        harness.deliver(message)
        answered = harness.clock()


def test_once_a_refused_digest_is_through_its_group_waits_for_its_time_again(
    harness: DispatcherHarness, sent: Sent
) -> None:
    sent.refuses = "e1"
    enqueue(harness, some(4))
    wait(harness, 10)
    wait(harness, WITHIN)
    assert books(harness) == (4, 3, 0, 1)
    before, began = len(sent.messages), harness.clock()
    for number in range(120):
        enqueue(harness, [f"new{number}"])
        wait(harness, 1)
    assert len(sent.messages) - before <= (harness.clock() - began) // WITHIN + 1


def test_a_receiver_that_refuses_all_of_it_is_parked_and_nothing_dies(harness: DispatcherHarness, sent: Sent) -> None:
    harness.receivers.answers["a"] = status(400)
    enqueue(harness, some(64))
    for _ in range(20):
        wait(harness, 2)
    assert harness.dispatcher.receivers()["a"].parked
    assert books(harness) == (64, 0, 64, 0)
    harness.receivers.answers["a"] = sent
    serve(harness, digestMax="6")
    for _ in range(40):
        wait(harness, 5)
    assert books(harness) == (64, 64, 0, 0)


def test_a_digest_that_fails_for_long_holds_up_nothing_else_for_ever(harness: DispatcherHarness, sent: Sent) -> None:
    sent.answers = [SendError(FailureReason.TIMEOUT, "silent")] * STUCK
    enqueue(harness, some(3))
    settle(harness)
    enqueue(harness, some(2, "late"))
    for _ in range(200):
        wait(harness, 2)
    assert books(harness) == (5, 5, 0, 0)


def test_one_event_that_makes_the_receiver_fail_holds_up_no_other(harness: DispatcherHarness, sent: Sent) -> None:
    sent.refuses, sent.refusal = "e7", 500
    enqueue(harness, some(32))
    for _ in range(400):
        harness.pass_time(60)
    assert books(harness) == (32, 31, 1, 0)
    accepted = [name for _, ids in sent.messages if "e7" not in ids for name in ids]
    assert sorted(accepted) == sorted(set(some(32)) - {"e7"})
    enqueue(harness, some(2, "later"))
    for _ in range(60):
        harness.pass_time(60)
    assert books(harness) == (34, 33, 1, 0)


def test_what_cannot_be_written_down_is_not_sent_and_not_lost(
    harness: DispatcherHarness, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise StoreError("the disk is away")

    with monkeypatch.context() as patch:
        patch.setattr(harness.store, "begin_attempts", fails)
        enqueue(harness, some(4))
        with pytest.raises(StoreError):
            settle(harness)
        assert (sent.messages, harness.dispatcher.busy) == ([], 0)
    settle(harness)
    wait(harness, 3)
    assert sent.sizes == [4]


def test_a_mistake_of_ours_costs_no_event(
    harness: DispatcherHarness, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object) -> None:
        raise KeyError("x")

    serve(harness, groupBy="host")
    for name in ("digests.make_digest", "gathering.group_key"):
        monkeypatch.setattr(f"sew_agent.delivery.{name}", mistaken)
    enqueue(harness, some(4))
    wait(harness, 2 * WITHIN)
    assert sent.sizes == [1, 1, 1, 1]
    assert "report it: KeyError" in harness.store.attempts("a")[0].detail
    assert books(harness) == (4, 4, 0, 0)


@pytest.mark.parametrize(("names", "seconds", "page"), [("a", 0.7, 4 << 20), ("abcd", 2.0, 4 << 20), ("a", 0.7, 4000)])
def test_however_many_webhooks_read_ahead_others_have_most_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: str, seconds: float, page: int
) -> None:
    """A page ends by its number of events, or by its bytes."""
    for module in (gathered, sqlite_store):
        monkeypatch.setattr(module, "PAGE_BYTES", page)
    harness = DispatcherHarness(tmp_path)
    pages, waiting = 0, harness.store.waiting

    def slow(*webhook: str, **which: Any) -> Sequence[Delivery]:
        nonlocal pages
        pages += 1
        harness.clock.now += 0.01
        return waiting(*webhook, **which)

    harness.store.waiting = slow  # type: ignore[method-assign] # a page takes the processor 0.01 s
    harness.restart(worked=harness.clock)
    config = {"url": "http://x/", "digest": "1m"}
    harness.dispatcher.serve({name: Route(name, CONSUMERS["Generic"], config, {}, name, name) for name in names})
    for name in names:
        harness.enqueue(name, 1500)
    began = harness.clock.now
    while harness.clock.now < began + seconds:
        harness.clock.now += max(harness.dispatcher.step(), 0.0001)
    harness.store.close()
    assert 0.18 < 0.01 * pages / seconds < 0.3


def test_where_too_much_waits_to_be_known_the_oldest_groups_go_sooner(
    harness: DispatcherHarness, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sew_agent.delivery.gathering.AHEAD", 1000)
    serve(harness, "24h", groupBy="host")
    for group in range(12):
        enqueue(harness, [f"{group}-first"], host=group)
    wait(harness, 30)
    for group in range(12):
        enqueue(harness, some(90, f"{group}-"), host=group)
    enqueue(harness, ["quiet"], host="another")
    wait(harness, 30)
    assert sent.sizes == [*[1] * 12, 90, 1]
    assert sent.messages[-1][1] == ["quiet"]


def test_nothing_waits_for_more_where_no_more_comes(harness: DispatcherHarness, sent: Sent) -> None:
    enqueue(harness, ["first"])
    settle(harness)
    enqueue(harness, some(3))
    settle(harness)
    assert sent.sizes == [1]
    harness.dispatcher.gather_no_longer()
    settle(harness)
    assert sent.sizes == [1, 3]


def test_several_webhooks_and_groups_are_in_flight_side_by_side(harness: DispatcherHarness) -> None:
    serve(harness, groupBy="host")
    enqueue(harness, ["proof"], host="first")
    settle(harness)
    for host in range(3):
        enqueue(harness, some(2, f"h{host}-"), host=f"h{host}")
    started = [next_assignment(harness) for _ in range(3)]
    assert len({one.delivery.delivery_id for one in started}) == 3
    assert [len(one.deliveries) for one in started] == [2, 2, 2]
    for one in started:
        harness.deliver(one)
    assert books(harness) == (7, 7, 0, 0)


def test_the_log_has_a_line_for_each_event_with_its_digest(harness: DispatcherHarness, sent: Sent) -> None:
    sent.answers = [Response(503, {}, b"")]
    enqueue(harness, some(3))
    wait(harness, 30)
    log = harness.store.attempts("a")
    assert [(entry.event, entry.attempt, entry.outcome) for entry in log] == [
        *((name, 1, "pending") for name in some(3)),
        *((name, 2, "delivered") for name in some(3)),
    ]
    assert {entry.digest for entry in log} == {sent.messages[0][0]}
    assert {entry.delivery_id for entry in log} == {delivery_id("a", Event("", name, {})) for name in some(3)}
    assert (log[0].type, log[0].severity, log[0].time) == ("waf", 50, NOW)


def test_what_a_person_drops_meanwhile_is_not_sent_and_the_books_balance(
    harness: DispatcherHarness, sent: Sent
) -> None:
    enqueue(harness, ["first"])
    settle(harness)
    enqueue(harness, some(5))
    settle(harness)
    harness.store.drop("a", DropReason.BACKLOG_DROPPED, most=5)
    wait(harness, 70)
    assert sent.sizes == [1]
    enqueue(harness, ["next"])
    wait(harness, 2)
    assert sent.messages[-1][1] == ["next"]
    assert books(harness) == (7, 2, 0, 0)


def test_a_group_waits_as_long_where_its_webhook_is_served_anew_with_the_same_settings(
    harness: DispatcherHarness, sent: Sent
) -> None:
    enqueue(harness, ["first"])
    settle(harness)
    serve(harness)
    enqueue(harness, some(3))
    settle(harness)
    assert sent.sizes == [1]
    wait(harness, WITHIN)
    assert sent.sizes == [1, 3]


def test_what_was_let_go_when_digests_had_changed_meanwhile_is_sent_at_once(
    harness: DispatcherHarness, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise StoreError("the disk is away")

    serve(harness, groupBy="host")
    enqueue(harness, ["proof"], host="another")
    settle(harness)
    enqueue(harness, some(3), host="h")
    assignment = next_assignment(harness)
    serve(harness, "2m", groupBy="host")
    settle(harness)
    with monkeypatch.context() as patch:
        patch.setattr(harness.store, "begin_attempts", fails)
        with pytest.raises(StoreError):
            harness.dispatcher.begin(assignment)
    settle(harness)
    assert sent.sizes == [1, 3]


def test_a_webhook_with_digests_and_one_without_have_their_turns_one_after_the_other(
    harness: DispatcherHarness,
) -> None:
    config = {"url": "http://a/", "digest": "1m", "groupBy": "host"}
    gathering = Route("a", CONSUMERS["Generic"], config, {}, "s", "e")
    harness.dispatcher.serve({"a": gathering, "b": route("b", "", "Generic")})
    for number in range(6):
        enqueue(harness, [f"e{number}"], host=number)
    harness.enqueue("b", 6)
    settle(harness)
    assert [host for host, _ in harness.receivers.received] == ["a", "b"] * 6


def test_a_receiver_of_single_events_gets_each_whatever_its_webhook_says_of_digests(
    harness: DispatcherHarness,
) -> None:
    config = {"url": "http://b/api/v2/alerts", "digest": "1m"}
    harness.receivers.answers["b"] = status(200)
    harness.dispatcher.serve({"b": Route("b", CONSUMERS["AlertManager"], config, {}, "s", "e")})
    harness.enqueue("b", 3)
    settle(harness)
    assert harness.receivers.count() == {"b": 3}


def test_what_is_replayed_again_is_not_gathered(harness: DispatcherHarness, sent: Sent) -> None:
    enqueue(harness, some(4))
    settle(harness)
    again = [NewDelivery(Event("", name, {"type": "waf"}), ("a",), again="r1") for name in some(4)]
    harness.store.enqueue(EnqueueBatch(again, {}, harness.clock()))
    harness.dispatcher.notify({"a"})
    settle(harness)
    assert sent.sizes == [4, 1, 1, 1, 1]


def test_a_webhook_goes_on_with_what_waits_when_digests_are_set_changed_or_removed(
    harness: DispatcherHarness, sent: Sent
) -> None:
    serve(harness, "")
    enqueue(harness, some(2))
    harness.run()
    assert sent.sizes == [1, 1]
    serve(harness, "2h")
    enqueue(harness, ["b"])
    settle(harness)
    enqueue(harness, some(3, "c"))
    wait(harness, 5)
    assert sent.sizes == [1, 1, 1]
    serve(harness, "5s")
    wait(harness, 2)
    assert sent.sizes == [1, 1, 1, 3]
    enqueue(harness, some(3, "d"))
    settle(harness)
    serve(harness, "")
    harness.run()
    assert sent.sizes == [1, 1, 1, 3, 1, 1, 1]
    assert books(harness) == (9, 9, 0, 0)


@pytest.mark.parametrize("consumer", ["Jira", "Slack"])
def test_a_digest_is_marked_before_it_is_sent_and_looked_up_by_its_own_id(tmp_path: Path, consumer: str) -> None:
    harness = DispatcherHarness(tmp_path, in_flight=8)
    config = {"url": "http://a/rest/api/2/issue", "project": "P", "issueType": "Bug", "apiToken": TOKEN, "digest": "1m"}
    requests: list[Request] = []

    def answer(request: Request) -> Response:
        requests.append(request)
        marks = {(one.in_doubt, one.digest != "") for one in harness.store.waiting("a", limit=9)}
        assert marks == {(True, True)}
        return Response(500, {}, b"")

    harness.receivers.answers["a"] = answer
    harness.dispatcher.serve({"a": Route("a", CONSUMERS[consumer], config, {}, "s", "e")})
    enqueue(harness, some(3))
    wait(harness, 5)
    held = harness.store.waiting("a", limit=9)
    assert len(requests) >= 2
    if consumer == "Jira":
        assert held[0].digest in requests[1].url
    assert held[0].digest.encode() in requests[0].body
    harness.dispatcher.stop(PATIENCE)
    harness.store.close()


def test_a_digest_that_a_search_does_not_find_is_sent_again_as_it_was(harness: DispatcherHarness) -> None:
    config = {"url": "http://a/rest/api/2/issue", "project": "P", "issueType": "Bug", "apiToken": TOKEN, "digest": "1m"}
    answers = iter([Response(500, {}, b""), Response(200, {}, b'{"issues": []}'), Response(201, {}, b'{"key": "P-1"}')])
    requests: list[Request] = []

    def answer(request: Request) -> Response:
        requests.append(request)
        return next(answers)

    harness.receivers.answers["a"] = answer
    harness.dispatcher.serve({"a": Route("a", CONSUMERS["Jira"], config, {}, "s", "e")})
    enqueue(harness, some(3))
    wait(harness, 5)
    assert [request.method for request in requests] == ["POST", "GET", "POST"]
    assert requests[2].body == requests[0].body
    assert books(harness) == (3, 3, 0, 0)


def test_digests_begin_while_a_result_is_not_written_yet(
    harness: DispatcherHarness, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began without digests, and its failure is written as the webhook is served anew."""

    def refuse(*_: Any) -> None:
        raise StoreError("the disk is away")

    serve(harness, digest="")
    enqueue(harness, ["e0"])
    harness.run()
    enqueue(harness, ["e1"])
    answer = harness.begin()
    sent.answers = [Response(503, {}, b"")]
    serve(harness)
    with monkeypatch.context() as away:
        away.setattr(harness.store, "record_results", refuse)
        answer()
    serve(harness)
    assert isinstance(harness.dispatcher.next_assignment(), float), "it is in flight"
    harness.dispatcher.settle()
    harness.pass_time(WITHIN)
    assert sent.sizes == [1, 1, 1]
    assert not harness.store.pending_counts()
