"""The log of deliveries by hand: what is listed and shown, and what can be sent again."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kubectl_sew.event import Event
from sew_agent.cli.deliveries import deliveries
from sew_agent.store.records import (
    DeliveryResult,
    DeliveryState,
    EnqueueBatch,
    LoggedAttempt,
    NewDelivery,
    ReceiverState,
)
from sew_agent.store.sqlite.store import open_store

NOW = time.time()
STATES = {"gone": DeliveryState.DELIVERED, "dead": DeliveryState.DEAD, "waits": DeliveryState.PENDING}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A store with three deliveries of `hook`: one was delivered, one is dead, and one waits for an hour."""
    store = open_store(tmp_path)
    events = [NewDelivery(Event("", name, {"id": name, "type": "waf"}), ("hook", "other")) for name in STATES]
    store.enqueue(EnqueueBatch(events, {}, NOW))
    for delivery in store.due("hook", now=NOW, limit=3):
        outcome = STATES[delivery.event.id]
        result = DeliveryResult(delivery, outcome, NOW, 1, due=NOW + 3600)
        entry = LoggedAttempt(
            "hook",
            delivery.seq,
            delivery.delivery_id,
            delivery.event.id,
            "",
            None,
            "waf",
            80,
            1,
            NOW - 600 * delivery.seq,
            12,
            outcome.value,
            "none",
            "words",
            200,
            "http://a",
            700,
            "",
            NOW + 3600 if outcome is DeliveryState.PENDING else None,
            outcome is DeliveryState.DEAD,
        )
        store.record_results([result], [ReceiverState("hook")], attempts=[entry])
    store.close()
    return tmp_path


def run(state: Path, action: str, *arguments: str) -> Any:
    return CliRunner().invoke(deliveries, [action, "--state", str(state), *arguments])


def rows(state: Path, *arguments: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(run(state, "list", "-o", "json", *arguments).output)
    return listed


def identity(state: Path, event: str) -> str:
    (row,) = rows(state, "--event", event)
    return str(row["deliveryId"])


@pytest.mark.parametrize(
    ("arguments", "events"),
    [
        ((), ["waits", "dead", "gone"]),
        (("--webhook", "hook"), ["waits", "dead", "gone"]),
        (("--webhook", "other"), []),
        (("--failed",), ["waits", "dead"]),
        (("--since", "45m"), ["dead", "gone"]),
        (("--event", "dead"), ["dead"]),
        (("--event", "dea\udcff\x1b"), []),
    ],
)
def test_attempts_are_chosen_and_listed_oldest_first(
    state: Path, arguments: tuple[str, ...], events: list[str]
) -> None:
    assert [row["event"] for row in rows(state, *arguments)] == events


def test_a_table_says_when_it_is_tried_again(state: Path) -> None:
    heading, row = run(state, "list", "--webhook", "hook", "--event", "waits").output.splitlines()
    assert heading.split() == ["TIME", "ID", "EVENT", "TYPE", "SEVERITY", "TRY", "OUTCOME", "MS", "RECEIPT", "DETAIL"]
    assert row.split()[2:9] == ["waits", "waf", "80", "1", "pending", "12", "-"]
    assert "words; not tried again before 2" in row
    assert run(state, "list", "--webhook", "other").output == "no attempts in the log\n"


def test_what_a_replay_sent_once_more_is_marked(state: Path) -> None:
    assert [row["again"] for row in rows(state)] == [False, True, False]
    assert [" 1 again " in row for row in run(state, "list").output.splitlines()[1:]] == [False, True, False]


@pytest.mark.parametrize(
    ("event", "what", "kept"), [("gone", "delivered", False), ("dead", "dead", True), ("waits", "pending", True)]
)
def test_a_delivery_is_shown_with_its_event_if_it_is_kept(state: Path, event: str, what: str, kept: bool) -> None:
    shown = run(state, "show", identity(state, event)[:10], "--webhook", "hook").output
    assert f"state: {what}\n" in shown
    assert ("the event itself is not kept" in shown) is not kept
    whole = json.loads(run(state, "show", identity(state, event), "-o", "json").output)
    assert (whole["state"], len(whole["attempts"])) == (what, 1)
    assert whole["document"] == ({"id": event, "type": "waf"} if kept else None)


MANIFEST = """
apiVersion: crd.projectcalico.org/v1
kind: SecurityEventWebhook
metadata: {name: hook}
spec:
  consumer: Generic
  state: Enabled
  query: type = waf
  config:
  - {name: url, valueFrom: {secretKeyRef: {name: receiver, key: url}}}
---
apiVersion: v1
kind: Secret
metadata: {name: receiver, namespace: tigera-intrusion-detection}
stringData: {url: "https://hooks.example/T0KEN-OF-THE-RECEIVER"}
"""


@pytest.mark.parametrize("event", ["dead", "waits"])
def test_the_request_that_would_be_sent_is_made_of_the_manifests(state: Path, tmp_path: Path, event: str) -> None:
    manifest = tmp_path / "hooks.yaml"
    manifest.write_text(MANIFEST)
    shown = run(state, "show", identity(state, event), "--webhooks", str(manifest)).output
    head, _, body = shown.partition("without its secrets:\n\n")[2].partition("\n\n")
    assert head.startswith("POST https://hooks.example/[secret]\n")
    assert f"webhook-id: {identity(state, event)}" in head.splitlines()
    assert json.loads(body) == {"id": event, "type": "waf", "labels": {}}
    assert "T0KEN" not in shown


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (None, "name the agent's manifests with --webhooks"),
        (MANIFEST.replace("name: hook", "name: other"), "there is no webhook hook in "),
        (MANIFEST.replace("Enabled", "On"), "the webhook cannot be sent with: "),
        (MANIFEST.replace("https:", "gopher:"), "the webhook cannot be sent with: "),
        (MANIFEST.replace("key: url", "key: uri"), ""),
    ],
)
def test_why_the_request_cannot_be_shown_is_said(state: Path, tmp_path: Path, manifest: str | None, why: str) -> None:
    path = tmp_path / "hooks.yaml"
    path.write_text(manifest or "")
    options = ["--webhooks", str(path)] if manifest else []
    request = json.loads(run(state, "show", identity(state, "dead"), "-o", "json", *options).output)["request"]
    assert why in request["why"]
    assert bool(request["requests"]) is (why == "")
    assert bool(request["notes"]) is (why == "")
    assert json.loads(run(state, "show", identity(state, "gone"), "-o", "json", *options).output)["request"] is None


def test_what_waits_and_what_is_dead_is_due_at_once_with_the_same_id(state: Path) -> None:
    ids = [identity(state, event) for event in ("dead", "waits")]
    assert run(state, "redeliver", *ids, "--yes").output == "2 deliveries are due at once\n"
    store = open_store(state, exclusive=False)
    assert {delivery.delivery_id for delivery in store.due("hook", now=NOW, limit=9)} == set(ids)
    store.close()


def test_nothing_is_sent_again_unless_a_person_says_so(state: Path) -> None:
    refused = run(state, "redeliver", identity(state, "dead"))
    assert refused.exit_code == 2
    assert "add --yes" in refused.output


def test_what_was_delivered_is_not_sent_again_nor_anything_beside_it(state: Path) -> None:
    error = run(state, "redeliver", identity(state, "dead"), identity(state, "gone"), "--yes").exception
    assert "(event gone) was delivered, and its event is not kept" in str(error)
    store = open_store(state, exclusive=False)
    assert store.due("hook", now=NOW, limit=9) == []
    store.close()


@pytest.mark.parametrize("action", ["show", "redeliver"])
def test_an_id_that_is_not_there_or_stands_for_several_is_named(state: Path, action: str) -> None:
    yes = ["--yes"] if action == "redeliver" else []
    assert "has no 'xyz'" in str(run(state, action, "xyz", *yes).exception)
    assert "stands for 3 deliveries" in str(run(state, action, "", *yes).exception)


def test_a_pause_that_holds_it_back_is_said(state: Path) -> None:
    store = open_store(state, exclusive=False)
    receiver = ReceiverState("hook", parked=True, held_until=time.time() + 1800, detail="401 Unauthorized")
    store.record_results((), [receiver])
    store.close()
    said = run(state, "redeliver", identity(state, "dead"), "--yes").output
    assert "hook is parked, for up to 29m more: 401 Unauthorized" in said
