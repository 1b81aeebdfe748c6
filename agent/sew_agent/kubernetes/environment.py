"""Builds the agent's surroundings in a cluster from its settings: client, election, watches, reports."""

import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from sew_agent.base.health import Health, Heartbeat
from sew_agent.base.log import Log
from sew_agent.base.settings import Settings
from sew_agent.base.threads import Stop
from sew_agent.delivery.tester import Attempt
from sew_agent.ingest.progress import Progress
from sew_agent.kubernetes import failover
from sew_agent.kubernetes.client import connect
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.event_recorder import EventRecorder
from sew_agent.kubernetes.failover import Failover, WebhooksAfterFailover
from sew_agent.kubernetes.leader_election import LONGEST_STEP, LeaderElector
from sew_agent.kubernetes.lease import Identity
from sew_agent.kubernetes.lease_position import covered, pack, unpack
from sew_agent.kubernetes.paths import WebhookPath
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.standby import Leadership, Standby
from sew_agent.kubernetes.status_reporter import StatusReporter, WebhookStatuses
from sew_agent.kubernetes.status_writer import StatusWriter
from sew_agent.kubernetes.tester import KubernetesDeliveryTester
from sew_agent.kubernetes.webhooks import KubernetesWebhooks, Scope
from sew_agent.store.contract import Store
from sew_agent.store.opening import StorePlace
from sew_agent.store.records import ReceiverState
from sew_agent.webhooks.base import WebhookSource
from sew_agent.webhooks.reconciler import Reconciler


def log_in(settings: Settings, place: StorePlace, log: Log, stack: ExitStack) -> "KubernetesEnvironment":
    """Log in to the cluster of the settings, until `stack` ends it and releases the Lease. Raises SewError."""
    client = connect(settings.kubeconfig, settings.context)
    stack.callback(client.close)
    context = ClusterContext(client, WebhookPath(client, settings.api_group), Problems(log), log)
    state, me = place.folder, identify(place.agent(), place.identity())
    elector = LeaderElector(
        context,
        settings.secrets_namespace,
        me,
        on_another_store=partial(failover.mark, state),
        heartbeat=Heartbeat(2 * LONGEST_STEP, context.monotonic),
    )
    stack.callback(elector.release)
    log.info("cluster", server=client.server, secrets_namespace=settings.secrets_namespace, holder=me.holder)
    return KubernetesEnvironment(context, settings, state, elector)


class KubernetesEnvironment:
    """The cluster that the agent serves, for as long as the process runs."""

    def __init__(self, context: ClusterContext, settings: Settings, state: Path, elector: LeaderElector) -> None:
        self.context = context
        self.settings = settings
        self.state = state
        self.elector = elector
        """The election of this agent; it begins with its `start`."""

    def servers(self) -> Sequence[str]:
        """Return the API server's URL, without a credential."""
        return (self.context.client.server,)

    def problems(self) -> Sequence[str]:
        """Return what does not work in the cluster at the moment."""
        return self.context.problems.current

    def may_deliver(self) -> bool:
        """Return whether no other agent may be delivering."""
        return self.elector.is_leader

    def inherited_position(self) -> str:
        """Return the position that another agent left in the Lease; "" where it left none of these indices."""
        return unpack(self.elector.inherited_position, self.settings.index) if self.settings.elasticsearch else ""

    def lead(self, deliver: Callable[[Stop], int | None], stop: Stop, gives_up: Callable[[], bool]) -> int | None:
        """Deliver while this agent holds the Lease, and stand by while another one does; return the exit code.

        Return None where it gave up waiting for the Lease: the log says why.
        """
        self.elector.start()
        standby = Standby(self.context, self.settings, self.state, self.elector)
        while standby.wait(gives_up):
            code = deliver(Leadership(self.elector, stop))
            if code is not None or stop.is_set():
                return code
        if not stop.is_set():
            holder = self.elector.holder
            why = (
                f"{holder} holds the Lease"
                if holder
                else "; ".join(self.problems()) or "the Lease could not be acquired"
            )
            self.context.log.error("once_timeout", message=f"nothing was read or sent: {why}")
        return None

    def start_session(self, store: Store, attempt: Attempt, health: Health, stack: ExitStack) -> "KubernetesSession":
        """Begin a term as the leader, until `stack` ends it. Raises StoreError."""
        session = KubernetesSession(self, store, attempt, health)
        session.start(stack)
        return session


class KubernetesSession:
    """One term as the leader: it watches the webhooks, serves state Test, and reports how the webhooks stand."""

    def __init__(self, environment: KubernetesEnvironment, store: Store, attempt: Attempt, health: Health) -> None:
        context, settings = environment.context, environment.settings
        self._environment = environment
        self._store = store
        self._health = health
        self._failover = Failover(environment.state, store, context.log)
        scope = Scope(
            settings.secrets_namespace,
            settings.selector,
            settings.secret_selector,
            api_group=settings.api_group,
            believe_after=settings.forget_after,
        )
        self._watched = KubernetesWebhooks(context, scope, health)
        self.webhooks: WebhookSource = WebhooksAfterFailover(self._watched, self._failover)
        records, timeout = store.webhook_records().values(), settings.request_timeout
        self.tester = KubernetesDeliveryTester(context, attempt, health, request_timeout=timeout, records=records)

    def start(self, stack: ExitStack) -> None:
        """Begin to watch. A store that has to start afresh has no positions from here on. Raises StoreError."""
        self._health.watch("lease", self._environment.elector.heartbeat)
        self._failover.begin()
        stack.callback(self._watched.close)
        self._watched.start()
        stack.callback(self.tester.stop)

    def start_reporter(
        self, reconciler: Reconciler, receivers: Callable[[], Mapping[str, ReceiverState]], stack: ExitStack
    ) -> StatusReporter:
        """Begin to write conditions and Events, until `stack` ends it; return what is to be given their content."""
        context, elector = self._environment.context, self._environment.elector
        writer = StatusWriter(context, self._watched, self._health)
        recorder = EventRecorder(context, elector.identity.holder, self._health)
        writer.start()
        recorder.start()
        stack.callback(lambda: writer.stop(leading=elector.leading.is_set()))
        stack.callback(recorder.stop)
        rates = self._environment.settings.rates
        statuses = WebhookStatuses(reconciler, self._store, receivers, self.tester, rates=rates)
        return StatusReporter(statuses, writer, recorder, self._keep_position)

    def _keep_position(
        self, position: str, progress: Mapping[str, Progress], checkpoints: Mapping[str, float | None]
    ) -> None:
        """Leave the position to a successor whose store is empty, where no pending delivery would be lost by it."""
        settings, elector = self._environment.settings, self._environment.elector
        if settings.elasticsearch and position and covered(progress, checkpoints):
            elector.keep_position(pack(settings.index, position))


def identify(agent: str, store: str) -> Identity:
    """Return who this agent is: by the pod's name, as the manifests set it; outside of a pod by host and folder.

    `agent` identifies its folder, `store` its store, which several agents may share.
    """
    pod, namespace = os.environ.get("POD_NAME"), os.environ.get("POD_NAMESPACE")
    if pod and namespace:
        return Identity(f"{namespace}/{pod}", store)
    host = re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip(".-") or "host"
    return Identity(f"outside/{host[:200]}-{agent[:8]}", store)
