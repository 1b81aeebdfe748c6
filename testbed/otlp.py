"""A collector of traces on loopback: it reads OTLP over HTTP by OpenTelemetry's own messages."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from testbed.receivers import Answer, Incoming, Receiver


@dataclass(frozen=True)
class Span:
    """A span as it arrived: ids in hexadecimal digits, "" for none; times in seconds since the epoch."""

    name: str
    trace: str
    id: str
    parent: str
    start: float
    end: float
    failed: bool
    message: str
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any] = field(repr=False)
    links: Sequence[tuple[str, str]] = ()
    """Trace and span of each."""


class Collector:
    """A collector that answers each batch with `status`."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.asked = threading.Event()
        """Set once a batch has arrived, whatever came of it."""
        self._receiver = Receiver(self._answer)

    @property
    def url(self) -> str:
        return self._receiver.url

    @property
    def batches(self) -> Sequence[Incoming]:
        """What was accepted."""
        return self._receiver.accepted

    @property
    def spans(self) -> Sequence[Span]:
        """What was in it."""
        return [span for incoming in [*self.batches] for span in _spans(incoming.body)]

    def _answer(self, incoming: Incoming) -> Answer:
        self.asked.set()
        return Answer(self.status if incoming.path == "/v1/traces" else 404)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.close()


def _spans(body: bytes) -> Iterator[Span]:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        for span in (span for scope in group.scope_spans for span in scope.spans):
            yield Span(
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                span.start_time_unix_nano / 1e9,
                span.end_time_unix_nano / 1e9,
                span.status.code == span.status.STATUS_CODE_ERROR,
                span.status.message,
                _values(span.attributes),
                _values(group.resource.attributes),
                [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
            )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
