"""Tells what a person must act on as Kubernetes Events, beside the webhook that they are about."""

import queue
import time
from collections.abc import Callable, Mapping
from typing import Any

from kubectl_sew.resource import API_VERSIONS, KIND
from kubectl_sew.text import rfc3339
from sew_agent.base.threads import start_thread
from sew_agent.kubernetes.client import REQUEST_SECONDS, ApiError, KubernetesClient
from sew_agent.kubernetes.event_correlator import EventCorrelator, Notice
from sew_agent.kubernetes.informer import REFUSED
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.webhooks import WebhookPath
from sew_agent.status.conditions import WebhookStatus

NAMESPACE = "default"
"""Where Kubernetes wants the Events about objects that have no namespace."""
CONTROLLER = "sew-agent"
_PATH = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"
_MATTER = "events"
_LOOK_EVERY = 5.0
LONGEST_STEP = REQUEST_SECONDS + _LOOK_EVERY
"""Seconds between two signs of life at most."""
_LONGEST_NAME = 200
_LONGEST_INSTANCE = 128


class EventRecorder:
    """A thread that writes; `tell` never waits. An Event that cannot be written is lost: the conditions say it too."""

    def __init__(
        self, api: KubernetesClient, place: WebhookPath, problems: Problems, instance: str, beat: Callable[[], None]
    ) -> None:
        self._api = api
        self._place = place
        self._problems = problems
        self._instance = instance[:_LONGEST_INSTANCE]
        self._beat = beat
        self._ledger = EventCorrelator()
        self._queue: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()

    def start(self) -> None:
        start_thread(self._run, "announcer")

    def stop(self) -> None:
        self._queue.put(None)

    def tell(self, statuses: Mapping[str, WebhookStatus], now: float) -> None:
        """`now` in epoch seconds."""
        for notice in self._ledger.due(statuses, now):
            self._ledger.told(notice, statuses[notice.webhook], now)
            self._queue.put(notice)

    def _run(self) -> None:
        while True:
            self._beat()
            try:
                notice = self._queue.get(timeout=_LOOK_EVERY)
            except queue.Empty:
                continue
            if notice is None:
                return
            self._write(notice)

    def _write(self, notice: Notice) -> None:
        served = self._place.served
        version = served.api_version if served else API_VERSIONS[0]
        try:
            self._api.create(_PATH, event(notice, version, self._instance, time.time()))
            self._problems.over(_MATTER)
        except ApiError as error:
            if error.status in REFUSED:
                self._problems.say(_MATTER, f"{error}: grant it as manifests/base/rbac.yaml does")


def event(notice: Notice, api_version: str, instance: str, now: float) -> dict[str, Any]:
    """As events.k8s.io/v1 has it; `now` in epoch seconds."""
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
