"""The real agent's traces at a real collector."""

from collections.abc import Iterator

import pytest

from kubectl_sew.event import Event, delivery_id
from testbed.otlp import Collector
from tests.e2e.receivers import SwitchableReceiver
from tests.e2e.sew_agent import Folder
from tests.waiting import eventually


@pytest.fixture
def refusing() -> Iterator[SwitchableReceiver]:
    made = SwitchableReceiver(503)
    yield made
    made.receiver.close()


def test_a_delivery_is_one_trace_through_a_kill_and_a_silent_collector_keeps_no_event(
    folder: Folder, refusing: SwitchableReceiver
) -> None:
    folder.webhook("all", refusing.receiver.url + "/s3cret-path")
    folder.write(range(1))
    with Collector() as collector:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        agent = folder.start(**traced)
        eventually(lambda: [span for span in collector.spans if span.failed], "a refused attempt is traced")
        agent.kill()
        refusing.status = 200
        assert folder.start("--once", **traced).wait() == 0
        eventually(lambda: [span for span in collector.spans if not span.parent], "the whole delivery is traced")
        spans = collector.spans
        assert {span.trace for span in spans} == {delivery_id("all", Event("", "e0", {}))}
        (whole,) = [span for span in spans if not span.parent]
        assert {span.parent for span in spans if span.parent} == {whole.id}
        (accepted,) = refusing.receiver.accepted
        assert accepted.headers["traceparent"].split("-")[2] in {span.id for span in spans}
        assert not [batch for batch in collector.batches if b"s3cret" in batch.body]
    folder.write(range(1, 4))
    agent = folder.start("--once", **traced)
    assert agent.wait() == 0
    assert len(refusing.receiver.accepted) == 4
    assert len(agent.says("traces_lost")) <= 1
    assert "Traceback" not in agent.text()
