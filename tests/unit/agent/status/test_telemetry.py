"""What the log says of deliveries, by a dispatcher over a real store."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from sew_agent.base.log import Log
from sew_agent.base.metrics import Metrics
from sew_agent.delivery.retry import is_failing
from sew_agent.status.telemetry import DeliveryTelemetry
from tests.unit.agent.delivery.harness import NOW, DispatcherHarness, status


class LoggedDeliveryHarness(DispatcherHarness):
    """Dispatcher that is observed as the agent's own is."""

    def begin_process(self) -> io.StringIO:
        """Begin as an agent does that finds this store; return its log."""
        log = io.StringIO()
        failing = {name for name, receiver in self.store.receivers().items() if is_failing(receiver)}
        self.observer = DeliveryTelemetry(Log(log, lambda: NOW), Metrics(), failing)  # type: ignore[assignment]
        self.restart()
        self.serve("a")
        return log


def events(log: io.StringIO) -> list[tuple[Any, Any]]:
    return [(line["event"], line["webhook"]) for line in map(json.loads, log.getvalue().splitlines())]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_recovery_is_logged_once_also_where_the_failure_was_before_a_restart(tmp_path: Path, restarted: bool) -> None:
    harness = LoggedDeliveryHarness(tmp_path)
    log = harness.begin_process()
    harness.enqueue("a", 3)
    harness.receivers.answers["a"] = status(401)
    harness.run()
    assert set(events(log)) == {("webhook_parked", "a")}
    harness.receivers.answers.clear()
    before = len(events(log))
    if restarted:
        log, before = harness.begin_process(), 0
    harness.pass_time(7200)
    harness.pass_time(7200)
    assert not harness.store.pending_counts()
    assert events(log)[before:] == [("webhook_recovered", "a")]
    harness.store.close()
