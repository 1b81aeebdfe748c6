"""What is wanted, applied: over a real store, real files, and a sender that only remembers what it was told."""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.query import CALICO
from kubectl_sew.validation import Accepted
from sew_agent.base.log import Log
from sew_agent.ingest.ndjson.file import NdjsonFile
from sew_agent.ingest.poller import Poller
from sew_agent.ingest.readers import dedicated_cursor
from sew_agent.store.records import DeliveryResult, DeliveryState, StoreError
from sew_agent.store.sqlite.store import SqliteStore, open_store
from sew_agent.webhooks.files import FileWebhooks
from sew_agent.webhooks.reconciler import Parts, Reconciler
from sew_agent.webhooks.validator import ValidationResult, WebhookValidator
from tests.unit.agent.ingest.test_poller import Witness


class FakeRoutes:
    def __init__(self) -> None:
        self.names: list[str] = []

    def serve(self, webhooks: Mapping[str, Accepted]) -> None:
        self.names = sorted(webhooks)


class Samples:
    def __init__(self) -> None:
        self.fired: list[tuple[str, str]] = []
        self.ended: list[tuple[str, str, str]] = []

    def fire(self, webhook: Accepted, digest: str) -> None:
        self.fired.append((webhook.webhook.name, digest))

    def finished(self) -> list[tuple[str, str, str]]:
        found, self.ended = self.ended, []
        return found


class Stage:
    """An agent without delivery, whose clock is moved by hand."""

    def __init__(self, path: Path) -> None:
        self.now = 10_000_000_000.0
        self.path = path
        (path / "webhooks").mkdir()
        (path / "events").touch()
        self.open()

    def open(self) -> None:
        self.store: SqliteStore = open_store(self.path / "state")
        self.source = NdjsonFile(self.path / "events", CALICO)
        self.routes, self.tester, self.stream = FakeRoutes(), Samples(), io.StringIO()
        self.poller = Poller(self.source, self.store, Witness(), page_size=100, pause=1.0)
        self.told: list[ValidationResult] = []
        parts = Parts(
            webhooks=FileWebhooks(self.path / "webhooks", secrets_namespace="n", clock=lambda: self.now),
            validator=WebhookValidator(lambda: self.source.fields, CONSUMERS),
            store=self.store,
            poller=self.poller,
            routes=self.routes,
            tester=self.tester,
            log=Log(self.stream, lambda: self.now),
        )
        self.reconciler = Reconciler(parts, forget_after=600.0, changed=self.told.append)

    def restart(self) -> None:
        self.close()
        self.open()

    def close(self) -> None:
        self.source.close()
        self.store.close()

    def webhook(self, name: str, state: str = "Enabled", query: str = "severity >= 0") -> None:
        spec = {"consumer": "Generic", "state": state, "query": query}
        spec |= {"config": [{"name": "url", "value": "https://example.com/SECRET"}]}  # type: ignore[dict-item]
        manifest = {"apiVersion": "projectcalico.org/v3", "kind": "SecurityEventWebhook", "metadata": {"name": name}}
        (self.path / "webhooks" / f"{name}.json").write_text(json.dumps(manifest | {"spec": spec}))

    def delete(self, name: str) -> None:
        (self.path / "webhooks" / f"{name}.json").unlink()

    def step(self, seconds: float = 1.0) -> None:
        self.now += seconds
        self.reconciler.reconcile(self.now)
        while not self.poller.poll(self.now).done:
            pass

    def write(self, *numbers: int) -> None:
        with (self.path / "events").open("a") as file:
            file.writelines(json.dumps({"id": number, "severity": 1}) + "\n" for number in numbers)

    def pending(self, name: str) -> int:
        return next((each.pending for each in self.store.counters() if each.webhook == name), 0)

    def says(self, event: str) -> list[dict[str, object]]:
        entries = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [entry for entry in entries if entry["event"] == event]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


def test_a_new_webhook_is_read_for_from_the_beginning_and_sent_for(stage: Stage) -> None:
    stage.write(1, 2)
    stage.webhook("a")
    stage.step()
    stage.webhook("b")
    stage.step()
    assert (stage.pending("a"), stage.pending("b")) == (2, 2)
    assert stage.routes.names == ["a", "b"]


def test_a_restart_begins_nothing_again(stage: Stage) -> None:
    stage.write(1)
    stage.webhook("a")
    stage.step()
    stage.restart()
    stage.write(2)
    stage.step()
    assert stage.pending("a") == 2
    assert dedicated_cursor("a") not in stage.store.positions()


def test_a_deleted_webhook_stops_at_once_and_is_forgotten_after_its_time(stage: Stage) -> None:
    stage.write(1)
    stage.webhook("a")
    stage.step()
    stage.delete("a")
    stage.step()
    stage.write(2)
    stage.step(599)
    assert stage.routes.names == []
    assert stage.pending("a") == 1
    stage.step(2)
    assert stage.pending("a") == 0
    assert stage.store.counters()[0].dropped == {"deleted": 1}
    assert stage.says("webhook_forgotten")[0]["dropped"] == 1


def test_one_that_is_made_again_in_time_misses_nothing(stage: Stage) -> None:
    stage.write(1)
    stage.webhook("a")
    stage.step()
    stage.delete("a")
    stage.step()
    stage.write(2)
    stage.step()
    stage.restart()
    stage.step()
    stage.webhook("a")
    stage.step()
    assert stage.pending("a") == 2


def test_one_that_is_made_again_later_begins_as_new_and_gets_nothing_twice(stage: Stage) -> None:
    stage.write(1)
    stage.webhook("a")
    stage.step()
    stage.delete("a")
    stage.step()
    stage.step(601)
    stage.write(2)
    stage.webhook("a")
    stage.step()
    assert stage.pending("a") == 1
    assert stage.store.counters()[0].dropped == {"deleted": 1}


def test_what_comes_while_a_webhook_is_disabled_is_not_its_own(stage: Stage) -> None:
    stage.write(1)
    stage.webhook("a")
    stage.step()
    stage.webhook("a", "Disabled")
    stage.step()
    stage.write(2)
    stage.restart()
    stage.step()
    assert stage.routes.names == []
    stage.webhook("a")
    stage.step()
    stage.write(3)
    stage.step()
    assert stage.pending("a") == 2


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_what_was_not_read_yet_when_a_webhook_was_disabled_is_still_its_own(stage: Stage, *, restart: bool) -> None:
    stage.webhook("b")
    stage.webhook("a")
    stage.step()
    stage.store._max_bytes = 1000
    stage.write(1)
    stage.step()
    stage.write(*range(2, 300))
    stage.reconciler.reconcile(stage.now)
    for _ in range(5):
        stage.poller.poll(stage.now)
    assert stage.pending("a") == 1
    stage.webhook("a", "Disabled")
    stage.reconciler.reconcile(stage.now)
    stage.store._max_bytes = 2**31
    for _ in range(9):
        stage.step(2.0)
    stage.write(*range(1000, 1500))
    stage.step()
    if restart:
        stage.restart()
    stage.step()
    assert stage.pending("a") == 1
    stage.webhook("a")
    stage.write(5000)
    for _ in range(9):
        stage.step(2.0)
    assert 300 <= stage.pending("a") <= 300 + 100
    assert stage.pending("b") == 300 - 1 + 500 + 1
    assert [row for row in stage.store.positions() if row != "common"] == []


def test_an_invalid_webhook_is_named_with_what_to_do_and_the_others_go_on(stage: Stage) -> None:
    stage.webhook("a")
    stage.webhook("b", query="severity >")
    stage.step()
    assert stage.routes.names == ["a"]
    refused = stage.says("webhook_refused")
    assert [(each["webhook"], each["reason"]) for each in refused] == [("b", "QueryParsing")]
    stage.step()
    assert len(stage.says("webhook_refused")) == 1
    assert list(stage.told[-1].invalid) == ["b"]


def test_a_webhook_that_became_invalid_keeps_its_deliveries_and_catches_up_when_it_is_mended(stage: Stage) -> None:
    stage.write(1)
    stage.webhook("a")
    stage.step()
    stage.webhook("a", query="severity >")
    stage.step()
    stage.write(2)
    stage.step(1000)
    assert stage.pending("a") == 1
    stage.webhook("a")
    stage.step()
    assert stage.pending("a") == 2


def test_a_test_is_fired_once_for_each_content_also_over_restarts(stage: Stage) -> None:
    stage.webhook("a", "Test")
    stage.step()
    ((name, digest),) = stage.tester.fired
    stage.tester.ended.append((name, digest, "2026-01-01T00:00:00Z delivered"))
    stage.step()
    assert stage.store.webhook_records()["a"].test_result == "2026-01-01T00:00:00Z delivered"
    stage.restart()
    stage.step()
    assert stage.tester.fired == []
    stage.webhook("a", "Test", query="severity > 1")
    stage.step()
    assert len(stage.tester.fired) == 1


def test_no_secret_is_logged(stage: Stage) -> None:
    stage.webhook("a")
    stage.webhook("b", query="severity >")
    stage.step()
    assert "SECRET" not in stage.stream.getvalue()


def test_nothing_is_done_while_nothing_changes(stage: Stage) -> None:
    stage.webhook("a")
    stage.step()
    stage.routes.names = ["untouched"]
    stage.step()
    assert stage.routes.names == ["untouched"]


def test_time_disabled_is_taken_off_before_anything_is_sent_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.write(1)
    stage.webhook("a")
    stage.step()
    (delivery,) = stage.store.due("a", now=stage.now, limit=1)
    stage.store.record_results([DeliveryResult(delivery, DeliveryState.PENDING, stage.now, 1)], ())
    stage.webhook("a", state="Disabled")
    stage.step()
    seen: list[float | None] = []

    def look(webhooks: Mapping[str, Accepted]) -> None:
        seen.extend(each.first_attempt for name in webhooks for each in stage.store.due(name, now=stage.now, limit=1))

    monkeypatch.setattr(stage.routes, "serve", look)
    stage.webhook("a")
    stage.step(80 * 3600.0)
    assert seen == [pytest.approx(stage.now, abs=10.0)]


def test_time_disabled_is_taken_off_once_however_often_the_step_fails_after_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.write(1)
    stage.webhook("a")
    stage.step()
    (delivery,) = stage.store.due("a", now=stage.now, limit=1)
    stage.store.record_results([DeliveryResult(delivery, DeliveryState.PENDING, stage.now, 1)], ())
    stage.webhook("a", state="Disabled")
    stage.step()

    def fail(_: Mapping[str, Accepted]) -> None:
        raise StoreError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(stage.routes, "serve", fail)
        stage.webhook("a")
        for seconds in (3600.0, 1.0, 1.0):
            with pytest.raises(StoreError):
                stage.step(seconds)
    stage.step()
    (delivery,) = stage.store.due("a", now=stage.now, limit=1)
    assert delivery.first_attempt == pytest.approx(stage.now, abs=10.0)
