"""Spans of deliveries, made once an attempt has ended, of what is known then: nothing is kept for them meanwhile.

A trace has the delivery's id, the 32 digits that the log and the receiver have; the ids of its spans follow from that.
So a retry, a start anew and another agent go on in the same trace. Nothing in a span is a secret: it says what the log
of deliveries says. All of it belongs to the dispatcher's thread.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from kubectl_sew.consumers.base import ContinuesTraces, Outcome, Request, Verdict
from sew_agent.base.log import Log, locate
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.delivery_log import EVENT_LIMIT, Sent, short
from sew_agent.delivery.queue import Assignment, QueueChanges
from sew_agent.store.records import Delivery, DeliveryResult, DeliveryState

_DETAIL_LIMIT = 300
_PORTS = {"http": 80, "https": 443}


class Ids(IdGenerator):  # type: ignore[misc] # the SDK is an extra, and checked without its types
    """Generator of the ids that were set for the span that is made next."""

    trace = span = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span


@dataclass(frozen=True, slots=True)
class _Span:
    """A span that has ended. `start` and `end` in seconds since the epoch; `error`: None where it went well."""

    name: str
    context: SpanContext
    start: float
    end: float
    attributes: Mapping[str, Any]
    parent: SpanContext | None = None
    kind: SpanKind = SpanKind.INTERNAL
    links: Sequence[Link] = ()
    error: str | None = None


class DeliverySpans:
    """Tracing of the dispatcher: of each delivery its time in the store, and its attempts."""

    def __init__(self, provider: TracerProvider, ids: Ids, log: Log) -> None:
        """`provider` makes spans with `ids`."""
        self._tracer = provider.get_tracer("sew-agent", version("kubectl-sew"))
        self._sampler = provider.sampler
        self._ids = ids
        self._log = log
        self._failed = False

    def mark(self, assignment: Assignment, requests: Sequence[Request]) -> Sequence[Request]:
        """Return the requests of an attempt with the `traceparent` of its span, where the receiver may have one."""
        consumer = assignment.route.consumer
        if not isinstance(consumer, ContinuesTraces):
            return requests
        try:
            context = _attempt(assignment, self._root(assignment.delivery))
            value = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
            return [consumer.in_trace(request, value) for request in requests]
        except Exception as error:  # noqa: BLE001 - as below
            self._report(error)
            return requests

    def attempted(self, assignment: Assignment, outcome: Outcome, went: Sent, changes: QueueChanges) -> None:
        """Make the spans that have ended with an attempt. `went`: what of its requests may be shown."""
        try:
            for span in self._spans(assignment, outcome, went, changes):
                self._make(span)
        except Exception as error:  # noqa: BLE001 - a mistake of ours, or a sampler's, costs spans and no delivery
            self._report(error)

    def _spans(self, made: Assignment, outcome: Outcome, went: Sent, changes: QueueChanges) -> Iterator[_Span]:
        root, result = self._root(made.delivery), changes.decision.result
        attempt = _attempt(made, root)
        if root.trace_flags.sampled:
            if not made.delivery.attempts:
                yield _pending(made, root)
            yield _sent(made, outcome, went, result, attempt, root)
            if result.state is not DeliveryState.PENDING:
                yield _whole(made.route, result, root)
        for member in changes.results if made.bundle else ():
            context = self._root(member.delivery)
            if context.trace_flags.sampled and member.state is not DeliveryState.PENDING:
                yield _whole(made.route, member, context, (Link(attempt),), digest=made.delivery.delivery_id)

    def _root(self, delivery: Delivery) -> SpanContext:
        """Return the context of a delivery's whole span: the same whoever asks, and whenever."""
        trace = int(delivery.delivery_id, 16)
        sampled = self._sampler.should_sample(Context(), trace, _name(delivery.webhook)).decision.is_sampled()
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        return SpanContext(trace, _span_id(delivery, delivery.seq), is_remote=False, trace_flags=flags)

    def _make(self, span: _Span) -> None:
        self._ids.trace, self._ids.span = span.context.trace_id, span.context.span_id
        parent = set_span_in_context(NonRecordingSpan(span.parent), Context()) if span.parent else Context()
        made = self._tracer.start_span(
            span.name, parent, span.kind, span.attributes, span.links, start_time=_nanoseconds(span.start)
        )
        if span.error is not None:
            made.set_status(StatusCode.ERROR, span.error)
        made.end(_nanoseconds(max(span.start, span.end)))

    def _report(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            message = f"spans are missing by a mistake of this program, please report it: {locate(error)}"
            self._log.error("tracing_failed", message=message)


def _attempt(made: Assignment, root: SpanContext) -> SpanContext:
    """Return the context of an attempt's span. Its start tells it from others: after a replay they count anew."""
    identity = _span_id(made.delivery, "attempt", made.started)
    return SpanContext(root.trace_id, identity, is_remote=False, trace_flags=root.trace_flags)


def _pending(made: Assignment, root: SpanContext) -> _Span:
    """Return the span from reading the event to its first attempt."""
    identity = _span_id(made.delivery, "pending", made.started)
    context = SpanContext(root.trace_id, identity, is_remote=False, trace_flags=root.trace_flags)
    return _Span("pending", context, made.delivery.read_at, made.started, _about(made.route), root)


def _sent(
    made: Assignment, outcome: Outcome, went: Sent, result: DeliveryResult, attempt: SpanContext, root: SpanContext
) -> _Span:
    """Return the span of an attempt, by the conventions for an HTTP client: its requests are one span."""
    attributes = {**_about(made.route), "sew.attempt": made.delivery.attempts + 1, **_http(went)}
    if outcome.status is not None:
        attributes["http.response.status_code"] = outcome.status
    if made.delivery.attempts:
        attributes["http.request.resend_count"] = made.delivery.attempts
    if outcome.receipt:
        attributes["sew.receipt"] = short(outcome.receipt, EVENT_LIMIT)
    error = None
    if outcome.verdict is not Verdict.DELIVERED:
        attributes["error.type"] = outcome.reason.value
        error = short(result.detail or outcome.detail, _DETAIL_LIMIT)
    kind = SpanKind.CLIENT if went.method else SpanKind.INTERNAL
    return _Span(went.method or "attempt", attempt, made.started, result.at, attributes, root, kind, error=error)


def _whole(
    route: Route, result: DeliveryResult, context: SpanContext, links: Sequence[Link] = (), *, digest: str = ""
) -> _Span:
    """Return the span of a delivery that has ended: from reading the event to its result."""
    delivery = result.delivery
    attributes = {
        **_about(route),
        "sew.event.id": short(delivery.event.id, EVENT_LIMIT),
        "sew.state": result.state.value,
        "sew.attempts": result.attempts,
    }
    if digest:
        attributes["sew.digest"] = digest
    error = None
    if result.state is DeliveryState.DEAD:
        attributes["error.type"] = result.reason
        error = short(result.detail, _DETAIL_LIMIT)
    return _Span(
        _name(delivery.webhook), context, delivery.read_at, result.at, attributes, None, links=links, error=error
    )


def _about(route: Route) -> dict[str, Any]:
    return {"sew.webhook": route.webhook, "sew.consumer": route.consumer.name}


def _http(went: Sent) -> dict[str, Any]:
    """Return method and server of the last request; of several side by side all servers."""
    if not went.method:
        return {}
    if ", " in went.to:
        return {"http.request.method": went.method, "sew.sent_to": went.to}
    attributes: dict[str, Any] = {"http.request.method": went.method}
    with suppress(ValueError):  # an address that was cut
        url = urlsplit(went.to)
        if url.hostname:
            attributes |= {"server.address": url.hostname, "server.port": url.port or _PORTS[url.scheme]}
    return attributes


def _name(webhook: str) -> str:
    return f"deliver {webhook}"


def _span_id(delivery: Delivery, *of: object) -> int:
    """Return 64 bits that follow from a delivery and from what of it the span is."""
    text = " ".join([delivery.delivery_id, *map(str, of)])
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big")


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
