"""Replays: which events of a window are sent, when, and that a live event never waits behind many of them."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from kubectl_sew.query import CALICO, FieldSet, parse
from kubectl_sew.text import rfc3339
from sew_agent.ingest.ndjson.file import NdjsonFile
from sew_agent.ingest.ndjson.stdin import NdjsonStream
from sew_agent.ingest.poller import Poller
from sew_agent.ingest.replay import (
    Phase,
    Replay,
    ReplayRequest,
    describe,
    last_row,
    progress_row,
    replays_in,
    request_row,
)
from sew_agent.ingest.replays import FAILING, IN_DEBUG, NOT_READ
from sew_agent.ingest.source import EventSource, Subscription
from sew_agent.store.records import Delivery, DeliveryResult, DeliveryState, EnqueueBatch, ReceiverState
from sew_agent.store.sqlite.store import SqliteStore, open_store
from tests.clocks import ManualClock
from tests.unit.agent.ingest.harness import RecordingObserver

NOW = 1_800_000_000.0
HOUR = 3600.0
WAF = parse("type = waf")


class ReplayHarness:
    """An agent's reading of a file, whose deliveries the test makes; it can be restarted over the same store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "events"
        self.path.touch()
        self.clock, self.observer = ManualClock(NOW), RecordingObserver()
        self.sent: list[str] = []
        self.max_bytes = 2**31
        self.fields: FieldSet = CALICO
        self.open()

    def open(self) -> None:
        self.store: SqliteStore = open_store(self.folder / "state", max_bytes=self.max_bytes)
        self.source: EventSource = NdjsonFile(self.path, self.fields)
        self.serve()

    def restart(self) -> None:
        self.close()
        self.open()

    def close(self) -> None:
        self.source.close()
        self.store.close()

    def serve(self, *, disabled: bool = False, debug: bool = False) -> None:
        self.poller = Poller(
            self.source,
            self.store,
            self.observer,
            page_size=100,
            pause=5.0,
            known_for=86_400.0,
            clock=self.clock,
        )
        self.change(disabled=disabled, debug=debug)

    def change(self, *, disabled: bool = False, debug: bool = False) -> None:
        names = () if disabled else ("hook",)
        self.poller.serve({name: Subscription(name, WAF) for name in names}, names if debug else ())

    def write(self, ids: Sequence[object], *, age: float = HOUR, kind: str = "waf", path: Path | None = None) -> None:
        """Append events that happened so long ago, a millisecond after each other."""
        with (path or self.path).open("a") as file:
            for number, name in enumerate(ids):
                document = {"id": str(name), "type": kind, "time": self.clock() - age + number / 1000}
                file.write(json.dumps(document) + "\n")

    def ask(self, *, since: float = 2 * HOUR, until: float = 0.0, name: str = "1", **more: object) -> None:
        now = self.clock()
        asked = {"query": "", "again": False, "confirmed": True, "who": "ann", "asked_at": now, **more}
        request = ReplayRequest(name, now - since, now - until, **asked)  # type: ignore[arg-type]
        self.store.enqueue(EnqueueBatch((), {request_row("hook"): request.dump()}, now))

    def confirm(self) -> None:
        self.ask(name=self.replay.request.id)

    @property
    def replay(self) -> Replay:
        return replays_in(self.store.positions())["hook"]

    def poll(self, seconds: float = 2.0) -> None:
        """Poll once after so many seconds, and again while there is more at once."""
        self.clock.now += seconds
        for _ in range(1000):
            if not self.poller.poll(self.clock()).more:
                return
        raise AssertionError("there was always more to read at once")

    def due(self) -> Sequence[Delivery]:
        return self.store.due("hook", now=self.clock(), limit=10_000)

    def deliver(self, limit: int = 10_000) -> int:
        """Deliver what waits; return how many that was."""
        due = self.due()[:limit]
        at = self.clock()
        self.store.record_results([DeliveryResult(one, DeliveryState.DELIVERED, at, 1) for one in due], ())
        self.sent += [one.event.id for one in due]
        return len(due)

    def run(self, done: Callable[[], bool] | None = None, *, seconds: float = 1.0) -> None:
        """Poll and deliver until the replay has ended, or until `done`."""
        for _ in range(1000):
            self.poll(seconds)
            self.deliver()
            if (done or (lambda: self.replay.ended))():
                return
        raise AssertionError("it never ended")

    def balance(self) -> tuple[int, int, int, int, int]:
        (counters,) = self.store.counters()
        dropped = sum(counters.dropped.values())
        return counters.seen, counters.delivered, counters.pending, counters.dead, dropped


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ReplayHarness]:
    made = ReplayHarness(tmp_path)
    yield made
    made.close()


def disabled_meanwhile(harness: ReplayHarness, ids: Sequence[object], **more: object) -> None:
    """Let events pass while the webhook is disabled: nobody has them."""
    harness.poll()
    harness.change(disabled=True)
    harness.write(ids, **more)  # type: ignore[arg-type]
    harness.poll()
    harness.change()
    assert harness.due() == []


def test_what_passed_while_a_webhook_was_disabled_is_sent_in_the_files_order(harness: ReplayHarness) -> None:
    disabled_meanwhile(harness, range(50))
    harness.ask()
    harness.run()
    assert harness.sent == list(map(str, range(50)))
    assert harness.balance() == (50, 50, 0, 0, 0)
    assert describe(harness.replay).endswith("by ann: done, 50 events read, 50 to be sent")


def test_what_was_delivered_live_or_is_outside_of_the_window_is_left_out(harness: ReplayHarness) -> None:
    harness.write(["live"], age=HOUR)
    harness.poll()
    harness.deliver()
    disabled_meanwhile(harness, ["early"], age=3 * HOUR)
    disabled_meanwhile(harness, ["missed"])
    disabled_meanwhile(harness, ["late"], age=0.5 * HOUR)
    disabled_meanwhile(harness, ["other"], kind="dpi")
    harness.ask(since=2 * HOUR, until=0.75 * HOUR)
    harness.run()
    assert harness.sent == ["live", "missed"]


def test_it_counts_first_and_sends_nothing_before_it_is_confirmed(harness: ReplayHarness) -> None:
    harness.write(["live"])
    harness.poll()
    harness.deliver()
    disabled_meanwhile(harness, range(9))
    harness.ask(confirmed=False)
    for _ in range(5):
        harness.poll()
    progress = harness.replay.progress
    assert progress is not None
    assert (progress.phase, progress.matching, progress.left_out) == (Phase.COUNTED, 10, 1)
    assert harness.due() == []
    harness.confirm()
    harness.run()
    assert harness.sent == ["live", *map(str, range(9))]


def test_a_narrower_query_holds_beside_the_webhooks_own(harness: ReplayHarness) -> None:
    disabled_meanwhile(harness, ["1", "2"])
    disabled_meanwhile(harness, ["3"], kind="dpi")
    harness.ask(query='_id = "2" OR _id = "3"')
    harness.run()
    assert harness.sent == ["2"]


def test_a_query_that_the_fields_cannot_answer_ends_it_with_the_reason(harness: ReplayHarness) -> None:
    disabled_meanwhile(harness, ["1"])
    harness.ask(query="nonsense = 1")
    harness.poll()
    assert harness.replay.progress is not None
    assert harness.replay.progress.phase is Phase.FAILED
    assert "nonsense" in harness.replay.progress.why
    assert [webhook for webhook, _ in harness.observer.replays] == ["hook"]


@pytest.mark.parametrize("again", [False, True])
def test_a_restart_anywhere_sends_each_event_once(harness: ReplayHarness, *, again: bool) -> None:
    """The agent is stopped after each page: what was enqueued stays, and is not enqueued again."""
    harness.write(range(40))
    harness.poll()
    harness.deliver()
    harness.sent.clear()
    disabled_meanwhile(harness, range(40, 80))
    harness.ask(again=again)
    for _ in range(100):
        harness.poll()
        harness.restart()
        harness.deliver()
        if harness.replay.ended:
            break
    assert harness.replay.ended
    assert harness.sent == list(map(str, range(0 if again else 40, 80)))
    seen, delivered, *rest = harness.balance()
    assert (seen, delivered, rest) == (40 + len(harness.sent), 40 + len(harness.sent), [0, 0, 0])


def test_the_window_is_of_the_time_that_events_of_other_tools_have_by_their_map(harness: ReplayHarness) -> None:
    harness.change(disabled=True)
    moments = {"inside": harness.clock() - HOUR, "before": harness.clock() - 100 * HOUR}
    with harness.path.open("a") as file:
        for name, at in moments.items():
            own = {"id": name, "type": "waf", "@timestamp": rfc3339(at), "event": {"kind": "alert"}}
            file.write(json.dumps(own) + "\n")
    harness.poll()
    harness.change()
    harness.ask()
    harness.run()
    assert harness.sent == ["inside"]


def test_the_last_replay_that_is_kept_beside_a_count_is_left_alone_and_goes_with_its_webhook(
    harness: ReplayHarness,
) -> None:
    disabled_meanwhile(harness, range(5))
    harness.ask()
    harness.run()
    last = harness.replay
    harness.store.enqueue(EnqueueBatch((), {last_row("hook"): last.dump()}, 0.0))
    harness.store.drop_readers([request_row("hook"), progress_row("hook")])
    harness.restart()
    for _ in range(3):
        harness.poll(5.0)
    assert harness.replay == last
    assert len(harness.sent) == 5
    harness.poller.forget(["hook"])
    assert not [row for row in harness.store.positions() if row.endswith("hook")]


def test_again_leaves_out_what_waits_or_is_dead(harness: ReplayHarness) -> None:
    harness.write(["delivered", "dead", "waiting"])
    harness.poll()
    harness.deliver(1)
    dead, waiting = harness.due()
    at = harness.clock()
    failed = DeliveryResult(waiting, DeliveryState.PENDING, at, 1, at + 10 * HOUR)
    harness.store.record_results([DeliveryResult(dead, DeliveryState.DEAD, at, 1), failed], ())
    harness.sent.clear()
    harness.ask(again=True)
    harness.run()
    assert harness.sent == ["delivered"]
    assert harness.balance() == (4, 2, 1, 1, 0)
    assert harness.replay.progress is not None
    assert harness.replay.progress.enqueued == 1


def test_the_same_replay_twice_sends_nothing_more_unless_again_asks_for_it(harness: ReplayHarness) -> None:
    disabled_meanwhile(harness, range(5))
    for name, again in (("1", False), ("2", False), ("3", True), ("4", True)):
        harness.ask(name=name, again=again)
        harness.run(lambda name=name: harness.replay.ended and harness.replay.request.id == name)  # type: ignore[misc]
    assert harness.sent == list(map(str, range(5))) * 3


def test_a_live_event_waits_behind_no_more_than_the_receiver_takes_in_seconds(harness: ReplayHarness) -> None:
    """Of a receiver that takes one in two seconds a few are ready at most, however many there are to replay."""
    disabled_meanwhile(harness, range(500))
    harness.ask()
    ahead = []
    for turn in range(100):
        harness.poll(2.0)
        if turn > 40:
            ahead.append(len(harness.due()))
        harness.deliver(1)
    assert max(ahead) <= 2
    assert len(harness.sent) > 60


def test_a_quick_receiver_gets_larger_pages(harness: ReplayHarness) -> None:
    disabled_meanwhile(harness, range(1000))
    harness.ask()
    pages = []
    for _ in range(20):
        harness.poll(1.0)
        pages.append(harness.deliver())
    assert max(pages) == 100  # as many as are read at once
    harness.run()
    assert len(harness.sent) == 1000


def test_a_few_missing_events_among_many_known_ones_are_found_quickly_and_sent_slowly(harness: ReplayHarness) -> None:
    harness.write(range(800))
    harness.poll()
    harness.deliver()
    disabled_meanwhile(harness, [f"missed-{number}" for number in range(60)])
    harness.sent.clear()
    harness.ask()
    pages = []
    while not harness.replay.ended:
        harness.poll(1.0)
        pages.append(harness.deliver())
        assert len(pages) < 30
    assert len(harness.sent) == 60
    assert next(filter(None, pages)) <= 8


def test_live_events_are_read_first(harness: ReplayHarness) -> None:
    disabled_meanwhile(harness, range(20))
    harness.ask(confirmed=False)
    harness.poll()
    harness.poll()
    harness.confirm()
    harness.write([f"live-{number}" for number in range(150)], age=0.0)
    harness.poll()
    harness.deliver()
    assert harness.sent[:150] == [f"live-{number}" for number in range(150)]
    harness.run()
    assert len(harness.sent) == 170


def test_nothing_is_counted_either_while_there_are_live_events_to_read(harness: ReplayHarness) -> None:
    disabled_meanwhile(harness, range(20))
    harness.ask(confirmed=False)
    harness.write(range(20, 170), age=0.0)
    harness.clock.now += 2.0
    assert harness.poller.poll(harness.clock()).more
    assert harness.replay.progress is None
    harness.poll()
    assert harness.replay.progress is not None


@pytest.mark.parametrize(("state", "why"), [("disabled", NOT_READ), ("debug", IN_DEBUG)])
def test_it_waits_while_nothing_is_sent_and_says_why(harness: ReplayHarness, state: str, why: str) -> None:
    disabled_meanwhile(harness, range(5))
    harness.ask(confirmed=False)
    harness.poll()
    harness.poll()
    harness.change(**{state: True})
    harness.confirm()
    for _ in range(3):
        harness.poll()
    assert harness.replay.progress is not None
    assert harness.replay.progress.why == why
    assert f"it goes on later: {why}" in describe(harness.replay)
    assert harness.due() == []
    harness.change()
    harness.run()
    assert len(harness.sent) == 5
    assert harness.balance() == (5, 5, 0, 0, 0)


def test_it_waits_for_a_receiver_that_fails(harness: ReplayHarness) -> None:
    disabled_meanwhile(harness, range(5))
    harness.write(["live"], age=0.0)
    harness.poll()
    (live,) = harness.due()
    failed = DeliveryResult(live, DeliveryState.PENDING, harness.clock(), 1, harness.clock() + 60)
    harness.store.record_results([failed], [ReceiverState("hook", failures=3)])
    harness.ask()
    for _ in range(3):
        harness.poll()
    assert harness.replay.progress is not None
    assert (harness.replay.progress.why, harness.due()) == (FAILING, [])
    harness.store.record_results((), [ReceiverState("hook")])
    harness.run()
    assert len(harness.sent) >= 5


def test_a_receiver_that_failed_last_is_tried_with_the_replay_where_nothing_else_waits(harness: ReplayHarness) -> None:
    disabled_meanwhile(harness, range(5))
    harness.store.record_results((), [ReceiverState("hook", failures=3, parked=True)])
    harness.ask()
    harness.run()
    assert len(harness.sent) == 5


def test_a_row_of_another_version_stops_nothing(harness: ReplayHarness) -> None:
    rows = {request_row("hook"): '{"id": "1", "tomorrow": 1}', progress_row("hook"): '{"phase": "tomorrow"}'}
    harness.store.enqueue(EnqueueBatch((), rows, NOW))
    harness.write(["live"])
    harness.poll()
    assert harness.deliver() == 1


def test_without_room_it_waits_and_loses_nothing(harness: ReplayHarness) -> None:
    disabled_meanwhile(harness, range(30))
    harness.ask()
    harness.max_bytes = 2_000
    harness.restart()
    for _ in range(3):
        harness.poll()
    held = len(harness.due())
    assert held < 30
    harness.run()
    assert harness.sent == list(map(str, range(30)))


def test_what_is_withdrawn_ends_and_leaves_no_row(harness: ReplayHarness) -> None:
    disabled_meanwhile(harness, range(100))
    harness.ask()
    harness.poll()
    harness.poll()
    harness.store.drop_readers([request_row("hook")])
    ready = len(harness.due())
    for _ in range(5):
        harness.poll()
        harness.deliver()
    assert len(harness.sent) == ready < 100
    assert replays_in(harness.store.positions()) == {}
    assert progress_row("hook") not in harness.store.positions()


def test_a_webhook_that_is_deleted_for_good_takes_its_replay_along(harness: ReplayHarness) -> None:
    harness.poll()
    harness.ask()
    harness.poll()
    harness.poller.forget({"hook"})
    assert replays_in(harness.store.positions()) == {}


def test_a_file_that_is_rotated_meanwhile_is_read_to_its_end(harness: ReplayHarness) -> None:
    disabled_meanwhile(harness, range(30))
    harness.ask()
    harness.poll()
    harness.poll()
    harness.path.rename(harness.path.with_name("events.1"))
    harness.write(["live"], age=0.0)
    harness.run()
    harness.poll()
    harness.deliver()
    assert sorted(harness.sent) == sorted([*map(str, range(30)), "live"])


def test_lines_without_an_id_have_the_ids_of_their_live_deliveries(harness: ReplayHarness) -> None:
    line = json.dumps({"type": "waf", "time": NOW - HOUR}) + "\n"
    with harness.path.open("a") as file:
        file.write(line * 3)
    harness.poll()
    harness.deliver()
    live = list(harness.sent)
    harness.restart()
    harness.ask(again=True)
    harness.run()
    assert harness.sent == live * 2
    assert len(set(live)) == 3


def test_an_events_file_that_is_gone_is_waited_for(harness: ReplayHarness) -> None:
    disabled_meanwhile(harness, range(5))
    content = harness.path.read_bytes()
    harness.ask(confirmed=False)
    harness.poll()
    harness.poll()
    harness.restart()
    harness.poll()
    harness.confirm()
    harness.poll()
    harness.path.write_bytes(content)
    harness.run()
    assert len(harness.sent) == 5


def test_standard_input_cannot_be_replayed(harness: ReplayHarness) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    harness.source.close()
    harness.source = NdjsonStream(reading, CALICO, run="run")
    harness.serve()
    harness.ask()
    harness.poll()
    harness.poll()
    os.close(reading)
    assert "standard input cannot be read again" in describe(harness.replay)


def test_a_run_that_ends_waits_for_the_replay(harness: ReplayHarness) -> None:
    """With --once the agent ends when all is read: a replay that can go on is a part of that."""
    disabled_meanwhile(harness, range(30))
    harness.ask()
    harness.poll()
    assert not harness.poller.poll(harness.clock()).done
    harness.run()
    harness.poll()
    assert harness.poller.poll(harness.clock()).done
