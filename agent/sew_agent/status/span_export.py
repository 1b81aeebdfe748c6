"""Export of spans by OpenTelemetry's SDK, in its own thread and by its own variables, told in our log."""

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from importlib.metadata import version
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from kubectl_sew.library_warnings import capture_client
from kubectl_sew.redaction import redactor
from sew_agent.base.log import Log
from sew_agent.base.threads import NoThreadError, start_thread
from sew_agent.status.spans import DeliverySpans, Ids

_GRACE = 5.0
"""Seconds for the last spans when the agent ends."""
_HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
"""Variables that hold credentials, as `name=value,name=value`."""


def start(place: str, log: Log, stack: ExitStack) -> DeliverySpans:
    """Begin to export; `stack` ends it. `place`: the collector, as it may be shown. Raises what the SDK raises."""
    _capture()
    ids, session = Ids(), _Session()
    provider = TracerProvider(id_generator=ids, resource=_resource(), shutdown_on_exit=False)
    exporter = _Exporter(OTLPSpanExporter(session=session), session, place, log)
    processor = BatchSpanProcessor(exporter)
    provider.add_span_processor(processor)
    stack.callback(_end, processor, exporter)
    return DeliverySpans(provider, ids, log)


class _Session(requests.Session):
    """Session that keeps why the collector did not take the last batch; "" where it did."""

    why = ""

    def request(self, *arguments: Any, **named: Any) -> requests.Response:
        try:
            answer = super().request(*arguments, **named)
        except Exception as error:
            self.why = type(error).__name__  # its text holds the URL
            raise
        self.why = "" if 200 <= answer.status_code < 300 else f"it answers {answer.status_code}"
        return answer


class _Exporter(SpanExporter):  # type: ignore[misc] # the SDK is an extra, and checked without its types
    """Exporter that says once that spans are lost, and once that they are taken again."""

    def __init__(self, to: SpanExporter, session: _Session, place: str, log: Log) -> None:
        self._to = to
        self._session = session
        self._place = place
        self._log = log
        self.taken = True
        """Whether the collector took the last batch."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._to.export(spans)
        taken = result is SpanExportResult.SUCCESS and not self._session.why
        if taken != self.taken:
            self.taken = taken
            self._tell()
        return result

    def shutdown(self) -> None:
        self._to.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return bool(self._to.force_flush(timeout_millis))

    def _tell(self) -> None:
        if self.taken:
            self._log.info("traces_sent", collector=self._place, message="it takes traces again")
        else:
            why = self._session.why or "a batch could not be sent"
            message = "traces are lost until the collector takes them; events are delivered all the same"
            self._log.warning("traces_lost", collector=self._place, detail=why, message=message)


def _capture() -> None:
    """Take what the SDK logs, from now on: nothing of it goes to stderr, and no credential into our log."""
    headers = [os.environ.get(name, "") for name in _HEADERS]
    members = [member.strip() for text in headers for member in text.split(",") if member.strip()]
    values = [member.partition("=")[2].strip() for member in members]
    capture_client(redactor(*members, *filter(None, values)))
    # It says of each batch, with the URL, what `_Exporter` says once.
    logging.getLogger(OTLPSpanExporter.__module__).disabled = True


def _resource() -> Resource:
    """Return what the spans are of: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES count before our own words."""
    own = {"service.name": "sew-agent", "service.version": version("kubectl-sew")}
    return Resource.create(own | dict(OTELResourceDetector().detect().attributes))


def _end(processor: BatchSpanProcessor, exporter: _Exporter) -> None:
    """Send the last spans. The SDK would wait half a minute for a silent collector; one that failed gets no time."""
    with suppress(NoThreadError):
        thread = start_thread(processor.shutdown, "tracing-end")
        thread.join(_GRACE if exporter.taken else 0.0)
        if thread.is_alive():
            exporter.shutdown()
