"""What docs/deliveries.md and docs/commands.md show is what the commands print, on a store with what they tell of."""

import json
import shlex
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from kubectl_sew.event import Event
from kubectl_sew.text import parse_rfc3339
from sew_agent.__main__ import cli
from sew_agent.store.records import (
    DeliveryResult,
    DeliveryState,
    EnqueueBatch,
    LoggedAttempt,
    NewDelivery,
    ReceiverState,
    WebhookRecord,
)
from sew_agent.store.sqlite.store import open_store
from tests.documented import Example, examples, masked

pytestmark = pytest.mark.documentation

PAGE = "docs/deliveries.md"
COMMANDS = [
    example
    for name in ("status", "backlog", "deliveries", "dead-letters")
    for example in examples("docs/commands.md", form="text", section=f"sew-agent {name}")
]
OF_A_BACKLOG = ("sew-agent status", "sew-agent backlog", "sew-agent dead-letters list")
SEVERITIES = {"e-1": 80, "e-3": 70, "e-4": 100}
ATTEMPTS = [
    ("e-1", 1, "2026-11-29T21:14:11.0Z", "delivered", 72, 200, "200 OK"),
    ("e-3", 1, "2026-11-29T21:14:11.1Z", "pending", 32, 503, "503 Service Unavailable: restarting"),
    ("e-4", 1, "2026-11-29T21:14:11.2Z", "dead", 80, 400, "400 Bad Request: field `description` is too long"),
    ("e-3", 2, "2026-11-29T21:14:12.3Z", "delivered", 2, 200, "200 OK"),
]
MANIFESTS = """
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata: {name: archive}
spec:
  consumer: Generic
  state: Enabled
  query: type = waf
  config:
  - {name: url, value: "https://archive.example.com/hooks/T0KEN"}
---
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata: {name: soc}
spec: {consumer: Slack, state: Enabled, query: severity >= 90, config: [{name: url, value: "https://hooks.slack.com/x"}]}
"""


def moment(text: str) -> float:
    seconds = parse_rfc3339(text)
    assert seconds is not None
    return seconds


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the store of an agent and its files, and in it."""
    monkeypatch.chdir(tmp_path)
    documents = {name: {"id": name, "type": "waf", "severity": severity} for name, severity in SEVERITIES.items()}
    Path("hooks.yaml").write_text(MANIFESTS)
    Path("events.ndjson").write_text("".join(json.dumps(document) + "\n" for document in documents.values()))
    store = open_store(Path("state"))
    new = [NewDelivery(Event("", name, document), ("archive",)) for name, document in documents.items()]
    store.enqueue(EnqueueBatch(new, {}, moment(ATTEMPTS[0][2])))
    due = {delivery.event.id: delivery for delivery in store.due("archive", now=moment(ATTEMPTS[0][2]), limit=3)}
    for name, attempt, ended, outcome, milliseconds, status, words in ATTEMPTS:
        at, state, delivery = moment(ended), DeliveryState(outcome), due[name]
        waits = at + 1 if state is DeliveryState.PENDING else None
        entry = LoggedAttempt(
            "archive", delivery.seq, delivery.delivery_id, name, "", None, "waf", SEVERITIES[name], attempt, at,
            milliseconds, outcome, "none", words, status, "https://archive.example.com", 60, "", waits,
        )  # fmt: skip
        result = DeliveryResult(delivery, state, at, attempt, due=waits or 0.0, reason="x", detail=words)
        store.record_results([result], [ReceiverState("archive")], attempts=[entry])
    store.close()


@pytest.fixture
def backlog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the store of an agent whose receiver fails, and in it."""
    monkeypatch.chdir(tmp_path)
    now, failure = time.time(), {"reason": "server_error", "detail": "503 Service Unavailable"}
    new = [NewDelivery(Event("", f"e-{one}", {"id": f"e-{one}", "type": "waf"}), ("archive",)) for one in range(19)]
    with closing(open_store(Path("state"))) as store:
        store.save_webhook(WebhookRecord("archive", "Enabled", now - 60))
        store.enqueue(EnqueueBatch(new, {}, now - 9))
        (first,) = store.due("archive", now=now, limit=1)
        result = DeliveryResult(first, DeliveryState.PENDING, now, 1, due=now + 12, **failure)
        receiver = ReceiverState("archive", failures=9, held_until=now + 12, since=now - 1, **failure)
        store.record_results([result], [receiver])


def prints(example: Example) -> str:
    ran = CliRunner().invoke(cli, shlex.split(example.line)[1:])
    assert ran.exception is None
    return ran.output


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("example", examples(PAGE), ids=lambda example: example.line)
def test_an_example_of_the_page_prints_what_it_shows(example: Example) -> None:
    assert prints(example) == example.shown


@pytest.mark.parametrize("example", COMMANDS, ids=lambda example: example.line)
def test_the_page_of_all_commands_shows_the_same(example: Example, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("backlog" if example.line.startswith(OF_A_BACKLOG) else "place")
    assert masked(prints(example)) == masked(example.shown)


def test_the_page_has_examples_of_each_command() -> None:
    assert [example.line.split()[1:3] for example in examples(PAGE)] == [
        ["deliveries", "list"],
        ["deliveries", "show"],
        ["trace", "e-3"],
    ]
