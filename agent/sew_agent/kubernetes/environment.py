"""Builds what the agent has in a cluster from its settings."""

import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import monotonic

from sew_agent.base.health import Health, Heartbeat
from sew_agent.base.log import Log
from sew_agent.base.settings import Settings
from sew_agent.delivery.tester import Attempt
from sew_agent.ingest.progress import Progress
from sew_agent.kubernetes import event_recorder, failover, leader_election, status_writer, tester
from sew_agent.kubernetes.client import connect
from sew_agent.kubernetes.event_recorder import EventRecorder
from sew_agent.kubernetes.failover import Failover
from sew_agent.kubernetes.informer import LONGEST_SILENCE
from sew_agent.kubernetes.leader_election import LeaderElector
from sew_agent.kubernetes.lease import Identity
from sew_agent.kubernetes.lease_position import covered, pack, unpack
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.status_writer import StatusWriter
from sew_agent.kubernetes.tester import KubernetesDeliveryTester
from sew_agent.kubernetes.webhook_status import WebhookStatuses
from sew_agent.kubernetes.webhooks import KubernetesWebhooks, Scope, WebhookPath
from sew_agent.status.conditions import WebhookStatus
from sew_agent.store.records import ReceiverState, Store
from sew_agent.store.sqlite.files import identity
from sew_agent.webhooks.reconciler import Reconciler


class KubernetesEnvironment:
    """The agent's side of its cluster, for as long as the process runs. Raises SewError where it cannot log in."""

    def __init__(self, settings: Settings, state: Path, log: Log, stack: ExitStack) -> None:
        self._settings = settings
        self.state = state
        self._log = log
        self._api = connect(settings.kubeconfig, settings.context)
        stack.callback(self._api.close)
        self.server = self._api.server
        self.problems = Problems(log)
        self._place = WebhookPath(self._api, settings.api_group)
        self._me = me = identify(identity(state))
        self.lease_heartbeat = Heartbeat(2 * leader_election.LONGEST_STEP, monotonic)
        self.lease = LeaderElector(
            self._api,
            settings.secrets_namespace,
            me,
            self.problems,
            log,
            afresh=partial(failover.mark, state),
            beat=self.lease_heartbeat.beat,
        )
        stack.callback(self.lease.release)
        log.info("cluster", server=self._api.server, secrets_namespace=settings.secrets_namespace, holder=me.holder)

    @property
    def place(self) -> str:
        """The position that another agent left in the Lease; "" where there is none of these indices."""
        return unpack(self.lease.found, self._settings.index)

    def keep(self, position: str, progress: Mapping[str, Progress]) -> None:
        """For a successor whose store is empty, where nothing that waits would be lost by it."""
        if self._settings.elasticsearch and position and covered(progress, self._writer.checkpoints):
            self.lease.keep(pack(self._settings.index, position))

    def webhooks(self, store: Store, health: Health, stack: ExitStack) -> KubernetesWebhooks:
        """Begins to watch. A store that starts afresh has no positions from here on."""
        health.watch("lease", self.lease_heartbeat)
        settings, begin = self._settings, Failover(self.state, store, self._log).begin
        scope = Scope(settings.secrets_namespace, settings.selector, settings.secret_selector, settings.forget_after)
        found = KubernetesWebhooks(
            self._api,
            self._place,
            scope,
            self.problems,
            begin,
            lambda name: health.heartbeat(name, LONGEST_SILENCE).beat,
        )
        stack.callback(found.close)
        return found

    def tester(self, attempt: Attempt, store: Store, health: Health, stack: ExitStack) -> KubernetesDeliveryTester:
        """What serves state Test."""
        alive = partial(health.during, limit=tester.longest_step(self._settings.request_timeout))
        self._tester = KubernetesDeliveryTester(
            self._api, self._place, self.problems, attempt, time.time, alive, before=store.known().values()
        )
        stack.callback(self._tester.stop)
        return self._tester

    def telling(
        self,
        webhooks: KubernetesWebhooks,
        reconciler: Reconciler,
        store: Store,
        receivers: Callable[[], Mapping[str, ReceiverState]],
        health: Health,
        stack: ExitStack,
    ) -> Callable[[Mapping[str, Progress], float], None]:
        """Begins to write conditions and Events; what is returned tells how it stands at a moment (epoch seconds)."""
        writing = health.heartbeat("status", 2 * status_writer.LONGEST_STEP).beat
        announcing = health.heartbeat("announcer", 2 * event_recorder.LONGEST_STEP).beat
        writer = StatusWriter(self._api, self._place, webhooks, self.problems, time.time, writing)
        self._writer = writer
        events = EventRecorder(self._api, self._place, self.problems, self._me.holder, announcing)
        for each in (writer, events):
            each.start()
        stack.callback(lambda: writer.stop(in_charge=self.lease.held.is_set()))
        stack.callback(events.stop)

        def tell(statuses: Mapping[str, WebhookStatus], now: float) -> None:
            writer.tell(statuses)
            events.tell(statuses, now)

        return WebhookStatuses(
            reconciler, store, receivers, self._tester.results, tell, rates=self._settings.rates
        ).tell


def identify(store: str) -> Identity:
    """By the pod's name, which the manifests put into the environment; outside of a pod by host and store."""
    pod, namespace = os.environ.get("POD_NAME"), os.environ.get("POD_NAMESPACE")
    if pod and namespace:
        return Identity(f"{namespace}/{pod}", store)
    host = re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip(".-") or "host"
    return Identity(f"outside/{host[:200]}-{store[:8]}", store)
