"""The reconciler over a real store and real files, with routes and a tester that only record."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.query import CALICO
from kubectl_sew.validation.webhook import Accepted
from sew_agent.base.log import Log
from sew_agent.ingest.ndjson.file import NdjsonFile
from sew_agent.ingest.poller import Poller
from sew_agent.store.sqlite.store import SqliteStore, open_store
from sew_agent.webhooks.base import Snapshot
from sew_agent.webhooks.files import FileWebhooks
from sew_agent.webhooks.reconciler import Parts, Reconciler
from sew_agent.webhooks.validator import ValidationResult, WebhookValidator
from tests.unit.agent.ingest.harness import RecordingObserver


class FakeRoutes:
    def __init__(self) -> None:
        self.names: list[str] = []

    def serve(self, webhooks: Mapping[str, Accepted]) -> None:
        self.names = sorted(webhooks)


class FakeSource:
    """A source that has nothing but one snapshot."""

    def __init__(self, only: Snapshot) -> None:
        self._only = only

    def snapshot(self) -> Snapshot:
        return self._only

    def close(self) -> None:
        """Nothing is watched."""


class FakeTester:
    def __init__(self) -> None:
        self.fired: list[tuple[str, str]] = []
        self.ended: list[tuple[str, str, str]] = []

    def fire(self, webhook: Accepted, digest: str) -> None:
        self.fired.append((webhook.webhook.name, digest))

    def take_finished(self) -> list[tuple[str, str, str]]:
        ended, self.ended = self.ended, []
        return ended


class ReconcilerHarness:
    """An agent without delivery, whose clock is moved by hand."""

    def __init__(self, path: Path) -> None:
        self.now = 10_000_000_000.0
        self.steady = 5_000.0
        """Seconds of the clock that nobody sets."""
        self.beside_calico = False
        self.path = path
        (path / "webhooks").mkdir()
        (path / "events").touch()
        self.open()

    def open(self) -> None:
        self.store: SqliteStore = open_store(self.path / "state")
        self.source = NdjsonFile(self.path / "events", CALICO)
        self.routes, self.tester, self.stream = FakeRoutes(), FakeTester(), io.StringIO()
        self.poller = Poller(self.source, self.store, RecordingObserver(), page_size=100, pause=1.0, known_for=86_400.0)
        self.reported: list[ValidationResult] = []
        self.parts = parts = Parts(
            webhooks=FileWebhooks(self.path / "webhooks", secrets_namespace="n", clock=lambda: self.now),
            validator=WebhookValidator(lambda: self.source.fields, CONSUMERS),
            store=self.store,
            poller=self.poller,
            routes=self.routes,
            tester=self.tester,
            log=Log(self.stream, lambda: self.now),
        )
        self.reconciler = self.of(parts)

    def of(self, parts: Parts, start: str | float = "", *, by_number: bool = False, watch: float = 600.0) -> Reconciler:
        return Reconciler(
            parts,
            forget_after=600.0,
            start=start,
            by_number=by_number,
            beside_calico=self.beside_calico,
            changed=self.reported.append,
            steady=lambda: self.steady,
            watch=watch,
        )

    def restart(self) -> None:
        self.close()
        self.open()

    def close(self) -> None:
        self.source.close()
        self.store.close()

    def webhook(
        self, name: str, spec_state: str = "Enabled", /, query: str = "severity >= 0", **annotations: str
    ) -> None:
        """Write a manifest. `annotations`: those of ours, by the part of their names behind the slash."""
        spec = {"consumer": "Generic", "state": spec_state, "query": query}
        spec |= {"config": [{"name": "url", "value": "https://example.com/SECRET"}]}  # type: ignore[dict-item]
        ours = {f"kubectl-sew/{key}": value for key, value in annotations.items()}
        metadata = {"name": name, "annotations": ours}
        manifest = {"apiVersion": "projectcalico.org/v3", "kind": "SecurityEventWebhook", "metadata": metadata}
        (self.path / "webhooks" / f"{name}.json").write_text(json.dumps(manifest | {"spec": spec}))

    def delete(self, name: str) -> None:
        (self.path / "webhooks" / f"{name}.json").unlink()

    def step(self, seconds: float = 1.0) -> None:
        self.now += seconds
        self.steady += seconds
        self.reconciler.reconcile(self.now)
        while not self.poller.poll(self.now).done:
            pass

    def write(self, *numbers: int) -> None:
        with (self.path / "events").open("a") as file:
            file.writelines(json.dumps({"id": number, "severity": 1}) + "\n" for number in numbers)

    def pending(self, name: str) -> int:
        return next((counter.pending for counter in self.store.counters() if counter.webhook == name), 0)

    def logged(self, event: str) -> list[dict[str, object]]:
        entries = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [entry for entry in entries if entry["event"] == event]
