"""Records what a person must act on as Kubernetes Events, beside the webhook that they are about."""

import queue
from collections.abc import Mapping
from typing import Any

from kubectl_sew.resource import API_VERSIONS, KIND
from kubectl_sew.text import rfc3339
from sew_agent.base.health import Health, Heartbeat
from sew_agent.base.threads import start_thread
from sew_agent.kubernetes.client import REQUEST_SECONDS, ApiError, ForbiddenError
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.event_correlator import EventCorrelator, Notice
from sew_agent.status.conditions import WebhookStatus

NAMESPACE = "default"
"""The namespace in which Kubernetes wants the Events about objects that have none."""
CONTROLLER = "sew-agent"
_PATH = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"
_MATTER = "events"
_BEAT_SECONDS = 5.0
LONGEST_STEP = REQUEST_SECONDS + _BEAT_SECONDS
"""Seconds between two heartbeats at most."""
_LONGEST_NAME = 200
_LONGEST_INSTANCE = 128


class EventRecorder:
    """A thread that writes Events; `record` never waits. One that fails is lost: the conditions say it too."""

    def __init__(self, context: ClusterContext, instance: str, health: Health) -> None:
        self._context = context
        self._instance = instance[:_LONGEST_INSTANCE]
        self._health = health
        self._correlator = EventCorrelator()
        self._queue: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()

    def start(self) -> None:
        """Start the thread."""
        heartbeat = self._health.heartbeat("event-recorder", 2 * LONGEST_STEP)
        start_thread(self._run, "event-recorder", heartbeat)

    def stop(self) -> None:
        """End the thread after what waits is written."""
        self._queue.put(None)

    def record(self, statuses: Mapping[str, WebhookStatus], now: float) -> None:
        """Write an Event of each thing that is news; `now` in epoch seconds."""
        for notice in self._correlator.select(statuses, now):
            self._correlator.mark_recorded(notice, statuses[notice.webhook], now)
            self._queue.put(notice)

    def _run(self, heartbeat: Heartbeat) -> None:
        while True:
            heartbeat.beat()
            try:
                notice = self._queue.get(timeout=_BEAT_SECONDS)
            except queue.Empty:
                continue
            if notice is None:
                return
            self._write(notice)

    def _write(self, notice: Notice) -> None:
        context = self._context
        served = context.path.served
        version = served.api_version if served else API_VERSIONS[0]
        try:
            context.client.create(_PATH, event(notice, version, self._instance, context.clock()))
            context.problems.clear(_MATTER)
        except ForbiddenError as error:
            context.problems.report(_MATTER, error.advice)
        except ApiError:
            pass  # lost


def event(notice: Notice, api_version: str, instance: str, now: float) -> dict[str, Any]:
    """Return the object of events.k8s.io/v1; `now` in epoch seconds."""
    moment = rfc3339(now, "microseconds")
    name = f"{notice.webhook[:_LONGEST_NAME].rstrip('.-')}.{int(now * 1e6):x}"
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "eventTime": moment,
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
        "action": "Deliver",
        "type": "Warning",
        "reason": notice.reason,
        "note": notice.note,
        "regarding": {"apiVersion": api_version, "kind": KIND, "name": notice.webhook, "uid": notice.uid},
    }
