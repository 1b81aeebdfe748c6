"""State Debug: every event is logged, and a slow template delays no reader."""

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from kubectl_sew.consumers.generic import Generic
from kubectl_sew.event import Event
from kubectl_sew.query import parse
from kubectl_sew.redaction import Secret
from kubectl_sew.resource.model import State, Webhook
from kubectl_sew.validation.webhook import Accepted
from sew_agent.base.log import Log
from sew_agent.base.metrics import Metrics
from sew_agent.ingest.source import Arrival
from sew_agent.status.debug_log import ROOM
from sew_agent.status.telemetry import IngestTelemetry
from sew_agent.store.records import EnqueueResult
from tests import threads

NOW = 1_800_000_000.0


@dataclass(frozen=True)
class Slow(Generic):
    """Renders once it may."""

    free: threading.Event = field(default_factory=threading.Event)

    def render(self, *args, **named):  # type: ignore[no-untyped-def]
        self.free.wait(20)
        return super().render(*args, **named)


class DebugLogHarness:
    def __init__(self) -> None:
        self.slow, self.out = Slow(), io.StringIO()
        webhook = Webhook("w", "Generic", State.DEBUG, "type = waf")
        config = {"url": "https://hooks.example/T0K3N"}
        self.accepted = Accepted(webhook, self.slow, config, {}, parse("type = waf"))
        self.reading = IngestTelemetry(Log(self.out, lambda: NOW), Metrics(), lambda: NOW, lambda _: None)

    def read(self, *, events: int) -> None:
        self.reading.serve({"w": self.accepted})
        arrivals = [Arrival(Event("i", str(n), {"type": "waf"}), ("w",), NOW) for n in range(events)]
        self.reading.enqueued(arrivals, EnqueueResult(events, 0))

    def logged(self) -> list[dict[str, object]]:
        self.slow.free.set()
        self.reading.close()
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


@pytest.fixture
def harness() -> Iterator[DebugLogHarness]:
    made = DebugLogHarness()
    yield made
    made.slow.free.set()
    made.reading.close()


def test_who_reads_does_not_wait_for_a_rendering(harness: DebugLogHarness) -> None:
    harness.read(events=3)
    assert harness.out.getvalue() == ""


def test_every_event_is_reported_with_what_would_be_sent_before_the_process_ends(harness: DebugLogHarness) -> None:
    harness.read(events=3)
    lines = harness.logged()
    assert [(line["event"], line["webhook"], line["id"]) for line in lines] == [
        ("debug_event", "w", str(n)) for n in range(3)
    ]
    assert all("POST hooks.example: {" in str(line["would_send"]) for line in lines)
    assert "T0K3N" not in str(lines)


def test_of_more_events_than_can_wait_id_and_type_are_reported(harness: DebugLogHarness) -> None:
    harness.read(events=ROOM + 9)
    lines = harness.logged()
    assert sorted(int(str(line["id"])) for line in lines) == list(range(ROOM + 9))
    assert 0 < sum("not shown" in str(line["would_send"]) for line in lines) <= 9


def test_nothing_is_reported_of_webhooks_in_other_states(harness: DebugLogHarness) -> None:
    harness.accepted = replace(harness.accepted, webhook=replace(harness.accepted.webhook, state=State.ENABLED))
    harness.read(events=3)
    assert harness.logged() == []


def test_a_body_made_by_a_template_from_a_secret_is_not_logged(harness: DebugLogHarness) -> None:
    config = {"url": "https://hooks.example/x", "template": Secret('{"routing_key": "R0UT1NG", "t": "{{ type }}"}')}
    harness.accepted = replace(harness.accepted, config=config)
    harness.read(events=1)
    (lines,) = harness.logged()
    assert "POST hooks.example: [secret]: the template is in a Secret" in str(lines["would_send"])
    assert "R0UT1NG" not in str(lines)


def test_a_secret_at_any_place_of_a_body_is_not_logged_in_part(harness: DebugLogHarness) -> None:
    for blanks in range(440, 500, 4):
        template = '{"t": "' + "x" * blanks + '", "u": "T0K3N-of-hooks-example"}'
        config = {"url": "https://hooks.example/T0K3N-of-hooks-example", "template": template}
        harness.accepted = replace(harness.accepted, config=config)
        harness.read(events=1)
    assert "T0K3" not in str(harness.logged())


def test_where_the_system_gives_no_more_threads_an_event_is_reported_without_what_would_be_sent(
    harness: DebugLogHarness,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        threads.refuse(patch, "debug")
        harness.read(events=1)
    harness.read(events=1)
    first, second = harness.logged()
    assert "not shown: the system gives no more threads" in str(first["would_send"])
    assert "POST hooks.example" in str(second["would_send"])
