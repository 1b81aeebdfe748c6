"""Reconciling what is desired with reading, sending, and what the store knows."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest

from kubectl_sew.resource import TEST_EVENT_ANNOTATION, Condition, ConfigVar, State, Webhook, read_to
from kubectl_sew.validation.webhook import Accepted
from sew_agent.ingest.readers import dedicated_cursor
from sew_agent.ingest.source import Subscription
from sew_agent.store.records import DeliveryResult, DeliveryState, DropReason, StoreError
from sew_agent.webhooks.base import Snapshot
from sew_agent.webhooks.plan import FORGOTTEN
from tests.unit.agent.webhooks.harness import FakeSource, ReconcilerHarness


def test_a_new_webhook_is_read_for_from_the_beginning_and_sent_for(harness: ReconcilerHarness) -> None:
    harness.write(1, 2)
    harness.webhook("a")
    harness.step()
    harness.webhook("b")
    harness.step()
    assert (harness.pending("a"), harness.pending("b")) == (2, 2)
    assert harness.routes.names == ["a", "b"]


def test_a_restart_begins_nothing_again(harness: ReconcilerHarness) -> None:
    harness.write(1)
    harness.webhook("a")
    harness.step()
    harness.restart()
    harness.write(2)
    harness.step()
    assert harness.pending("a") == 2
    assert dedicated_cursor("a") not in harness.store.positions()


def test_a_deleted_webhook_stops_at_once_and_is_forgotten_after_its_time(harness: ReconcilerHarness) -> None:
    harness.write(1)
    harness.webhook("a")
    harness.step()
    harness.delete("a")
    harness.step()
    harness.write(2)
    harness.step(599)
    assert harness.routes.names == []
    assert harness.pending("a") == 1
    harness.step(2)
    assert harness.pending("a") == 0
    assert harness.store.counters()[0].dropped == {"deleted": 1}
    assert harness.logged("webhook_forgotten")[0]["dropped"] == 1


def test_many_deliveries_of_a_deleted_webhook_are_dropped_in_steps_and_it_is_forgotten_after_the_last(
    harness: ReconcilerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.webhook("a")
    harness.step()
    harness.delete("a")
    harness.step()
    dropped, asked = iter([5_000, 6_000, 7]), list[tuple[str, DropReason, int]]()

    def drop(name: str, reason: DropReason, *, most: int) -> int:
        asked.append((name, reason, most))
        return next(dropped)

    monkeypatch.setattr(harness.store, "drop", drop)
    for seconds in (600, 0):
        harness.step(seconds)
        assert harness.store.webhook_records()["a"].state == "Enabled"
        assert harness.logged("webhook_forgotten") == []
    harness.step(0)
    assert harness.store.webhook_records()["a"].state == FORGOTTEN
    assert [(line["webhook"], line["dropped"]) for line in harness.logged("webhook_forgotten")] == [("a", 11_007)]
    assert asked == [("a", DropReason.DELETED, 5_000)] * 3


@pytest.mark.parametrize(
    ("start", "by_number", "checkpoint", "since"),
    [("", False, 50.0, 50.0), ("", True, 50.0, 100.0), (900.0, False, None, 900.0), ("created", False, None, 100.0)],
    ids=["checkpoint", "by number", "seconds", "created"],
)
def test_each_webhook_is_read_for_from_its_own_start(
    harness: ReconcilerHarness,
    monkeypatch: pytest.MonkeyPatch,
    start: str | float,
    by_number: bool,
    checkpoint: float | None,
    since: float,
) -> None:
    """It was created 100 s ago; times are seconds before now."""
    served: dict[str, float | None] = {}

    def serve(read: Mapping[str, Subscription], *_: object) -> None:
        served.update({name: subscription.start for name, subscription in read.items()})

    monkeypatch.setattr(harness.poller, "serve", serve)
    read = [] if checkpoint is None else [Condition("EventsFetched", "True", "", read_to(harness.now - checkpoint))]
    webhook = Webhook("a", "Generic", State.ENABLED, "severity >= 0", created=harness.now - 100)
    config = (ConfigVar("url", "https://example.com"),)
    source = FakeSource(Snapshot({"a": replace(webhook, config=config, conditions=tuple(read))}, {}, {}))
    harness.of(replace(harness.parts, webhooks=source), start, by_number=by_number).reconcile(harness.now)
    assert served == {"a": harness.now - since}


def test_one_that_is_made_again_in_time_misses_nothing(harness: ReconcilerHarness) -> None:
    harness.write(1)
    harness.webhook("a")
    harness.step()
    harness.delete("a")
    harness.step()
    harness.write(2)
    harness.step()
    harness.restart()
    harness.step()
    harness.webhook("a")
    harness.step()
    assert harness.pending("a") == 2


def test_one_that_is_made_again_later_begins_as_new_and_gets_no_duplicate(harness: ReconcilerHarness) -> None:
    harness.write(1)
    harness.webhook("a")
    harness.step()
    harness.delete("a")
    harness.step()
    harness.step(601)
    harness.write(2)
    harness.webhook("a")
    harness.step()
    assert harness.pending("a") == 1
    assert harness.store.counters()[0].dropped == {"deleted": 1}


def test_what_comes_while_a_webhook_is_disabled_is_not_its_own(harness: ReconcilerHarness) -> None:
    harness.write(1)
    harness.webhook("a")
    harness.step()
    harness.webhook("a", "Disabled")
    harness.step()
    harness.write(2)
    harness.restart()
    harness.step()
    assert harness.routes.names == []
    harness.webhook("a")
    harness.step()
    harness.write(3)
    harness.step()
    assert harness.pending("a") == 2


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_what_was_not_read_yet_when_a_webhook_was_disabled_is_still_its_own(
    harness: ReconcilerHarness, *, restart: bool
) -> None:
    harness.webhook("b")
    harness.webhook("a")
    harness.step()
    harness.store._max_bytes = 1000
    harness.write(1)
    harness.step()
    harness.write(*range(2, 300))
    harness.reconciler.reconcile(harness.now)
    for _ in range(5):
        harness.poller.poll(harness.now)
    assert harness.pending("a") == 1
    harness.webhook("a", "Disabled")
    harness.reconciler.reconcile(harness.now)
    harness.store._max_bytes = 2**31
    for _ in range(9):
        harness.step(2.0)
    harness.write(*range(1000, 1500))
    harness.step()
    if restart:
        harness.restart()
    harness.step()
    assert harness.pending("a") == 1
    harness.webhook("a")
    harness.write(5000)
    for _ in range(9):
        harness.step(2.0)
    assert 300 <= harness.pending("a") <= 300 + 100
    assert harness.pending("b") == 300 - 1 + 500 + 1
    assert [row for row in harness.store.positions() if row != "common"] == []


def test_an_invalid_webhook_is_named_with_what_to_do_and_the_others_go_on(harness: ReconcilerHarness) -> None:
    harness.webhook("a")
    harness.webhook("b", query="severity >")
    harness.step()
    assert harness.routes.names == ["a"]
    refused = harness.logged("webhook_refused")
    assert [(line["webhook"], line["reason"]) for line in refused] == [("b", "QueryParsing")]
    harness.step()
    assert len(harness.logged("webhook_refused")) == 1
    assert list(harness.reported[-1].invalid) == ["b"]


def test_a_webhook_that_became_invalid_keeps_its_deliveries_and_catches_up_when_it_is_fixed(
    harness: ReconcilerHarness,
) -> None:
    harness.write(1)
    harness.webhook("a")
    harness.step()
    harness.webhook("a", query="severity >")
    harness.step()
    harness.write(2)
    harness.step(1000)
    assert harness.pending("a") == 1
    harness.webhook("a")
    harness.step()
    assert harness.pending("a") == 2


def test_a_test_is_fired_once_for_each_content_also_over_restarts(harness: ReconcilerHarness) -> None:
    harness.webhook("a", "Test")
    harness.step()
    ((name, digest),) = harness.tester.fired
    harness.tester.ended.append((name, digest, "2026-01-01T00:00:00Z delivered"))
    harness.step()
    assert harness.store.webhook_records()["a"].test_result == "2026-01-01T00:00:00Z delivered"
    harness.restart()
    harness.step()
    assert harness.tester.fired == []
    harness.webhook("a", "Test", query="severity > 1")
    harness.step()
    assert len(harness.tester.fired) == 1


def test_a_webhook_that_is_accepted_is_logged_once_for_each_content_with_its_state_and_its_warnings(
    harness: ReconcilerHarness,
) -> None:
    harness.webhook("a", "Debug")
    path = harness.path / "webhooks" / "a.json"
    manifest = json.loads(path.read_text())
    manifest["metadata"]["annotations"] = {TEST_EVENT_ANNOTATION: "nothing"}
    path.write_text(json.dumps(manifest))
    harness.step()
    harness.webhook("b")
    harness.step()
    accepted = [(line["webhook"], line["state"]) for line in harness.logged("webhook_accepted")]
    assert accepted == [("a", "Debug"), ("b", "Enabled")]
    (warning,) = harness.logged("webhook_warning")
    assert warning["webhook"] == "a"
    assert "no sample event is called `nothing`" in str(warning["message"])


def test_what_is_wrong_with_all_webhooks_is_logged(harness: ReconcilerHarness) -> None:
    (harness.path / "webhooks" / "broken.yaml").write_text("kind: [")
    harness.step()
    (line,) = harness.logged("webhooks_problem")
    assert "broken.yaml" in str(line["problem"])


def test_a_refused_webhook_is_logged_with_the_message_of_its_condition(harness: ReconcilerHarness) -> None:
    harness.webhook("b", query="severity >")
    harness.step()
    (line,) = harness.logged("webhook_refused")
    assert line["message"] == harness.reported[-1].invalid["b"].message


def test_what_is_deleted_is_logged_with_how_long_its_deliveries_are_kept(harness: ReconcilerHarness) -> None:
    harness.webhook("a")
    harness.step()
    assert harness.logged("webhook_deleted") == []
    harness.delete("a")
    harness.step()
    (line,) = harness.logged("webhook_deleted")
    assert (line["webhook"], line["message"]) == ("a", "what waits is kept for 600 s")
    harness.step(601)
    assert len(harness.logged("webhook_deleted")) == 1
    assert [line["webhook"] for line in harness.logged("webhook_forgotten")] == ["a"]


def test_the_result_of_a_test_is_logged_and_kept_though_its_webhook_may_be_gone(harness: ReconcilerHarness) -> None:
    harness.tester.ended += [("gone", "d", "2026-01-01T00:00:00Z delivered")]
    harness.step()
    (line,) = harness.logged("webhook_tested")
    assert (line["webhook"], line["result"]) == ("gone", "2026-01-01T00:00:00Z delivered")
    assert harness.store.webhook_records() == {}


def test_the_result_of_a_test_is_kept_until_the_store_takes_it(
    harness: ReconcilerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.webhook("a", "Test")
    harness.step()
    harness.tester.ended += [("a", harness.tester.fired[0][1], "2026-01-01T00:00:00Z delivered")]

    def fail(_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(harness.store, "save_webhook", fail)
        with pytest.raises(StoreError):
            harness.step()
    harness.step()
    assert harness.store.webhook_records()["a"].test_result == "2026-01-01T00:00:00Z delivered"
    assert len(harness.tester.fired) == 1


def test_an_exception_takes_effect_and_ends_with_its_manifest(harness: ReconcilerHarness) -> None:
    def exception(name: str, selector: str, **more: str) -> None:
        spec = {"description": "d", "selector": selector, "startTime": "2026-01-01T00:00:00Z", **more}
        manifest = {"apiVersion": "projectcalico.org/v3", "kind": "AlertException", "metadata": {"name": name}}
        (harness.path / "webhooks" / f"{name}.json").write_text(json.dumps(manifest | {"spec": spec}))

    harness.webhook("a")
    exception("quiet", "severity = 1")
    exception("broken", "sevrity = 1")
    harness.step()
    assert [line["exception"] for line in harness.logged("exception_refused")] == ["broken"]
    exception("later", "severity = 2", endTime="2300-01-01T00:00:00Z")
    harness.write(1)
    harness.step()
    assert harness.pending("a") == 0
    accepted = [(line["exception"], line["start"], line.get("end")) for line in harness.logged("exception_accepted")]
    start = "2026-01-01T00:00:00Z"
    assert accepted == [("quiet", start, None), ("later", start, "2300-01-01T00:00:00Z")]
    (refused,) = harness.logged("exception_refused")
    assert (refused["exception"], str(refused["message"])[:23]) == ("broken", "it suppresses nothing: ")
    harness.delete("quiet")
    harness.step()
    harness.write(2)
    harness.step()
    assert harness.pending("a") == 1
    (deleted,) = harness.logged("exception_deleted")
    assert (deleted["exception"], deleted["message"]) == ("quiet", "events that it selects are delivered again")


def test_no_secret_is_logged(harness: ReconcilerHarness) -> None:
    harness.webhook("a")
    harness.webhook("b", query="severity >")
    harness.step()
    assert "SECRET" not in harness.stream.getvalue()


def test_nothing_is_done_while_nothing_changes(harness: ReconcilerHarness) -> None:
    harness.webhook("a")
    harness.step()
    harness.routes.names = ["untouched"]
    harness.step()
    assert harness.routes.names == ["untouched"]


def disable_after_an_attempt(harness: ReconcilerHarness) -> None:
    """Have one event tried and still pending, and the webhook `a` disabled then."""
    harness.write(1)
    harness.webhook("a")
    harness.step()
    (delivery,) = harness.store.due("a", now=harness.now, limit=1)
    harness.store.record_results([DeliveryResult(delivery, DeliveryState.PENDING, harness.now, 1)], ())
    harness.webhook("a", "Disabled")
    harness.step()


def test_a_webhook_that_is_deleted_is_left_alone_until_the_very_moment_it_is_forgotten(
    harness: ReconcilerHarness,
) -> None:
    harness.webhook("a")
    harness.step()
    harness.delete("a")
    harness.step()
    harness.routes.names = ["untouched"]
    harness.step(599)
    assert (harness.routes.names, harness.logged("webhook_forgotten")) == (["untouched"], [])
    harness.step(1)
    assert [line["webhook"] for line in harness.logged("webhook_forgotten")] == ["a"]


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_a_deleted_webhook_is_not_forgotten_where_the_clock_was_set(
    harness: ReconcilerHarness, restarted: bool
) -> None:
    harness.webhook("a")
    harness.step()
    harness.delete("a")
    harness.step()
    harness.now += 86_400
    if restarted:
        harness.restart()
    harness.step()
    harness.step(598)
    harness.webhook("a")
    harness.write(1)
    harness.step()
    assert (harness.logged("webhook_forgotten"), harness.pending("a")) == ([], 1)


def test_while_the_webhooks_are_not_known_nothing_changes_and_nothing_is_ready(harness: ReconcilerHarness) -> None:
    harness.webhook("a")
    harness.step()
    not_yet = Snapshot({}, {}, {}, known=False)
    reconciler = harness.of(replace(harness.parts, webhooks=FakeSource(not_yet)))
    assert (reconciler.snapshot, reconciler.ready) == (None, False)
    reconciler.reconcile(harness.now)
    assert (reconciler.snapshot, reconciler.ready) == (not_yet, False)
    assert harness.routes.names == ["a"]
    assert harness.store.webhook_records()["a"].deleted_at is None


def test_time_disabled_is_taken_off_before_anything_is_sent_again(
    harness: ReconcilerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    disable_after_an_attempt(harness)
    seen: list[float | None] = []

    def record(webhooks: Mapping[str, Accepted]) -> None:
        seen.extend(
            delivery.first_attempt
            for name in webhooks
            for delivery in harness.store.due(name, now=harness.now, limit=1)
        )

    monkeypatch.setattr(harness.routes, "serve", record)
    harness.webhook("a")
    harness.step(80 * 3600.0)
    assert seen == [pytest.approx(harness.now, abs=10.0)]


def test_time_disabled_is_taken_off_once_however_often_the_step_fails_after_it(
    harness: ReconcilerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    disable_after_an_attempt(harness)

    def fail(_: Mapping[str, Accepted]) -> None:
        raise StoreError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(harness.routes, "serve", fail)
        harness.webhook("a")
        for seconds in (3600.0, 1.0, 1.0):
            with pytest.raises(StoreError):
                harness.step(seconds)
    harness.step()
    (delivery,) = harness.store.due("a", now=harness.now, limit=1)
    assert delivery.first_attempt == pytest.approx(harness.now, abs=10.0)


def test_a_clock_that_was_set_ahead_has_nothing_planned_sooner(harness: ReconcilerHarness) -> None:
    harness.webhook("a")
    harness.step()
    harness.delete("a")
    harness.step()
    harness.now += 86_400
    harness.reconciler.resume()
    harness.step()
    harness.routes.names = ["untouched"]
    harness.step(599)
    assert (harness.routes.names, harness.logged("webhook_forgotten")) == (["untouched"], [])
    harness.step(1)
    assert [line["webhook"] for line in harness.logged("webhook_forgotten")] == ["a"]


def test_one_that_was_seen_gone_for_long_enough_is_still_kept_for_its_time(harness: ReconcilerHarness) -> None:
    harness.reconciler = harness.of(harness.parts, watch=60.0)
    harness.webhook("a")
    harness.step()
    harness.delete("a")
    harness.step()
    harness.routes.names = ["untouched"]
    harness.step(599)
    assert harness.routes.names == ["untouched"]
    harness.step(1)
    assert [line["webhook"] for line in harness.logged("webhook_forgotten")] == ["a"]


class Sharing:
    """What agents of one store share, of which only the webhooks to own are recorded."""

    def __init__(self) -> None:
        self.wanted: list[list[str]] = []

    def want(self, webhooks: Collection[str]) -> None:
        self.wanted.append(sorted(webhooks))


def test_agents_of_one_store_are_told_what_to_own_once_for_each_change_and_again_after_another_one_read(
    harness: ReconcilerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharing = Sharing()
    monkeypatch.setattr(harness.store, "sharing", lambda: sharing)
    harness.step()
    harness.webhook("a")
    harness.step()
    harness.webhook("off", "Disabled")
    harness.step()
    assert sharing.wanted == [[], ["a"]]
    harness.routes.names = ["of another agent"]
    harness.reconciler.resume()
    harness.step()
    assert (sharing.wanted, harness.routes.names) == ([[], ["a"], ["a"]], ["a"])


def test_an_agent_that_does_not_read_sends_for_what_may_be_sent_and_writes_nothing(harness: ReconcilerHarness) -> None:
    for name, state in (("a", "Enabled"), ("off", "Disabled"), ("watched", "Debug")):
        harness.webhook(name, state)
    harness.reconciler.follow()
    assert (harness.routes.names, harness.reconciler.sending) == (["a"], {"a"})
    harness.routes.names = ["untouched"]
    harness.reconciler.follow()
    assert harness.routes.names == ["untouched"]
    harness.now += 5
    harness.webhook("b")
    harness.reconciler.follow()
    assert (harness.routes.names, harness.reconciler.sending) == (["a", "b"], {"a", "b"})
    assert len(harness.reported) == 2
    assert harness.store.webhook_records() == {}
