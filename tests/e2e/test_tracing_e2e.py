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


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_the_collectors_address_is_no_receivers(folder: Folder, variable: str) -> None:
    where = "http://203.0.113.7:4318"  # of nobody: https://www.rfc-editor.org/rfc/rfc5737
    folder.webhook("all", f"{where}/s3cret-path")
    folder.write(range(1))
    agent = folder.start(**{variable: where, "OTEL_TRACES_SAMPLER": "always_off"})
    eventually(lambda: agent.says("webhook_parked"), "it is refused")
    parked = agent.says("webhook_parked")[0]  # it is tried a few times
    assert parked["reason"] == "egress_refused"
    assert "the agent's own collector of traces is refused unless SEW_EGRESS_ALLOW allows it" in parked["detail"]
    assert agent.terminate() == 0
    assert "s3cret" not in agent.text()


def test_a_collector_whose_address_is_allowed_may_be_a_receiver(folder: Folder) -> None:
    with Collector() as collector:
        folder.webhook("all", f"{collector.url}/v1/traces")
        folder.write(range(1))
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_TRACES_SAMPLER": "always_off"}
        assert folder.start("--once", SEW_EGRESS_ALLOW="127.0.0.1", **named).wait() == 0
        (accepted,) = collector.batches
        assert accepted.headers["webhook-id"] == delivery_id("all", Event("", "e0", {}))
