"""Traces of deliveries, by OpenTelemetry's own variables. Its SDK is loaded only where they name a collector."""

from collections.abc import Mapping
from contextlib import ExitStack

from kubectl_sew.json_text import line
from sew_agent.base.log import Log, locate
from sew_agent.delivery.dispatcher import Tracing
from sew_agent.delivery.peers import address

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
_WHAT_SDK_IS_OF = ("opentelemetry", "google", "requests")
_SHOWN = 200


def collector(environment: Mapping[str, str]) -> str:
    """Return the URL of the collector that gets traces; "" where none is named, or traces are switched off."""
    off = _given(environment, "OTEL_SDK_DISABLED") == "true" or _given(environment, "OTEL_TRACES_EXPORTER") == "none"
    return "" if off else _first(environment, _ENDPOINTS)


def start_tracing(environment: Mapping[str, str], log: Log, stack: ExitStack) -> Tracing | None:
    """Return what makes spans of deliveries and sends them, until `stack` ends it; None where traces are off.

    What keeps it from starting is logged, and keeps no event from being delivered.
    """
    url = collector(environment)
    if not url:
        return None
    why = _cannot_send(environment, url)
    tracing = None if why else _load(address(url), log, stack)
    if why:
        log.warning("tracing_off", message=why)
    elif tracing:
        log.info("tracing", collector=address(url))
    return tracing


def _load(place: str, log: Log, stack: ExitStack) -> Tracing | None:
    try:
        from sew_agent.status.span_export import start  # noqa: PLC0415 - an extra, which costs memory

        return start(place, log, stack)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _WHAT_SDK_IS_OF:
            raise
        # In words: the log cuts the address that a command would name.
        why = "traces need OpenTelemetry's SDK: install kubectl-sew with its extra `opentelemetry`"
    except ValueError as error:
        why = f"a variable of OpenTelemetry is wrong: {line(str(error), _SHOWN)}"
    except Exception as error:  # noqa: BLE001 - whatever the SDK raises: events are delivered without it
        why = f"OpenTelemetry's SDK cannot start: {locate(error)}"
    log.warning("tracing_off", message=why)
    return None


def _cannot_send(environment: Mapping[str, str], url: str) -> str:
    """Return why no traces can be sent as the variables ask; "" where they can."""
    if not url.startswith(("http://", "https://")):
        name = next(name for name in _ENDPOINTS if _given(environment, name))
        return f"{name} must be a URL of http or https, such as http://collector:4318"
    if (exporter := _given(environment, "OTEL_TRACES_EXPORTER")) not in ("", "otlp"):
        return f"OTEL_TRACES_EXPORTER must be otlp or none, but is {line(exporter, _SHOWN)!r}"
    if (protocol := _first(environment, _PROTOCOLS)) not in ("", _PROTOCOL):
        name = next(name for name in _PROTOCOLS if _given(environment, name))
        return f"{name} must be {_PROTOCOL} (port 4318 of most collectors), but is {line(protocol, _SHOWN)!r}"
    return ""


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((given for name in names if (given := _given(environment, name))), "")


def _given(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "").strip()
