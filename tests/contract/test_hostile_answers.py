"""The log of deliveries beside receivers that want to fill it, to steer the terminal of who reads it, or to have it
repeat their secrets."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner

from kubectl_sew.consumers.base import Response
from kubectl_sew.consumers.classification import classify_response
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EVENT_MAPS
from sew_agent.__main__ import cli
from sew_agent.delivery.delivery_log import logged, sent
from sew_agent.store.records import (
    Delivery,
    DeliveryResult,
    DeliveryState,
    EnqueueBatch,
    LoggedAttempt,
    NewDelivery,
    ReceiverState,
)
from sew_agent.store.room import ATTEMPT
from sew_agent.store.sqlite.store import open_store
from tests.contract.test_consumers import CONFIGS, NOW, REPEATED, names

KEPT = 500
ANSWERS = 1_500
EVENTS = 10
BODY_LIMIT = 64 * 1024
"""Bytes that the agent reads of an answer, however long that is: tests/unit/agent/delivery/http."""
PIECES = [
    "\x1b[2J\x1b]0;owned\x07\x1bP$q\x1b\\",
    "\x9b31m\x90\x85\x00\x08\x7f",
    "\u202e\u2066\u200b\ufeff",
    "\r\n2026-11-29T21:14:11Z   delivered   200 OK",
    "\U0001f525" * 400,
    '"\\' * 400,
    "\udcff",
    *REPEATED.values(),
]


def answers() -> Iterator[Response]:
    """Yield answers each of which says something else, whole texts and in the forms that receivers document."""
    for number in range(ANSWERS):
        piece = PIECES[number % len(PIECES)]
        said = f"{number}{piece}" * (1 + (BODY_LIMIT // len(piece) if number % 50 == 0 else number % 7))
        shaped = {"errorMessages": [said], "errors": {said: said}, "message": said, "key": said, "error": said}
        text = json.dumps(shaped) if number % 2 else said
        status = (400, 500, 200, 201, 429, 302, 404)[number % 7]
        headers = {
            "retry-after": piece,
            "location": said,
            "content-type": ("text/html", "application/json")[number % 2],
        }
        yield Response(status, headers, text.encode("utf-8", "surrogatepass")[:BODY_LIMIT])


def attempts(name: str, deliveries: list[Delivery]) -> list[LoggedAttempt]:
    consumer, config, entries = CONSUMERS[name], CONFIGS[name], []
    for number, response in enumerate(answers()):
        delivery = deliveries[number % len(deliveries)]
        requests = consumer.render(delivery.event, {}, config, now=NOW, delivery_id=delivery.delivery_id)
        outcome = classify_response(consumer, response, NOW, config)
        result = DeliveryResult(delivery, DeliveryState.DEAD, NOW + number, 1, detail=outcome.detail)
        entries.append(logged(result, ReceiverState("hook"), NOW, outcome, sent(requests), EVENT_MAPS))
    return entries


@names
def test_a_hostile_receiver_neither_fills_the_log_nor_steers_a_terminal_nor_has_secrets_shown(
    name: str, tmp_path: Path
) -> None:
    store = open_store(tmp_path, attempts_kept=KEPT)
    hostile = [Event("", f"e{number}\x1b[2J\u202e", {"type": "waf\x1b[31m"}) for number in range(EVENTS)]
    store.enqueue(EnqueueBatch([NewDelivery(event, ("hook",)) for event in hostile], {}, NOW))
    deliveries = list(store.due("hook", now=NOW, limit=EVENTS))
    entries = attempts(name, deliveries)
    for start in range(0, len(entries), 100):
        store.record_results((), [ReceiverState("hook")], attempts=entries[start : start + 100])
    dead = [
        DeliveryResult(one, DeliveryState.DEAD, NOW, 1, detail=entries[at].detail) for at, one in enumerate(deliveries)
    ]
    store.record_results(dead, [ReceiverState("hook", parked=True, detail=entries[0].detail)])
    while store.trim_attempts(NOW, 1e9):
        pass
    left = len(store.attempts("hook"))
    store.close()

    with sqlite3.connect(tmp_path / "sew.db") as database:
        ((size,),) = database.execute("SELECT sum(length(CAST(entries AS BLOB))) FROM attempts").fetchall()
    database.close()
    assert left <= KEPT + 32
    assert size <= left * ATTEMPT

    shown, number = deliveries[0].delivery_id, str(deliveries[0].seq)
    for command in (["deliveries", "list"], ["deliveries", "show", shown], ["trace", hostile[0].id]):
        for more in ([], ["-o", "json"]):
            check_harmless([*command, *more], tmp_path)
    check_harmless(["dead-letters", "list"], tmp_path)
    check_harmless(["dead-letters", "show", number], tmp_path)


def check_harmless(command: list[str], folder: Path) -> None:
    ran = CliRunner().invoke(cli, command, env={"SEW_STATE": str(folder)})
    assert ran.exception is None
    assert ran.output.replace("\n", "").isprintable()
    ends = {form: text[-32:] for form, text in REPEATED.items()}  # a user's name before it is no secret
    assert [form for form, end in ends.items() if any(end[at : at + 12] in ran.output for at in range(21))] == []
