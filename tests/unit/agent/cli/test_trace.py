"""`sew-agent trace`: what the store knows of one event, and what manifests say where it knows nothing."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kubectl_sew.event import Event
from sew_agent.cli.trace import trace
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
EVENT = Event("", "e-1", {"id": "e-1", "type": "waf", "severity": 70})
STATES = {
    "delivered": DeliveryState.DELIVERED,
    "dead": DeliveryState.DEAD,
    "failed": DeliveryState.PENDING,
    "fresh": None,
    "old": DeliveryState.DELIVERED,
}
MANIFEST = """
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata: {name: choosy}
spec: {consumer: Slack, state: Enabled, query: severity >= 90, config: [{name: url, value: "https://hooks.slack.com/x"}]}
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    store = open_store(tmp_path / "state")
    store.enqueue(EnqueueBatch([NewDelivery(EVENT, (*STATES, "dropped"))], {}, NOW))
    for name, outcome in STATES.items():
        (delivery,) = store.due(name, now=NOW, limit=1)
        if outcome is None:
            continue
        result = DeliveryResult(delivery, outcome, NOW, 1, due=NOW + 60, reason="server_error", detail="503")
        entry = LoggedAttempt(
            name, delivery.seq, delivery.delivery_id, "e-1", "", None, "waf", 70, 1, NOW, 5,
            outcome.value, "none", "words", 200, "http://a", 9, "SEC-1" if name == "delivered" else "", NOW + 60,
        )  # fmt: skip
        store.record_results([result], [ReceiverState(name)], attempts=[] if name == "old" else [entry])
    store.close()
    return tmp_path / "state"


def run(state: Path, *arguments: str) -> Any:
    return CliRunner().invoke(trace, ["--state", str(state), *arguments])


def test_the_store_says_what_became_of_an_event_for_each_webhook(state: Path) -> None:
    said = json.loads(run(state, "e-1", "-o", "json").output)
    assert said["document"] == EVENT.document
    found = {row["webhook"]: (row["fate"], row["detail"]) for row in said["webhooks"]}
    assert found["delivered"][0] == "delivered"
    assert found["delivered"][1].endswith("at try 1; words; as SEC-1")
    assert found["dead"][0] == "dead"
    assert found["dead"][1].startswith("dead letter 2 since 2")
    assert found["failed"][0] == "pending"
    assert found["failed"][1].startswith("tried once; 503; not tried again before 2")
    assert found["fresh"] == ("pending", "not tried yet")
    assert found["old"][0] == "seen"


def test_manifests_say_which_part_of_a_query_keeps_it_out(state: Path, tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").write_text(MANIFEST)
    shown = run(state, "e-1", "--webhooks", str(tmp_path / "hooks.yaml")).output
    (row,) = [row for row in shown.splitlines() if row.startswith("choosy")]
    assert row.split(maxsplit=1)[1] == "not selected   severity >= 90: severity is 70"


def test_an_event_that_nobody_knows_comes_from_a_file(state: Path, tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").write_text(MANIFEST)
    (tmp_path / "events").write_text('no event\n{"id": "a"}\n{"id": "b", "severity": 95}\n')
    options = ("--webhooks", str(tmp_path / "hooks.yaml"), "--event-file", str(tmp_path / "events"), "-o", "json")
    rows = json.loads(run(state, "b", *options).output)["webhooks"]
    assert {row["webhook"]: row["fate"] for row in rows if row["webhook"] == "choosy"} == {"choosy": "not read"}
    assert "with the id c" in str(run(state, "c", *options).exception)
    (tmp_path / "events").write_text('[\n{"id": "a"},\n{"id": "b"}\n]\n')
    assert "`jq -c '.[]'` makes lines of it" in str(run(state, "a", *options).exception)


@pytest.mark.parametrize("name", ["e-2", "\udcff\x1b", "x" * 10_000])
def test_an_event_that_is_not_there_is_no_mistake(state: Path, name: str) -> None:
    ran = run(state, "-o", "json", "--", name)
    assert ran.exit_code == 0, ran.exception
    assert {row["fate"] for row in json.loads(ran.output)["webhooks"]} == {"unseen"}
