"""State Debug: every event is told, and what takes long to render holds up nobody who reads."""

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
from kubectl_sew.validation import Accepted
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


class Scene:
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

    def told(self) -> list[dict[str, object]]:
        self.slow.free.set()
        self.reading.close()
        return [json.loads(each) for each in self.out.getvalue().splitlines()]


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.slow.free.set()
    made.reading.close()


def test_who_reads_does_not_wait_for_a_rendering(scene: Scene) -> None:
    scene.read(events=3)
    assert scene.out.getvalue() == ""


def test_every_event_is_told_with_what_would_be_sent_before_the_process_ends(scene: Scene) -> None:
    scene.read(events=3)
    told = scene.told()
    assert [(each["event"], each["webhook"], each["id"]) for each in told] == [
        ("debug_event", "w", str(n)) for n in range(3)
    ]
    assert all("POST hooks.example: {" in str(each["would_send"]) for each in told)
    assert "T0K3N" not in str(told)


def test_of_more_events_than_can_wait_id_and_type_are_told(scene: Scene) -> None:
    scene.read(events=ROOM + 9)
    told = scene.told()
    assert sorted(int(str(each["id"])) for each in told) == list(range(ROOM + 9))
    assert 0 < sum("not shown" in str(each["would_send"]) for each in told) <= 9


def test_nothing_is_told_of_webhooks_in_other_states(scene: Scene) -> None:
    scene.accepted = replace(scene.accepted, webhook=replace(scene.accepted.webhook, state=State.ENABLED))
    scene.read(events=3)
    assert scene.told() == []


def test_a_body_made_by_a_template_from_a_secret_is_not_told(scene: Scene) -> None:
    config = {"url": "https://hooks.example/x", "template": Secret('{"routing_key": "R0UT1NG", "t": "{{ type }}"}')}
    scene.accepted = replace(scene.accepted, config=config)
    scene.read(events=1)
    (told,) = scene.told()
    assert "POST hooks.example: [secret]: the template is in a Secret" in str(told["would_send"])
    assert "R0UT1NG" not in str(told)


def test_a_secret_at_any_place_of_a_body_is_not_told_in_part(scene: Scene) -> None:
    for blanks in range(440, 500, 4):
        template = '{"t": "' + "x" * blanks + '", "u": "T0K3N-of-hooks-example"}'
        config = {"url": "https://hooks.example/T0K3N-of-hooks-example", "template": template}
        scene.accepted = replace(scene.accepted, config=config)
        scene.read(events=1)
    assert "T0K3" not in str(scene.told())


def test_where_the_system_gives_no_more_threads_an_event_is_told_without_what_would_be_sent(scene: Scene) -> None:
    with pytest.MonkeyPatch.context() as patch:
        threads.refuse(patch, "debug")
        scene.read(events=1)
    scene.read(events=1)
    first, second = scene.told()
    assert "not shown: the system gives no more threads" in str(first["would_send"])
    assert "POST hooks.example" in str(second["would_send"])
