"""What every store keeps, whatever it is made of."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kubectl_sew.event import Event, delivery_id
from sew_agent.store.contract import Store
from sew_agent.store.records import (
    Counters,
    DeadLetter,
    Delivery,
    DeliveryResult,
    DeliveryState,
    DropReason,
    EnqueueBatch,
    EnqueueResult,
    KeptDelivery,
    LoggedAttempt,
    ManualAction,
    NewDelivery,
    Ownership,
    ReceiverState,
    StoreError,
    WebhookRecord,
)
from sew_agent.store.sqlite.store import open_store

NOW = 1_800_000_000.0

Open = Callable[..., Store]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def open_here(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the store of this test: for the agent, or with `exclusive=False` for a command beside it."""
    if request.param == "sqlite":
        return partial(open_store, tmp_path)
    databases = pytest.importorskip("tests.databases", reason="the extra `postgresql` is not installed")
    opening: Open = databases.opens(request.getfixturevalue("postgresql_server"))
    return opening


@pytest.fixture
def open_again(open_here: Open) -> Iterator[Open]:
    """Opens the store; what was open before is closed."""
    opened: list[Store] = []

    def open_it(**settings: Any) -> Store:
        for store in opened:
            store.close()
        opened[:] = [open_here(**settings)]
        return opened[0]

    yield open_it
    opened[0].close()


@pytest.fixture
def store(open_again: Open) -> Store:
    return open_again()


def event(name: str, **fields: Any) -> Event:
    return Event("", name, {"id": name, "time": NOW, **fields})


def enqueue(store: Store, *deliveries: NewDelivery, position: str = "1", at: float = NOW) -> Any:
    return store.enqueue(EnqueueBatch(deliveries, {"common": position}, at))


def owe(store: Store, *names: str, webhook: str = "hook") -> None:
    enqueue(store, *(NewDelivery(event(name), (webhook,)) for name in names))


def record_results(store: Store, state: DeliveryState, webhook: str = "hook", **more: Any) -> None:
    (delivery,) = store.due(webhook, now=NOW, limit=1)
    store.record_results([DeliveryResult(delivery, state, NOW, delivery.attempts + 1, **more)], ())


def names(store: Store, webhook: str = "hook", **more: Any) -> list[str]:
    return [delivery.event.id for delivery in store.due(webhook, now=more.pop("now", NOW), limit=100, **more)]


def counts(store: Store, webhook: str = "hook") -> tuple[int, int, int, int, int]:
    (counters,) = (counters for counters in store.counters() if counters.webhook == webhook)
    return counters.seen, counters.delivered, counters.pending, counters.dead, sum(counters.dropped.values())


def test_deliveries_and_positions_survive_a_restart_together(store: Store, open_again: Open) -> None:
    owe(store, "a", "b")
    again = open_again()
    assert again.positions() == {"common": "1"}
    assert names(again) == ["a", "b"]


def test_a_delivery_carries_its_stable_id_and_the_event_as_it_was(store: Store) -> None:
    whole = event("a", nested={"list": [1, 2.5, None, "ü\ud800"]})
    enqueue(store, NewDelivery(whole, ("hook",)))
    (delivery,) = store.due("hook", now=NOW, limit=1)
    assert delivery.event == whole
    assert delivery.delivery_id == delivery_id("hook", whole)


def test_a_delivery_is_given_whole_from_its_intake_to_its_end(store: Store) -> None:
    whole = Event("index", "a", {"time": NOW - 5, "text": "x"})
    payload = len('{"time":1799999995.0,"text":"x"}')
    size = payload + 300
    enqueue(store, NewDelivery(whole, ("hook",)))
    (first,) = store.due("hook", now=NOW, limit=1)
    assert first == Delivery(1, "hook", delivery_id("hook", whole), whole, NOW, size=payload)
    assert store.counters() == [Counters("hook", 0, 1, 0, {}, NOW, None, "", size)]
    failed = DeliveryResult(first, DeliveryState.PENDING, NOW + 1, 1, NOW + 9, "unreachable", "no route", in_doubt=True)
    store.record_results([failed], ())
    (again,) = store.due("hook", now=NOW + 9, limit=1)
    assert again == first._replace(attempts=1, first_attempt=NOW + 1, due=NOW + 9, in_doubt=True)
    assert store.counters() == [Counters("hook", 0, 1, 0, {}, NOW, None, "no route", size, NOW + 1)]
    store.record_results([DeliveryResult(again, DeliveryState.DEAD, NOW + 10, 2, 0.0, "event_refused", "too long")], ())
    letter = DeadLetter(1, "hook", first.delivery_id, whole, "event_refused", "too long", 2, NOW + 10)
    assert list(store.dead_letters("hook")) == [letter]
    assert store.counters() == [Counters("hook", 0, 0, 1, {}, None, None, "too long", size, NOW + 10)]
    assert store.replay([1]) == 1
    (revived,) = store.due("hook", now=NOW, limit=1)
    assert revived == first
    store.record_results([DeliveryResult(revived, DeliveryState.DELIVERED, NOW + 20, 1)], ())
    assert store.counters() == [Counters("hook", 1, 0, 0, {}, None, NOW + 20, "too long", 0, NOW + 10)]


def test_a_seen_event_is_not_enqueued_again_but_for_another_webhook(store: Store) -> None:
    owe(store, "a")
    record_results(store, DeliveryState.DELIVERED)
    result = enqueue(store, NewDelivery(event("a"), ("hook", "other")))
    assert (result.new, result.duplicates) == (1, 1)
    assert names(store) == []
    assert names(store, "other") == ["a"]


def test_due_gives_the_oldest_first_and_leaves_out_what_is_skipped_or_not_due(store: Store) -> None:
    owe(store, "a", "b", "c")
    record_results(store, DeliveryState.PENDING, due=NOW + 10)
    (first, *_) = store.due("hook", now=NOW, limit=1)
    assert first.event.id == "b"
    assert names(store, skip=[first.seq]) == ["c"]
    assert names(store, now=NOW + 10) == ["b", "c", "a"]
    assert store.next_due("hook") == 0.0


def test_what_failed_comes_after_all_that_was_never_tried_as_it_is_due(store: Store) -> None:
    owe(store, "a", "b", "c", "d")
    record_results(store, DeliveryState.PENDING, due=NOW - 1)
    record_results(store, DeliveryState.PENDING, due=NOW - 9)
    assert names(store) == ["c", "d", "b", "a"]
    assert names(store, retries=False) == ["c", "d"]
    record_results(store, DeliveryState.DELIVERED)
    record_results(store, DeliveryState.DELIVERED)
    assert store.next_due("hook") == NOW - 9
    assert names(store, now=NOW - 5) == ["b"]
    store.drop("hook", DropReason.PURGED)
    assert (store.next_due("hook"), store.next_due("nobody")) == (None, None)


def test_of_what_failed_one_that_waits_for_too_long_goes_with_many_that_were_never_tried(store: Store) -> None:
    owe(store, "a", "b", "c", "d")
    record_results(store, DeliveryState.PENDING, due=NOW - 100)

    def some(longest: float) -> list[str]:
        return [delivery.event.id for delivery in store.due("hook", now=NOW, limit=2, longest=longest)]

    assert some(101.0) == ["b", "c"]
    assert some(100.0) == ["b", "c", "a"]


def test_a_dead_letter_is_pending_again_with_what_shows_that_it_was_none(store: Store) -> None:
    owe(store, "a", "b")
    (first, second) = store.due("hook", now=NOW, limit=2)
    store.record_results([DeliveryResult(first, DeliveryState.DEAD, NOW, 1)], ())
    store.record_results(
        [DeliveryResult(second, DeliveryState.PENDING, NOW, 1, due=NOW)],
        [ReceiverState("hook", parked=True)],
        revived=[first.seq],
    )
    assert counts(store) == (2, 0, 2, 0, 0)
    assert [delivery.attempts for delivery in store.due("hook", now=NOW, limit=2)] == [1, 1]
    store.record_results((), (), revived=[first.seq, 77])
    assert counts(store) == (2, 0, 2, 0, 0)


def test_the_version_differs_after_a_change_by_another_process(store: Store, open_here: Open) -> None:
    owe(store, "a")
    before = store.version()
    owe(store, "b")
    assert store.version() == before
    beside = open_here(exclusive=False)
    beside.drop("hook", DropReason.BACKLOG_DROPPED)
    beside.close()
    assert store.version() != before


def test_what_is_due_later_than_anything_can_be_is_due(store: Store) -> None:
    owe(store, "a", "b")
    record_results(store, DeliveryState.PENDING, due=NOW + 10)
    assert names(store, longest=10.0) == ["b"]
    assert names(store, longest=9.0) == ["b", "a"]


def test_a_page_of_due_deliveries_is_bounded_in_bytes(store: Store) -> None:
    enqueue(store, *(NewDelivery(event(name, text="x" * 2**20), ("hook",)) for name in "abcd"))
    assert names(store) == ["a", "b", "c"]
    assert names(store, most_bytes=2_200_000) == ["a", "b"]
    assert names(store, most_bytes=1) == ["a"]
    assert [delivery.size >= 2**20 for delivery in store.due("hook", now=NOW, limit=2)] == [True, True]


def test_an_old_retry_comes_with_a_page_that_new_ones_fill_with_bytes(store: Store) -> None:
    enqueue(store, *(NewDelivery(event(name, text="x" * 1000), ("hook",)) for name in "abc"))
    record_results(store, DeliveryState.PENDING, due=NOW - 100)
    assert names(store, longest=50.0, most_bytes=1) == ["b", "a"]
    assert names(store, longest=200.0, most_bytes=1) == ["b"]
    assert names(store, longest=50.0, most_bytes=2_500) == ["b", "c", "a"]
    assert names(store, longest=200.0, most_bytes=2_500) == ["b", "c"]
    assert names(store, longest=200.0, most_bytes=4_000) == ["b", "c", "a"]


def test_all_of_a_digest_is_read_however_large(store: Store) -> None:
    enqueue(store, *(NewDelivery(event(name, text="x" * 2 * 2**20), ("hook",)) for name in "abc"))
    begun = [store.due("hook", now=NOW, limit=1, skip=skip)[0] for skip in ((), (1,), (1, 2))]
    store.begin_attempts([delivery._replace(digest="d") for delivery in begun])
    assert len(store.waiting("hook", digest="d", limit=10)) == 3
    assert len(store.waiting("hook", limit=10)) == 1


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (DeliveryState.DELIVERED, (1, 1, 0, 0, 0)),
        (DeliveryState.PENDING, (1, 0, 1, 0, 0)),
        (DeliveryState.DEAD, (1, 0, 0, 1, 0)),
    ],
)
def test_counters_hold_each_delivery_by_its_state(
    store: Store, state: DeliveryState, expected: tuple[int, int, int, int, int]
) -> None:
    owe(store, "a")
    record_results(store, state)
    assert counts(store) == expected


@pytest.mark.parametrize("state", [DeliveryState.PENDING, DeliveryState.DEAD])
def test_the_last_error_has_its_moment(store: Store, state: DeliveryState) -> None:
    owe(store, "a")
    (before,) = store.counters()
    assert (before.last_error, before.last_error_at) == ("", None)
    record_results(store, state, detail="503")
    (after,) = store.counters()
    assert (after.last_error, after.last_error_at) == ("503", NOW)


def test_what_is_enqueued_again_is_new_once_for_each_replay_and_counts_as_seen_once_more(store: Store) -> None:
    owe(store, "a")
    record_results(store, DeliveryState.DELIVERED)
    first, second = (NewDelivery(event("a"), ("hook",), again=replay) for replay in ("first", "second"))
    assert enqueue(store, first).new == 1
    assert names(store) == ["a"]
    (again,) = store.due("hook", now=NOW, limit=1)
    assert (again.delivery_id, again.again) == (delivery_id("hook", event("a")), True)
    record_results(store, DeliveryState.DELIVERED)
    assert enqueue(store, first).new == 0
    assert enqueue(store, second).new == 1
    assert counts(store) == (3, 2, 1, 0, 0)


def test_what_is_enqueued_again_is_known_to_those_that_read_it_afterwards(store: Store) -> None:
    assert enqueue(store, NewDelivery(event("a"), ("hook",), again="replay")).new == 1
    assert store.seen_by([event("a").key]) == {event("a").key: {"hook"}}
    assert enqueue(store, NewDelivery(event("a"), ("hook",))).new == 0


def test_what_is_enqueued_again_is_marked_through_retries_restarts_and_death(store: Store, open_again: Open) -> None:
    enqueue(store, NewDelivery(event("live"), ("hook",)), NewDelivery(event("a"), ("hook",), again="replay"))
    _, again = store.due("hook", now=NOW, limit=2)
    store.record_results([DeliveryResult(again, DeliveryState.PENDING, NOW, 1, NOW)], ())
    assert [(one.event.id, one.again) for one in store.due("hook", now=NOW, limit=2)] == [("live", False), ("a", True)]
    store.record_results([DeliveryResult(again, DeliveryState.DEAD, NOW, 2)], ())
    store = open_again()
    (kept,) = store.kept_deliveries(event="a")
    assert kept.delivery.again
    assert store.replay([again.seq]) == 1
    assert [(one.event.id, one.again) for one in store.due("hook", now=NOW, limit=2)] == [("live", False), ("a", True)]


def test_what_waits_or_is_dead_is_not_enqueued_again(store: Store) -> None:
    owe(store, "dead", "waits", "delivered")
    owe(store, "delivered", webhook="other")
    record_results(store, DeliveryState.DEAD)
    waits, delivered = store.due("hook", now=NOW, limit=2)
    store.record_results([DeliveryResult(delivered, DeliveryState.DELIVERED, NOW, 1)], ())
    again = [NewDelivery(event(name), ("hook",), again="replay") for name in ("dead", "waits", "delivered")]
    assert enqueue(store, *again).new == 1
    assert names(store) == ["waits", "delivered"]
    assert counts(store) == (4, 1, 2, 1, 0)
    assert waits.event.id == "waits"


def test_a_command_beside_the_agent_writes_and_drops_rows_of_its_own(store: Store, open_here: Open) -> None:
    enqueue(store, position="1")
    beside = open_here(exclusive=False)
    beside.enqueue(EnqueueBatch((), {"replay:hook": "asked"}, NOW))
    assert store.positions() == {"common": "1", "replay:hook": "asked"}
    beside.drop_readers(["replay:hook"])
    beside.close()
    assert store.positions() == {"common": "1"}


def test_debug_counts_as_dropped_and_seen(store: Store) -> None:
    enqueue(store, NewDelivery(event("a"), (), ("hook",)))
    enqueue(store, NewDelivery(event("a"), ("hook",)))
    assert counts(store) == (1, 0, 0, 0, 1)


def test_suppressed_counts_as_dropped_and_seen_and_names_the_events_that_no_webhook_had_seen(store: Store) -> None:
    first = enqueue(store, NewDelivery(event("a"), (), suppressed=("hook", "other")))
    again = enqueue(store, NewDelivery(event("a"), ("hook",), suppressed=("third",)))
    assert (first.suppressed, again.suppressed) == ({event("a").key}, frozenset())
    enqueue(store, NewDelivery(event("b"), ("hook",)))
    assert enqueue(store, NewDelivery(event("b"), (), suppressed=("hook", "other"))).suppressed == frozenset()
    assert enqueue(store, NewDelivery(event("c"), ("hook",), suppressed=("other",))).suppressed == {event("c").key}
    dropped = {row.webhook: (row.pending, dict(row.dropped)) for row in store.counters()}
    assert dropped == {
        "hook": (2, {"suppressed": 1}),
        "other": (0, {"suppressed": 3}),
        "third": (0, {"suppressed": 1}),
    }


def test_a_failed_attempt_keeps_its_count_its_first_moment_and_its_doubt(store: Store) -> None:
    owe(store, "a")
    record_results(store, DeliveryState.PENDING, in_doubt=True, detail="refused")
    (delivery,) = store.due("hook", now=NOW, limit=1)
    assert (delivery.attempts, delivery.first_attempt, delivery.in_doubt) == (1, NOW, True)
    store.record_results((), (), shifts=[("hook", 60.0)])
    (delivery,) = store.due("hook", now=NOW, limit=1)
    assert delivery.first_attempt == NOW + 60
    store.save_webhook(WebhookRecord("hook", "Enabled", None), shift=0.5)
    (delivery,) = store.due("hook", now=NOW, limit=1)
    assert delivery.first_attempt == NOW + 60.5


def test_attempts_that_began_and_no_others_are_in_doubt_after_a_restart(store: Store, open_again: Open) -> None:
    owe(store, "a", "b", "c")
    store.begin_attempts(store.due("hook", now=NOW, limit=2))
    deliveries = open_again().due("hook", now=NOW, limit=3)
    assert [delivery.in_doubt for delivery in deliveries] == [True, True, False]


def test_a_dead_letter_can_be_read_replayed_with_the_same_id_and_purged(store: Store) -> None:
    owe(store, "a", "b")
    record_results(store, DeliveryState.DEAD, reason="event_refused", detail="too long")
    (letter,) = store.dead_letters("hook")
    assert (letter.event.id, letter.reason, letter.detail, letter.attempts) == ("a", "event_refused", "too long", 1)
    assert store.replay([letter.number]) == 1
    (delivery, _) = store.due("hook", now=NOW, limit=9)
    assert (delivery.delivery_id, delivery.attempts) == (letter.delivery_id, 0)
    record_results(store, DeliveryState.DEAD)
    assert store.purge(None, "other") == 0
    assert store.purge(None, "hook") == 1
    assert counts(store) == (2, 0, 1, 0, 1)


def test_a_backlog_can_be_dropped_by_age_and_is_counted_so(store: Store) -> None:
    enqueue(store, NewDelivery(event("old"), ("hook",)), at=NOW - 100)
    enqueue(store, NewDelivery(event("new"), ("hook",)), at=NOW)
    assert store.drop("hook", DropReason.BACKLOG_DROPPED, older_than=NOW - 100) == 0
    assert store.drop("hook", DropReason.BACKLOG_DROPPED, older_than=NOW - 50) == 1
    assert names(store) == ["new"]
    assert store.counters()[0].dropped == {"backlog_dropped": 1}


def test_what_is_old_is_dropped_also_behind_hundreds_that_are_not(store: Store) -> None:
    owe(store, *(str(number) for number in range(600)))
    enqueue(store, NewDelivery(event("old"), ("hook",)), at=NOW - 100)
    assert store.drop("hook", DropReason.BACKLOG_DROPPED, older_than=NOW) == 1
    assert counts(store) == (601, 0, 600, 0, 1)


def test_what_was_dropped_while_it_was_in_flight_stays_dropped(store: Store) -> None:
    owe(store, "a")
    (delivery,) = store.due("hook", now=NOW, limit=1)
    store.drop("hook", DropReason.BACKLOG_DROPPED)
    store.record_results([DeliveryResult(delivery, DeliveryState.DELIVERED, NOW, 1)], ())
    assert counts(store) == (1, 0, 0, 0, 1)


def test_receivers_states_and_webhooks_are_kept(store: Store, open_again: Open) -> None:
    receiver = ReceiverState("hook", failures=3, parked=True, detail="404", refused=(3, 4))
    known = WebhookRecord("hook", "Enabled", None, tested="x")
    store.record_results((), [receiver])
    store.save_webhook(known)
    again = open_again()
    assert again.receivers() == {"hook": receiver}
    assert again.webhook_records() == {"hook": known}


def test_a_webhook_whose_share_is_full_stops_enqueueing_and_the_others_go_on(open_again: Open) -> None:
    store = open_again(max_bytes=100_000)
    enqueue(store, NewDelivery(event("a", text="x" * 90_000), ("greedy",)), position="1")
    refused = enqueue(store, NewDelivery(event("b"), ("greedy", "modest")), position="2")
    assert refused == EnqueueResult(0, 0, frozenset({"greedy"}))
    assert store.positions() == {"common": "1"}
    assert enqueue(store, NewDelivery(event("b"), ("modest",)), position="2").new == 1
    record_results(store, DeliveryState.DELIVERED, "greedy")
    assert enqueue(store, NewDelivery(event("b"), ("greedy",)), position="2").new == 1


def test_a_share_that_is_filled_to_the_last_byte_is_full(open_again: Open) -> None:
    store = open_again(max_bytes=2_500)
    store.save_webhook(WebhookRecord("other", "Enabled", None))
    rest = len('{"text":""}') + 300
    half = Event("", "a", {"text": "x" * ((2_400 - 64) // 2 - rest)})
    enqueue(store, NewDelivery(half, ("hook",)))
    assert store.room() == {"hook": 1.0, "other": 0.0}
    assert enqueue(store, NewDelivery(event("b"), ("hook",))).full == {"hook"}


def test_what_was_seen_before_takes_no_more_room(open_again: Open) -> None:
    store = open_again(max_bytes=10_000)
    owe(store, "a")
    before = dict(store.room())
    owe(store, "a")
    assert store.room() == before


def test_an_event_stays_whole_for_the_webhook_that_still_waits_for_it(store: Store) -> None:
    enqueue(store, NewDelivery(event("a"), ("hook", "other", "late")))
    record_results(store, DeliveryState.DELIVERED)
    record_results(store, DeliveryState.DELIVERED, "other")
    store.forget(NOW)
    store.forget(NOW)
    assert names(store, "late") == ["a"]


def test_a_seen_event_is_forgotten_when_its_time_is_over_but_not_while_it_is_pending(open_again: Open) -> None:
    store = open_again(known_for=100.0)
    owe(store, "a", "b")
    record_results(store, DeliveryState.DELIVERED)
    assert store.forget(NOW + 99) == 0
    assert store.forget(NOW + 101) == 1
    assert enqueue(store, NewDelivery(event("b"), ("hook",))).duplicates == 1


def test_an_event_of_the_future_stays_seen_until_its_own_time_has_passed(open_again: Open) -> None:
    store = open_again(known_for=100.0)
    enqueue(store, NewDelivery(event("a", time=NOW + 1000), ("hook",)))
    record_results(store, DeliveryState.DELIVERED)
    assert store.forget(NOW + 1099) == 0
    assert store.forget(NOW + 1101) == 1


def test_waiting_counts_pending_deliveries(store: Store) -> None:
    owe(store, "a", "b")
    owe(store, "a", webhook="other")
    record_results(store, DeliveryState.DELIVERED, "other")
    assert store.pending_counts() == {"hook": 2}


def test_a_webhook_fills_what_waits_for_it(store: Store) -> None:
    owe(store, "a", "bb")
    a, b = len('{"id":"a","time":1800000000.0}') + 300, len('{"id":"bb","time":1800000000.0}') + 300
    assert store.counters()[0].bytes_used == a + b
    record_results(store, DeliveryState.DELIVERED)
    assert store.counters()[0].bytes_used == b


def test_a_reader_can_be_dropped(store: Store) -> None:
    store.enqueue(EnqueueBatch((), {"common": "1", "own": "2"}, NOW))
    store.drop_readers(["own"])
    assert store.positions() == {"common": "1"}


def test_seen_by_names_the_webhooks_that_have_an_event(store: Store) -> None:
    enqueue(store, NewDelivery(event("a"), ("hook", "other")), NewDelivery(event("b"), (), ("hook",)))
    keys = [event(str(number)).key for number in range(2_000)] + [event(name).key for name in "abc"]
    assert store.seen_by(keys) == {event("a").key: {"hook", "other"}, event("b").key: {"hook"}}


def test_the_moment_of_its_first_use_stays(store: Store, open_again: Open) -> None:
    assert store.first_used(NOW) == NOW
    assert open_again().first_used(NOW + 100) == NOW


def test_oldest_times_are_those_of_pending_events(store: Store) -> None:
    enqueue(
        store, NewDelivery(event("a", time=NOW - 50), ("hook", "other")), NewDelivery(event("b", time=None), ("hook",))
    )
    enqueue(store, NewDelivery(event("c"), ("hook",), time=NOW - 70), NewDelivery(event("d"), (), ("third",)))
    assert store.oldest_times() == {"hook": NOW - 70, "other": NOW - 50}
    record_results(store, DeliveryState.DEAD, "other")
    assert store.oldest_times() == {"hook": NOW - 70}


def test_thousands_are_dropped_replayed_and_purged_in_parts_and_the_counters_balance(store: Store) -> None:
    enqueue(store, *(NewDelivery(event(str(number)), ("hook", "other")) for number in range(1_200)))
    due = [delivery for _ in range(40) for delivery in store.due("hook", now=NOW, limit=2_000)][:1_200]
    store.record_results([DeliveryResult(delivery, DeliveryState.DEAD, NOW, 1) for delivery in due], ())
    assert [letter.event.id for letter in store.dead_letters()] == [str(number) for number in range(1_200)]
    assert store.replay(None) == 1_200
    assert store.drop("hook", DropReason.BACKLOG_DROPPED) == 1_200
    assert counts(store) == (1_200, 0, 0, 0, 1_200)
    assert counts(store, "other") == (1_200, 0, 1_200, 0, 0)
    assert [counters.bytes_used for counters in store.counters() if counters.webhook == "hook"] == [0]


def test_a_webhook_that_is_gone_for_good_shares_in_nothing(open_again: Open) -> None:
    store = open_again(max_bytes=1_000_000)
    for number in range(4):
        enqueue(store, NewDelivery(event(f"a{number}"), (f"gone-{number}",)))
        store.save_webhook(WebhookRecord(f"gone-{number}", "Enabled", None))
    enqueue(store, NewDelivery(event("a", text="x" * 300_000), ("hook",)))
    assert store.room()["hook"] == pytest.approx(1.5, rel=0.05)
    for number in range(4):
        record_results(store, DeliveryState.DELIVERED, f"gone-{number}")
        store.save_webhook(WebhookRecord(f"gone-{number}", "", None))
    assert store.room() == {"hook": pytest.approx(0.3, rel=0.05)}


def test_a_share_is_at_least_a_twentieth_while_there_is_room(open_again: Open) -> None:
    store = open_again(max_bytes=1_000_000)
    enqueue(store, *(NewDelivery(event(str(number)), (f"hook-{number}",)) for number in range(40)))
    enqueue(store, NewDelivery(event("a", text="x" * 25_000), ("hook-1",)))
    assert store.room()["hook-1"] == pytest.approx(0.51, abs=0.02)


def test_an_event_dated_millennia_ahead_does_not_stay_seen_for_ever(open_again: Open) -> None:
    store = open_again(known_for=100.0)
    enqueue(store, NewDelivery(event("a", time=253_402_300_799.0), ("hook",)))
    record_results(store, DeliveryState.DELIVERED)
    assert store.forget(NOW + 30 * 86_400 + 100) == 0
    assert store.forget(NOW + 30 * 86_400 + 101) == 1


def gone(store: Store, *webhooks: str, at: float = NOW) -> None:
    for webhook in webhooks:
        store.save_webhook(WebhookRecord(webhook, "", None, deleted_at=at))


def test_a_webhook_that_is_gone_for_good_leaves_the_counters_and_gets_nothing_twice_when_it_comes_back(
    store: Store, open_again: Open
) -> None:
    enqueue(store, NewDelivery(event("a"), ("hook", "other")))
    record_results(store, DeliveryState.DELIVERED)
    gone(store, "hook")
    store.forget(NOW + 500)
    assert [counters.webhook for counters in store.counters()] == ["hook", "other"]
    store.forget(NOW + 700)
    assert [counters.webhook for counters in store.counters()] == ["other"]
    assert (list(store.webhook_records()), list(store.room())) == ([], ["other"])
    again = open_again()
    assert enqueue(again, NewDelivery(event("a"), ("hook",))).duplicates == 1
    assert enqueue(again, NewDelivery(event("b"), ("hook", "new"))).new == 2
    assert again.seen_by([event("a").key]) == {event("a").key: {"hook", "other"}}


def test_a_new_webhook_never_takes_the_place_of_one_that_is_gone(store: Store) -> None:
    owe(store, "a")
    record_results(store, DeliveryState.DELIVERED)
    gone(store, "hook")
    store.forget(NOW + 700)
    assert enqueue(store, NewDelivery(event("a"), ("new",))).new == 1


def test_a_webhook_that_is_gone_for_good_stays_in_the_counters_while_it_has_dead_letters(store: Store) -> None:
    owe(store, "a")
    record_results(store, DeliveryState.DEAD)
    gone(store, "hook")
    store.forget(NOW + 700)
    assert counts(store) == (1, 0, 0, 1, 0)
    store.purge(None)
    store.forget(NOW + 701)
    assert store.counters() == []


def test_hundreds_of_webhooks_that_are_gone_are_put_away_at_one_call(store: Store) -> None:
    gone(store, *(f"hook-{number}" for number in range(600)))
    assert len(store.webhook_records()) == 600
    store.forget(NOW + 700)
    assert (store.webhook_records(), store.counters(), store.room()) == ({}, [], {})


def test_a_dead_letter_ends_as_dropped_when_its_time_is_over(store: Store) -> None:
    owe(store, "a", "b")
    record_results(store, DeliveryState.DEAD)
    assert store.expire(NOW) == 0
    assert store.expire(NOW + 1) == 1
    assert counts(store) == (2, 0, 1, 0, 1)
    assert store.counters()[0].dropped == {"expired": 1}


def test_hundreds_of_dead_letters_are_replayed_or_expire_at_one_call(store: Store) -> None:
    owe(store, *(str(number) for number in range(600)))
    due = store.due("hook", now=NOW, limit=600)
    store.record_results([DeliveryResult(delivery, DeliveryState.DEAD, NOW, 1) for delivery in due], ())
    assert store.replay([letter.number for letter in store.dead_letters()]) == 600
    store.record_results([DeliveryResult(delivery, DeliveryState.DEAD, NOW, 1) for delivery in due], ())
    assert store.expire(NOW + 1) == 600
    assert counts(store) == (600, 0, 0, 0, 600)


def test_a_drop_can_be_made_a_part_at_a_time(store: Store) -> None:
    owe(store, *(str(number) for number in range(1_200)))
    parts = [store.drop("hook", DropReason.DELETED, most=500) for _ in range(4)]
    assert parts == [500, 500, 200, 0]
    assert counts(store) == (1_200, 0, 0, 0, 1_200)


def test_those_that_hold_little_have_room_when_others_have_filled_all(open_again: Open) -> None:
    store = open_again(max_bytes=1_000_000)
    for number in range(25):
        text = "x" * 45_000
        enqueue(store, NewDelivery(event(f"{number}", text=text), (f"greedy-{number}",)))
    assert sum(counters.bytes_used for counters in store.counters()) > 960_000
    assert enqueue(store, NewDelivery(event("more", text="x" * 5_000), ("greedy-1",))).full == {"greedy-1"}
    assert enqueue(store, NewDelivery(event("modest"), ("modest",))).new == 1
    assert store.room()["modest"] < 1.0 <= store.room()["greedy-1"]


def test_what_is_known_takes_room_and_is_forgotten_sooner_where_that_is_needed(open_again: Open) -> None:
    store = open_again(max_bytes=200_000)
    for at in (NOW, NOW + 5_000):
        names = [f"{at}-{number}" for number in range(1_500)]
        enqueue(store, *(NewDelivery(event(name), (), ("hook",)) for name in names), at=at)
    enqueue(store, NewDelivery(event("a"), ("hook",)), at=NOW + 5_000)
    assert store.room()["hook"] > 0.03
    assert store.forget(NOW + 5_001) == 750
    assert store.forget(NOW + 5_001) == 0


def test_what_a_person_did_is_kept_in_its_order_a_hundred_times(store: Store, open_again: Open) -> None:
    done = [ManualAction(number, NOW + number, "ann", "purged", "hook", 2 * number) for number in range(1, 121)]
    for act in done[:2]:
        store.record_action(act)
    assert store.manual_actions() == done[:2]
    for act in done[2:]:
        store.record_action(act)
    again = open_again()
    assert again.manual_actions() == done[20:]
    assert again.manual_actions(118) == done[118:]


def test_only_the_dead_letters_that_are_named_are_replayed_or_purged(store: Store) -> None:
    enqueue(store, *(NewDelivery(event(str(number)), ("hook", "other")) for number in range(3)))
    for webhook in ("hook", "other"):
        due = store.due(webhook, now=NOW, limit=3)
        store.record_results([DeliveryResult(delivery, DeliveryState.DEAD, NOW, 1) for delivery in due], ())
    numbers = [letter.number for letter in store.dead_letters("hook")]
    assert store.replay(numbers[:1], "other") == 0
    assert store.replay([*numbers[:1], 77], "hook") == 1
    assert store.purge([*numbers[:2], numbers[1]]) == 1  # however often it is named
    assert store.purge(None, "other") == 3
    assert [counts(store, webhook) for webhook in ("hook", "other")] == [(3, 0, 1, 1, 1), (3, 0, 0, 0, 3)]
    assert store.replay(None, "hook") == 1
    assert counts(store) == (3, 0, 2, 0, 1)


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.enqueue(EnqueueBatch((), {}, NOW)),
        lambda store: store.positions(),
        lambda store: store.due("hook", now=NOW, limit=1),
        lambda store: store.counters(),
        lambda store: store.room(),
        lambda store: store.forget(NOW),
        lambda store: store.shrink(),
    ],
)
def test_one_that_is_closed_says_so(store: Store, use: Callable[[Store], Any]) -> None:
    store.close()
    with pytest.raises(StoreError, match="closed"):
        use(store)


def test_it_is_held_by_the_agent_that_opened_it(store: Store) -> None:
    assert store.ownership() is Ownership.HELD


def test_it_is_used_from_any_thread(store: Store) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(owe, store, "a").result()
    assert names(store) == ["a"]


@pytest.mark.parametrize(
    ("known_for", "seen", "text", "age", "forgotten"),
    [
        (86_400.0, 10, 0, 601.0, 0),
        (86_400.0, 10, 700, 601.0, 10),
        (86_400.0, 10, 700, 600.0, 0),
        (86_400.0, 1, 1_400, 601.0, 0),
        (100.0, 10, 700, 99.5, 0),
    ],
)
def test_seen_events_are_forgotten_sooner_where_they_are_many_and_the_store_is_nearly_full(
    open_again: Open, known_for: float, seen: int, text: int, age: float, forgotten: int
) -> None:
    store = open_again(max_bytes=2_000, known_for=known_for)
    enqueue(store, *(NewDelivery(event(str(number)), (), ("hook",)) for number in range(seen)))
    enqueue(store, NewDelivery(event("a", text="x" * text), ("hook",)))
    assert store.forget(NOW + age) == forgotten


def test_hundreds_that_wait_for_long_keep_no_seen_event_from_being_forgotten(open_again: Open) -> None:
    store = open_again(known_for=100.0)
    owe(store, *(str(number) for number in range(250)))
    enqueue(store, NewDelivery(event("last"), ("hook",)), at=NOW + 1)
    (*_, last) = store.due("hook", now=NOW, limit=251)
    store.record_results([DeliveryResult(last, DeliveryState.DELIVERED, NOW, 1)], ())
    assert store.forget(NOW + 102) == 1


def test_an_event_stays_seen_for_a_day_and_a_webhook_that_is_gone_may_get_an_event_again(store: Store) -> None:
    owe(store, "a")
    record_results(store, DeliveryState.DELIVERED)
    gone(store, "hook")
    assert store.forget(NOW + 86_400) == 0
    assert store.forget(NOW + 86_400.5) == 1
    gone(store, "hook")
    assert enqueue(store, NewDelivery(event("a"), ("hook",))).new == 1


def test_a_page_of_due_deliveries_is_bounded_in_number(store: Store) -> None:
    owe(store, "a", "b", "c", "d", "e")
    for _ in "ab":
        record_results(store, DeliveryState.PENDING, due=NOW - 100)

    def page(limit: int, skip: tuple[int, ...] = ()) -> list[str]:
        return [delivery.event.id for delivery in store.due("hook", now=NOW, limit=limit, skip=skip, longest=50.0)]

    assert page(2) == ["c", "d", "a"]
    assert page(4) == ["c", "d", "e", "a"]
    assert page(3, skip=(3,)) == ["d", "e", "a"]
    assert page(2, skip=(3,)) == ["d", "e", "a"]
    assert page(4, skip=(1, 3)) == ["d", "e", "b"]


def test_an_event_that_was_delivered_late_stays_seen_for_as_long_as_any_other(open_again: Open) -> None:
    store = open_again(known_for=100.0)
    owe(store, "a")
    assert store.forget(NOW + 101) == 0
    record_results(store, DeliveryState.DELIVERED)
    store.forget(NOW + 150)
    assert enqueue(store, NewDelivery(event("a"), ("hook",))).duplicates == 1
    assert store.forget(NOW + 200) == 0
    assert store.forget(NOW + 202) == 1


def test_a_webhook_that_comes_back_after_weeks_still_has_what_it_saw(store: Store) -> None:
    enqueue(store, NewDelivery(event("a", time=NOW + 30 * 86_400), ("hook",)))
    record_results(store, DeliveryState.DELIVERED)
    gone(store, "hook")
    store.forget(NOW + 700)
    for day in range(1, 31):
        store.forget(NOW + day * 86_400)
    assert store.counters() == []
    enqueued = enqueue(store, NewDelivery(event("a"), ("hook",)), NewDelivery(event("b"), ("hook",)))
    assert (enqueued.new, enqueued.duplicates) == (1, 1)
    assert (names(store), counts(store)) == (["b"], (1, 0, 1, 0, 0))


def test_a_webhook_is_saved_without_a_change_of_its_first_attempts(store: Store) -> None:
    owe(store, "a")
    record_results(store, DeliveryState.PENDING)
    store.save_webhook(WebhookRecord("hook", "Enabled", None))
    (delivery,) = store.due("hook", now=NOW, limit=1)
    assert delivery.first_attempt == NOW


def attempt(number: int, webhook: str = "hook", **more: Any) -> LoggedAttempt:
    whole = LoggedAttempt(
        webhook=webhook,
        delivery=number,
        delivery_id=f"id-{number}",
        event=f"event-{number}",
        source="",
        time=None,
        type="waf",
        severity=80,
        attempt=1,
        at=NOW + number,
        milliseconds=12,
        outcome="delivered",
        reason="none",
        detail="200 OK",
        status=200,
        sent_to="https://hooks.slack.com",
        sent_bytes=700,
        receipt="",
    )
    return whole._replace(**more)


def log(store: Store, *attempts: LoggedAttempt) -> None:
    receivers = [ReceiverState(name) for name in {entry.webhook for entry in attempts}]
    store.record_results((), receivers, attempts=attempts)


def logged(store: Store, webhook: str | None = "hook", **more: Any) -> list[int]:
    return [entry.delivery for entry in store.attempts(webhook, **more)]


def test_attempts_are_in_the_log_as_they_were_in_their_order_also_after_a_restart(
    store: Store, open_again: Open
) -> None:
    words = 'no "room"\\ for é\u4e2d\U0001f525 %s ? $1'
    failed = attempt(
        2, outcome="pending", detail=words, time=1.5, status=None, next_try=NOW + 9, receipt="SEC-1", again=True
    )
    log(store, attempt(1), failed)
    log(store, attempt(1, "other"), attempt(3))
    again = open_again()
    assert again.attempts("hook") == [attempt(1), failed, attempt(3)]
    assert again.attempts() == [attempt(1), failed, attempt(3), attempt(1, "other")]
    assert again.attempts("nobody") == []


def test_the_log_gives_what_became_of_one_event(store: Store) -> None:
    names = ["a", "é", 'q"uote', "a b"]
    log(store, *(attempt(number, event=name) for number, name in enumerate(names)), attempt(9, "other", event="a"))
    assert [logged(store, None, event=name) for name in names] == [[0, 9], [1], [2], [3]]
    assert logged(store, "hook", event="a") == [0]
    assert logged(store, None, event="b") == []


def test_an_attempt_of_which_everything_is_known_is_in_the_log_of_all_and_of_its_event(store: Store) -> None:
    known = attempt(1, source="index", time=NOW, next_try=NOW + 9, receipt="SEC-1", digest="d")
    log(store, known)
    assert store.attempts() == store.attempts(event="event-1") == [known]


def test_the_log_is_written_in_the_transaction_of_the_results(store: Store) -> None:
    owe(store, "a")
    (delivery,) = store.due("hook", now=NOW, limit=1)
    result = DeliveryResult(delivery, DeliveryState.DELIVERED, NOW, 1)
    store.record_results([result], (), attempts=[attempt(delivery.seq)])
    assert (counts(store), logged(store)) == ((1, 1, 0, 0, 0), [delivery.seq])


def test_the_newest_attempts_of_each_webhook_stay(open_again: Open) -> None:
    store = open_again(attempts_kept=10)
    log(store, attempt(0, "quiet"))
    for number in range(3_000):
        log(store, attempt(number))
    assert 10 <= len(logged(store)) < 300
    assert store.trim_attempts(NOW, kept_for=1e6) > 0
    assert store.trim_attempts(NOW, kept_for=1e6) == 0
    assert logged(store) == list(range(2_990, 3_000))
    assert logged(store, "quiet") == [0]


@pytest.mark.parametrize(("kept", "page"), [(100, 100), (1_000, 1_000)])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_log_stays_short_by_what_is_written_and_always_holds_the_newest_attempts(
    open_again: Open, kept: int, page: int, *, restarts: bool
) -> None:
    store = open_again(attempts_kept=kept)
    for last in range(page, 10 * page, page):
        store = open_again(attempts_kept=kept) if restarts else store
        log(store, *(attempt(number) for number in range(last - page, last)))
        assert logged(store)[-kept:] == list(range(max(last - kept, 0), last))
        assert len(logged(store)) < kept + page + 300


def test_one_attempt_too_many_goes_whatever_other_logs_hold_and_one_that_is_just_old_enough_stays(
    open_again: Open,
) -> None:
    store = open_again(attempts_kept=10)
    for webhook, count in (("quiet", 10), ("hook", 11), ("other", 11)):
        for number in range(count):
            log(store, attempt(number, webhook))
    assert store.trim_attempts(NOW + 100, kept_for=100.0) == 2
    assert store.trim_attempts(NOW + 100, kept_for=100.0) == 0
    assert logged(store, "quiet") == list(range(10))
    assert logged(store) == logged(store, "other") == list(range(1, 11))
    assert store.trim_attempts(NOW + 101.5, kept_for=100.0) == 4
    assert (logged(store, "quiet")[0], logged(store)[0]) == (2, 2)


def test_of_many_attempts_at_once_the_newest_are_logged(open_again: Open) -> None:
    store = open_again(attempts_kept=100)
    log(store, *(attempt(number) for number in range(3_000)))
    assert logged(store) == list(range(2_900, 3_000))
    for _ in range(20):
        log(store, *(attempt(number) for number in range(3_000)))
    assert len(logged(store)) < 500


def test_attempts_leave_the_log_when_their_time_is_over(store: Store) -> None:
    for number in range(600):
        log(store, attempt(number, at=NOW + number))
    log(store, attempt(9, "quiet", at=NOW))
    assert store.trim_attempts(NOW + 500, kept_for=100.0) > 0
    assert logged(store) == list(range(400, 600))
    assert logged(store, "quiet") == []
    log(store, attempt(600, at=NOW + 600), attempt(9, "quiet", at=NOW))
    assert (logged(store)[-1], logged(store, "quiet")) == (600, [9])


def test_a_log_of_no_attempts_stays_empty(open_again: Open) -> None:
    store = open_again(attempts_kept=0)
    owe(store, "a")
    log(store, attempt(1))
    assert logged(store) == []


def test_the_log_gives_way_to_what_waits_to_be_sent(open_again: Open) -> None:
    store = open_again(max_bytes=400_000)
    for number in range(39):
        log(store, attempt(number))
    assert len(logged(store)) == 39
    before = dict(store.room())
    assert before == {"hook": 0.0}
    for number in range(1_000):
        owe(store, *(f"{number}-{each}" for each in range(10)))
        if store.room()["hook"] >= 1.0:
            break
    store.trim_attempts(NOW, kept_for=1e6)
    kept = len(logged(store))
    assert kept < 39
    assert kept == 0 or store.trim_attempts(NOW, kept_for=1e6) == 0
    assert sum(counters.bytes_used for counters in store.counters()) + kept * 1024 <= 400_000
    owe(store, "late", webhook="other")
    assert names(store, "other") == ["late"]


def test_the_log_of_a_webhook_that_is_gone_for_good_goes_with_it(store: Store) -> None:
    log(store, *(attempt(number) for number in range(600)), attempt(1, "stays"))
    gone(store, "hook")
    store.trim_attempts(NOW + 599, kept_for=1e6)
    store.forget(NOW + 599)
    assert len(logged(store)) == 600
    store.forget(NOW + 601)
    assert {counters.webhook for counters in store.counters()} == {"hook", "stays"}
    store.trim_attempts(NOW + 601, kept_for=1e6)
    store.forget(NOW + 601)
    assert {counters.webhook for counters in store.counters()} == {"stays"}
    assert (logged(store, None), logged(store)) == ([1], [])


def test_a_delivery_is_found_by_its_number_and_its_event_while_it_is_pending_or_dead(store: Store) -> None:
    whole = Event("index", "a é", {"time": NOW, "text": "x"})
    enqueue(store, NewDelivery(whole, ("hook", "other")), NewDelivery(event("b"), ("hook",)))
    first, second = (store.due(name, now=NOW, limit=1)[0] for name in ("hook", "other"))
    store.record_results([DeliveryResult(first, DeliveryState.DEAD, NOW + 1, 3, 0.0, "event_refused", "too long")], ())
    dead = KeptDelivery(first._replace(attempts=3), "event_refused", "too long", NOW + 1)
    assert store.kept_deliveries(number=first.seq) == [dead]
    assert store.kept_deliveries(event=whole.id) == [dead, KeptDelivery(second, "", "", None)]
    assert store.kept_deliveries(number=77) == store.kept_deliveries(event="nothing") == []


def test_a_delivery_that_failed_can_be_made_due_at_once(store: Store, open_here: Open) -> None:
    owe(store, "a", "b")
    record_results(store, DeliveryState.PENDING, due=NOW + 3600)
    with closing(open_here(exclusive=False)) as beside:
        version = store.version()
        assert names(store) == ["b"]
        assert beside.hasten([1, 2, 77]) == 1
        assert store.version() != version
    assert names(store) == ["b", "a"]


def test_what_waits_is_read_in_its_order_whether_or_not_it_is_due(store: Store) -> None:
    owe(store, "a", "b", "c", "d")
    owe(store, "other", webhook="other")
    first, second, third, fourth = store.due("hook", now=NOW, limit=9)
    failed = DeliveryResult(first, DeliveryState.PENDING, NOW, 1, NOW + 900)
    store.record_results([failed, DeliveryResult(second, DeliveryState.DEAD, NOW, 1)], ())
    waiting = store.waiting("hook", limit=9)
    assert [delivery.event.id for delivery in waiting] == ["a", "c", "d"]
    assert (waiting[0].attempts, waiting[0].due) == (1, NOW + 900)
    assert store.waiting("hook", after=third.seq, limit=9) == [fourth]
    assert store.waiting("hook", after=first.seq, limit=1) == [third]
    numbers = [fourth.seq, first.seq, second.seq, 77]
    assert [delivery.seq for delivery in store.waiting("hook", numbers=numbers, limit=9)] == [first.seq, fourth.seq]
    assert store.waiting("hook", numbers=numbers, limit=1)[0].seq == first.seq
    assert store.waiting("nobody", limit=9) == store.waiting("hook", numbers=(), limit=9) == []


def test_what_a_digest_holds_is_known_after_a_restart_until_a_result_says_otherwise(
    store: Store, open_again: Open
) -> None:
    owe(store, "a", "b", "c")
    first, second, third = store.due("hook", now=NOW, limit=3)
    assert first.digest == ""
    store.begin_attempts([first._replace(digest="d1"), second._replace(digest="d1"), third])
    store = open_again()
    held = store.waiting("hook", limit=9)
    assert [(delivery.digest, delivery.in_doubt) for delivery in held] == [("d1", True), ("d1", True), ("", True)]
    assert store.waiting("hook", digest="d1", limit=9) == held[:2]
    assert store.waiting("hook", digest="d1", limit=1) == held[:1]
    in_doubt = DeliveryResult(held[0], DeliveryState.PENDING, NOW, 1, NOW, in_doubt=True, digest="d1")
    refused = DeliveryResult(held[1], DeliveryState.PENDING, NOW, 1, NOW)
    store.record_results([in_doubt, refused], ())
    assert [delivery.digest for delivery in store.waiting("hook", limit=9)] == ["d1", "", ""]
    assert [delivery.seq for delivery in store.waiting("hook", digest="d1", limit=9)] == [first.seq]
    (kept,) = store.kept_deliveries(number=first.seq)
    assert (kept.delivery.digest, kept.delivery.in_doubt) == ("d1", True)
    assert store.due("hook", now=NOW, limit=9)[1].digest == "d1"
    again = store.waiting("hook", numbers=[first.seq], limit=1)[0]
    store.record_results([DeliveryResult(again, DeliveryState.DEAD, NOW, 2)], ())
    assert store.replay([first.seq]) == 1
    assert store.waiting("hook", numbers=[first.seq], limit=1)[0].digest == ""
    assert counts(store) == (3, 0, 3, 0, 0)
