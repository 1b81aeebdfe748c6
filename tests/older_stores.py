"""What a store of an older schema holds, in a file or in PostgreSQL: tests/fixtures/README.md says who wrote it."""

from pathlib import Path

from kubectl_sew.event import Event
from sew_agent.store.contract import Store
from sew_agent.store.records import EnqueueBatch, NewDelivery

STORES = Path(__file__).parent / "fixtures/stores"
EVENTS = [
    Event(
        "",
        f"e{number}",
        {"_id": f"e{number}", "type": "waf", "severity": 90 - number, "description": f"event {number}"},
    )
    for number in range(3)
]


def dumps(kind: str) -> list[Path]:
    """Return the dumps of one kind of store, the oldest schema first."""
    return sorted(STORES.glob(f"{kind}-*.sql"), key=schema)


def schema(dump: Path) -> int:
    return int(dump.stem.rpartition("-")[2])


def assert_counts_are_kept(store: Store) -> None:
    counts = {row.webhook: (row.delivered, row.pending, row.dead) for row in store.counters()}
    assert counts == {"well": (3, 0, 0), "waits": (0, 3, 0), "dies": (2, 0, 1)}
    assert all(row.bytes_used > 0 for row in store.counters() if row.webhook != "well")


def assert_what_waits_and_what_died_is_there(store: Store) -> None:
    """With its event and its attempts."""
    due = store.due("waits", now=4e9, limit=10)
    assert sorted((delivery.event for delivery in due), key=lambda event: event.id) == EVENTS
    assert all(delivery.attempts > 0 for delivery in due)
    (letter,) = store.dead_letters()
    assert (letter.webhook, letter.event, letter.reason) == ("dies", EVENTS[0], "event_refused")
    assert store.receivers()["waits"].failures > 0
    assert store.replay([letter.number]) == 1
    assert store.pending_counts() == {"waits": 3, "dies": 1}


def assert_reading_goes_on_and_what_was_seen_is_known(store: Store) -> None:
    assert store.positions()
    batch = [NewDelivery(event, ("well", "waits", "dies")) for event in EVENTS]
    assert store.enqueue(EnqueueBatch(batch, {}, store.clock())).new == 0
