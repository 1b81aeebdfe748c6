"""Traces of deliveries: by a dispatcher over a real store, to a collector that reads what OpenTelemetry writes."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kubectl_sew.consumers.base import Request, Response
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event, delivery_id
from kubectl_sew.library_warnings import captured
from sew_agent.base.log import Log
from sew_agent.delivery.attempt import Route
from sew_agent.status.tracing import collector, start_tracing
from sew_agent.store.records import EnqueueBatch, NewDelivery
from testbed.otlp import Collector, Span
from tests.unit.agent.delivery.harness import NOW, TOKEN, DispatcherHarness, route
from tests.waiting import eventually

ID = delivery_id("a", Event("", "a-0", {}))


class Traced(DispatcherHarness):
    """Dispatcher whose deliveries are traced as the agent's are; what its receivers got."""

    def __init__(self, folder: Path, traces: Collector) -> None:
        self.traces, self.log, self.stack = traces, io.StringIO(), ExitStack()
        self.requests: list[Request] = []
        self.status = 204
        super().__init__(folder)
        self.receivers.answers["a"] = self.answer
        self.begin_process()

    def begin_process(self) -> None:
        """Begin as an agent does that finds this store, with the variables that there are."""
        self.tracing = start_tracing(variables(self.traces.url), Log(self.log, lambda: NOW), self.stack)
        self.restart()
        self.serve("a")

    def answer(self, request: Request) -> Response:
        self.requests.append(request)
        self.clock.now += 0.5
        return Response(self.status, {}, f"we do not know {TOKEN}".encode())

    def arrived(self, count: int) -> list[Span]:
        """Return the spans once so many have arrived."""
        eventually(lambda: len(self.traces.spans) >= count, f"{count} spans arrive")
        spans = [*self.traces.spans]
        assert len(spans) == count, spans
        return spans

    def said(self) -> list[tuple[str, str]]:
        return [(line["level"], line["event"]) for line in map(json.loads, self.log.getvalue().splitlines())]


def variables(url: str, **more: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **more}


@pytest.fixture
def traces() -> Iterator[Collector]:
    with Collector() as made:
        yield made


@pytest.fixture
def harness(tmp_path: Path, traces: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traced]:
    for name, value in variables(traces.url, OTEL_BSP_SCHEDULE_DELAY="20").items():
        monkeypatch.setenv(name, value)
    made = Traced(tmp_path, traces)
    yield made
    made.stack.close()
    made.store.close()


def by_name(spans: list[Span]) -> Mapping[str, Span]:
    return {span.name: span for span in spans}


def headers(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers}


def test_a_delivery_is_a_trace_by_its_id_with_its_time_in_the_store_and_each_attempt(harness: Traced) -> None:
    harness.enqueue("a")
    harness.clock.now += 3
    harness.status = 503
    harness.run()
    harness.status = 204
    harness.pass_time(60)
    pending, first, second, whole = harness.arrived(4)
    assert [span.name for span in (pending, first, second, whole)] == ["pending", "POST", "POST", "deliver a"]
    assert {span.trace for span in (pending, first, second, whole)} == {ID}
    assert [span.parent for span in (pending, first, second, whole)] == [whole.id] * 3 + [""]
    assert len({span.id for span in (pending, first, second, whole)}) == 4
    assert (pending.start, pending.end) == (whole.start, first.start) == (NOW, NOW + 3)
    assert (first.end, second.start, second.end) == (NOW + 3.5, NOW + 63.5, whole.end)
    assert [span.failed for span in (pending, first, second, whole)] == [False, True, False, False]
    about = {"sew.webhook": "a", "sew.consumer": "Generic"}
    sent = {"http.request.method": "POST", "server.address": "a", "server.port": 80}
    assert pending.attributes == about
    assert first.attributes == {
        **about, **sent, "sew.attempt": 1, "http.response.status_code": 503, "error.type": "server_error",
    }  # fmt: skip
    assert second.attributes == {
        **about, **sent, "sew.attempt": 2, "http.response.status_code": 204, "http.request.resend_count": 1,
    }  # fmt: skip
    assert whole.attributes == {**about, "sew.event.id": "a-0", "sew.state": "delivered", "sew.attempts": 2}
    assert whole.resource["service.name"] == "sew-agent"


def test_the_receiver_is_told_the_span_of_the_attempt(harness: Traced) -> None:
    harness.enqueue("a")
    harness.status = 503
    harness.run()
    harness.status = 204
    harness.pass_time(60)
    _, first, second, _ = harness.arrived(4)
    assert [headers(request)["traceparent"] for request in harness.requests] == [
        f"00-{ID}-{first.id}-01",
        f"00-{ID}-{second.id}-01",
    ]


def test_another_process_goes_on_in_the_same_trace(harness: Traced) -> None:
    harness.enqueue("a")
    harness.status = 503
    harness.run()
    (first,) = [span for span in harness.arrived(2) if span.name == "POST"]
    harness.begin_process()
    harness.status = 204
    harness.pass_time(60)
    *_, second, whole = harness.arrived(4)
    assert (second.trace, second.parent) == (first.trace, first.parent) == (ID, whole.id)


def test_a_webhooks_own_traceparent_is_left_to_it(harness: Traced) -> None:
    own = "00-" + 32 * "1" + "-" + 16 * "2" + "-00"
    config = {"url": "http://a/", "headers": f"Traceparent: {own}"}
    harness.dispatcher.serve({"a": Route("a", CONSUMERS["Generic"], config)})
    harness.enqueue("a")
    harness.run()
    assert [
        value for request in harness.requests for name, value in request.headers if name.lower() == "traceparent"
    ] == [own]


@pytest.mark.parametrize("consumer", [name for name in CONSUMERS if name != "Generic"])
def test_other_receivers_than_generic_ones_get_no_traceparent(harness: Traced, consumer: str) -> None:
    made = route("a", "", consumer)
    harness.dispatcher.serve({"a": made})
    harness.enqueue("a")
    harness.run()
    assert harness.requests
    assert [request for request in harness.requests if "traceparent" in headers(request)] == []


def test_what_the_sampler_leaves_out_is_not_sent_and_the_receiver_is_told_so(
    harness: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    harness.begin_process()
    harness.enqueue("a", 40)
    harness.run()
    kept = {
        headers(request)["traceparent"][3:35]
        for request in harness.requests
        if headers(request)["traceparent"][-1] == "1"
    }
    assert 5 < len(kept) < 35
    assert {span.trace for span in harness.arrived(3 * len(kept))} == kept


def test_a_digest_is_a_trace_and_what_it_holds_leads_to_it(harness: Traced) -> None:
    config = {"url": "http://a/", "digest": "1m"}
    harness.dispatcher.serve({"a": Route("a", CONSUMERS["Generic"], config, {}, "1", "1")})
    harness.enqueue("a")
    harness.run()
    assert {span.trace for span in harness.arrived(3)} == {ID}
    events = [Event("", name, {}) for name in ("b", "c")]
    harness.store.enqueue(EnqueueBatch([NewDelivery(event, ("a",)) for event in events], {}, NOW + 1))
    harness.dispatcher.notify({"a"})
    for _ in range(120):
        harness.pass_time(1)
    ids = {delivery_id("a", event) for event in events}
    spans = harness.arrived(3 + 3 + 2)[3:]
    (attempt,) = [span for span in spans if span.name == "POST"]
    assert headers(harness.requests[-1])["traceparent"] == f"00-{attempt.trace}-{attempt.id}-01"
    members = [span for span in spans if span.links]
    assert {span.trace for span in members} == ids
    assert {link for span in members for link in span.links} == {(attempt.trace, attempt.id)}
    assert {span.attributes["sew.digest"] for span in members} == {attempt.trace}


def test_what_died_says_why_and_no_span_holds_a_secret(harness: Traced) -> None:
    harness.dispatcher.serve({"a": route("a", "", "Jira")})
    harness.status = 400
    harness.enqueue("a")
    harness.run()
    *_, whole = harness.arrived(3)
    assert (whole.failed, whole.attributes["sew.state"], whole.attributes["error.type"]) == (
        True,
        "dead",
        "event_refused",
    )
    assert whole.message.startswith("400 Bad Request")
    sent = b"".join(batch.body for batch in harness.traces.batches)
    assert TOKEN.encode() not in sent
    assert b"/rest/" not in sent


def test_a_collector_that_refuses_costs_no_delivery_and_is_told_once(harness: Traced) -> None:
    harness.traces.status = 401
    for name in ("one", "two", "three"):
        harness.traces.asked.clear()
        enqueue_one(harness, name)
        harness.run()
        eventually(harness.traces.asked.is_set, "the collector is asked")
    assert len(harness.requests) == 3
    eventually(lambda: ("warning", "traces_lost") in harness.said(), "it is told")
    harness.traces.status = 200
    enqueue_one(harness, "later")
    harness.run()
    eventually(lambda: ("info", "traces_sent") in harness.said(), "it is told")
    assert harness.said() == [("info", "tracing"), ("warning", "traces_lost"), ("info", "traces_sent")]


def enqueue_one(harness: Traced, name: str) -> None:
    harness.store.enqueue(EnqueueBatch([NewDelivery(Event("", name, {}), ("a",))], {}, NOW))
    harness.dispatcher.notify({"a"})


def test_a_mistake_in_a_sampler_costs_no_delivery_and_is_told_once(
    harness: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise LookupError("of a secret")

    monkeypatch.setattr("opentelemetry.sdk.trace.sampling.ParentBased.should_sample", broken)
    harness.enqueue("a", 3)
    harness.run()
    assert not harness.store.pending_counts()
    assert harness.said() == [("info", "tracing"), ("error", "tracing_failed")]
    assert "secret" not in harness.log.getvalue()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL of http or https",
        ),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER must be otlp or none"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "0"}, "a variable of OpenTelemetry is wrong: max_queue_size must be"),
    ],
)
def test_a_wrong_variable_is_named_and_keeps_nothing_but_traces_away(
    given: Mapping[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    log = io.StringIO()
    with ExitStack() as stack:
        assert start_tracing(variables("http://127.0.0.1:9") | dict(given), Log(log, lambda: NOW), stack) is None
    (line,) = [json.loads(line) for line in log.getvalue().splitlines()]
    assert (line["level"], line["event"]) == ("warning", "tracing_off")
    assert line["message"].startswith(message)


def test_without_the_extra_the_log_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sew_agent.status.span_export", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    log = io.StringIO()
    with ExitStack() as stack:
        assert start_tracing(variables("http://127.0.0.1:9"), Log(log, lambda: NOW), stack) is None
    assert "install kubectl-sew with its extra `opentelemetry`" in json.loads(log.getvalue())["message"]


def test_no_credential_of_the_collector_gets_into_the_log(harness: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=not\x01printable-s3cret,s3cret-alone")
    warnings: list[tuple[str, str]] = []
    with captured(lambda *warning: warnings.append(warning)):
        harness.begin_process()
    assert [source for source, _ in warnings] == ["opentelemetry.util.re"]
    assert "s3cret" not in str(warnings)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"}, "http://a:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/t"}, "http://b/t"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318", "OTEL_TRACES_EXPORTER": "none"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318", "OTEL_SDK_DISABLED": "true"}, ""),
    ],
)
def test_traces_go_where_opentelemetrys_own_variables_say(given: Mapping[str, str], url: str) -> None:
    assert collector(given) == url


def test_without_a_collector_nothing_of_opentelemetry_is_loaded() -> None:
    code = (
        "import io, sys; from contextlib import ExitStack; import sew_agent.app; from sew_agent.base.log import Log;"
        "from sew_agent.status.tracing import start_tracing;"
        "assert start_tracing({}, Log(io.StringIO(), float), ExitStack()) is None;"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'google', 'requests'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
