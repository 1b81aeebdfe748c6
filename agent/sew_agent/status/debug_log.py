"""State Debug: a log line for each event with the requests that would be sent, without a secret."""

from collections.abc import Callable
from queue import Full, Queue
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from kubectl_sew.consumers.base import RenderError, Request
from kubectl_sew.consumers.classification import shown_body
from kubectl_sew.consumers.template_secrets import concealed
from kubectl_sew.event import Event, delivery_id
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps
from kubectl_sew.json_text import line
from kubectl_sew.validation.webhook import Accepted
from sew_agent.base.log import Log
from sew_agent.base.threads import NoThreadError, start_thread

_SHOWN = 500
ROOM = 256
"""Events that wait for rendering at most; of more only id and type are logged."""
_TOO_MANY = "more events came at once than state Debug logs"
_GRACE = 5.0
"""Seconds that the end of the process waits for events that are not logged yet."""

_Pending = tuple[Accepted, Event]


class DebugLog:
    """Logger of events of webhooks in state Debug. A thread of its own renders: a template may take seconds."""

    def __init__(self, log: Log, clock: Callable[[], float], maps: EventMaps = EVENT_MAPS) -> None:
        self._log = log
        self._clock = clock
        self._maps = maps
        self._waiting: Queue[_Pending | None] = Queue(ROOM)
        self._thread: Thread | None = None

    def log(self, accepted: Accepted, event: Event) -> None:
        """Queue an event for the log; rendering happens in the thread."""
        try:
            self._thread = self._thread or start_thread(self._run, "debug")
            self._waiting.put_nowait((accepted, event))
        except Full:
            self._not_shown(accepted, event, _TOO_MANY)
        except NoThreadError as error:
            self._not_shown(accepted, event, str(error))

    def close(self) -> None:
        """Wait a moment for events that are not logged yet."""
        if self._thread is None:
            return
        try:
            self._waiting.put(None, timeout=_GRACE)
        except Full:
            return
        self._thread.join(_GRACE)

    def _not_shown(self, accepted: Accepted, event: Event, why: str) -> None:
        self._log.info("debug_event", **_named(accepted, event, self._maps), would_send=[f"not shown: {why}"])

    def _run(self) -> None:
        while pending := self._waiting.get():
            self._log.info("debug_event", **describe(*pending, self._clock(), self._maps))


def describe(accepted: Accepted, event: Event, now: float, maps: EventMaps = EVENT_MAPS) -> dict[str, Any]:
    """Return the event's id and type, and the requests: method, host and the beginning of the body."""
    return _named(accepted, event, maps) | {"would_send": _requests(accepted, event, now)}


def _named(accepted: Accepted, event: Event, maps: EventMaps) -> dict[str, Any]:
    name, kind = accepted.webhook.name, line(maps.read(event).shown.document.get("type"), 100)
    return {"webhook": name, "id": line(event.id, 100), "type": kind}


def _requests(accepted: Accepted, event: Event, now: float) -> list[str]:
    identity = delivery_id(accepted.webhook.name, event)
    try:
        config = concealed(accepted.config)
        requests = accepted.consumer.render(event, accepted.labels, config, now=now, delivery_id=identity)
    except RenderError as error:
        return [f"nothing: {error}"]
    return [_shown(accepted, request) for request in requests]


def _shown(accepted: Accepted, request: Request) -> str:
    body = shown_body(request, accepted.consumer, accepted.config)
    return f"{request.method} {urlsplit(request.url).hostname}: {line(body, _SHOWN)}"
