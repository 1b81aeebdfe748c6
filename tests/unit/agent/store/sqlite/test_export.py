"""A whole store, as another one is filled from it."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from kubectl_sew.event import Event
from sew_agent.store.records import DeliveryResult, DeliveryState, EnqueueBatch, ManualAction, NewDelivery
from sew_agent.store.sqlite.export import last_numbers, tables
from sew_agent.store.sqlite.files import DATABASE
from sew_agent.store.sqlite.store import open_store

NOW = 1_800_000_000.0


def exported(folder: Path) -> tuple[dict[str, list[dict[str, Any]]], Sequence[tuple[str, str, int]]]:
    """Return the rows of each table, by column, and the last numbers."""
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        read = {
            name: [dict(zip(columns.split(", "), row, strict=True)) for row in rows]
            for name, columns, rows in tables(db)
        }
        return read, last_numbers(db)


def test_each_table_has_its_rows_and_texts_that_may_be_any_are_bytes(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        events = [Event("i", name, {"n": name}) for name in ("a", "b")]
        store.enqueue(EnqueueBatch([NewDelivery(event, ("hook",), time=NOW) for event in events], {"common": "7"}, NOW))
        (first, _) = store.due("hook", now=NOW, limit=2)
        store.record_results([DeliveryResult(first, DeliveryState.DELIVERED, NOW, 1)], ())
    read, _ = exported(tmp_path)
    assert list(read) == [
        *("readers", "webhooks", "gone", "dropped", "seen", "events", "deliveries", "released"),
        *("moments", "actions", "attempts"),
    ]
    assert read["readers"] == [{"name": "common", "position": "7"}]
    assert [(row["name"], row["delivered"], row["pending"]) for row in read["webhooks"]] == [("hook", 1, 1)]
    assert [row["name"] for row in read["events"]][-1] == b"b"
    assert [(row["seq"], row["time"], row["digest"]) for row in read["deliveries"]] == [(2, NOW, "")]
    assert len(read["seen"]) == 2


def test_no_number_that_was_given_is_given_again(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        new = [NewDelivery(Event("", name, {}), (hook,)) for name, hook in (("a", "x"), ("b", "y"), ("c", "y"))]
        store.enqueue(EnqueueBatch(new, {}, NOW))
        store.record_action(ManualAction(0, NOW, "somebody", "purge", "x", 1))
        last = store.due("y", now=NOW, limit=2)[1]
        store.record_results([DeliveryResult(last, DeliveryState.DELIVERED, NOW, 1)], ())
    assert exported(tmp_path)[1] == [
        ("webhooks", "id", 2),
        ("events", "id", 3),
        ("deliveries", "seq", 3),
        ("actions", "id", 1),
    ]
