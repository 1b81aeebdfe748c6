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
from sew_agent.kubernetes.lease_client import LeaseClient
from sew_agent.kubernetes.lease_position import covered, pack, unpack
from sew_agent.kubernetes.lease_publisher import LeasePublisher
from sew_agent.kubernetes.paths import WebhookPath
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.standby import Leadership, Standby
from sew_agent.kubernetes.status_reporter import StatusReporter
from sew_agent.kubernetes.status_writer import StatusWriter
from sew_agent.kubernetes.tester import KubernetesDeliveryTester
from sew_agent.kubernetes.webhooks import KubernetesWebhooks, Scope
from sew_agent.store.contract import Store
from sew_agent.store.opening import StorePlace
from sew_agent.store.records import Ownership
from sew_agent.webhooks.base import WebhookSource
from sew_agent.webhooks.reconciler import Reconciler


def log_in(settings: Settings, place: StorePlace, log: Log, stack: ExitStack) -> "KubernetesEnvironment":
    """Log in to the cluster of the settings, until `stack` ends it and releases the Lease. Raises SewError."""
    client = connect(settings.kubeconfig, settings.context)
    stack.callback(client.close)
    context = ClusterContext(client, WebhookPath(client, settings.api_group), Problems(log), log)
    state, me = place.folder, identify(place.agent(), place.identity(), beside_calico=settings.beside_calico)
    elector = None if place.url else _elector(context, settings, me, state)
    if elector:
        stack.callback(elector.release)
    log.info("cluster", server=client.server, secrets_namespace=settings.secrets_namespace, holder=me.holder)
    return KubernetesEnvironment(context, settings, state, me, elector)


def _elector(context: ClusterContext, settings: Settings, me: Identity, state: Path) -> LeaderElector:
    return LeaderElector(
        context,
        LeaseClient(context, settings.secrets_namespace, me),
        on_another_store=partial(failover.mark, state),
        heartbeat=Heartbeat(2 * LONGEST_STEP, context.monotonic),
    )


class KubernetesEnvironment:
    """The cluster that the agent serves, for as long as the process runs."""

    def __init__(
        self, context: ClusterContext, settings: Settings, state: Path, me: Identity, elector: LeaderElector | None
    ) -> None:
        self.context = context
        self.settings = settings
        self.state = state
        self.me = me
        self.elector = elector
        """The election of this agent, which begins with its `start`; None where agents share a store, and all lead."""

    def servers(self) -> Sequence[str]:
        """Return the API server's URL, without a credential."""
        return (self.context.client.server,)

    def problems(self) -> Sequence[str]:
        """Return what does not work in the cluster at the moment."""
        return self.context.problems.current

    def may_deliver(self) -> bool:
        """Return whether no other agent may be delivering."""
        return self.elector is None or self.elector.is_leader

    def inherited_position(self) -> str:
        """Return the position that another agent left in the Lease; "" where it left none of these indices."""
        if not (self.elector and self.settings.elasticsearch):
            return ""
        return unpack(self.elector.inherited_position, self.settings.index)

    def lead(self, deliver: Callable[[Stop], int | None], stop: Stop, gives_up: Callable[[], bool]) -> int | None:
        """Deliver while this agent holds the Lease, and stand by while another one does; return the exit code.

        Return None where it gave up waiting for the Lease: the log says why.
        """
        if self.elector is None:
            return deliver(stop)
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
            settings.beside_calico,
            api_group=settings.api_group,
            believe_after=settings.forget_after,
        )
        self._watched = KubernetesWebhooks(context, scope, health)
        self.webhooks: WebhookSource = WebhooksAfterFailover(self._watched, self._failover)
        timeout = settings.request_timeout
        self.tester = KubernetesDeliveryTester(
            context, attempt, health, request_timeout=timeout, records=lambda: store.webhook_records().values()
        )

    def start(self, stack: ExitStack) -> None:
        """Begin to watch. A store that has to start afresh has no positions from here on. Raises StoreError."""
        if self._environment.elector:
            self._health.watch("lease", self._environment.elector.heartbeat)
            self._failover.begin()
        else:
            self._publish(stack)
        stack.callback(self._watched.close)
        self._watched.start()
        stack.callback(self.tester.stop)

    def start_reporter(self, reconciler: Reconciler, stack: ExitStack) -> StatusReporter:
        """Begin to write conditions and Events, until `stack` ends it; return what is to be given their content."""
        context = self._environment.context
        beside_calico = self._environment.settings.beside_calico
        writer = StatusWriter(context, self._watched, self._health, beside_calico=beside_calico)
        recorder = EventRecorder(context, self._environment.me.holder, self._health)
        writer.start()
        recorder.start()
        stack.callback(lambda: writer.stop(leading=self._leads()))
        stack.callback(recorder.stop)
        return StatusReporter(reconciler, self.tester, writer, recorder, self._keep_position)

    def _leads(self) -> bool:
        """Return whether no other agent writes conditions yet."""
        elector = self._environment.elector
        return elector.leading.is_set() if elector else self._reads()

    def _reads(self) -> bool:
        sharing = self._store.sharing()
        return self._store.ownership() is Ownership.HELD and (sharing is None or sharing.reads)

    def _publish(self, stack: ExitStack) -> None:
        """Say in the Lease who reads, until `stack` ends it."""
        environment, context = self._environment, self._environment.context
        client = LeaseClient(context, environment.settings.secrets_namespace, environment.me)
        heartbeat = self._health.heartbeat("lease", 2 * LONGEST_STEP)
        publisher = LeasePublisher(client, context.problems, self._reads, heartbeat)
        publisher.start()
        stack.callback(publisher.stop)

    def _keep_position(
        self, position: str, progress: Mapping[str, Progress], checkpoints: Mapping[str, float | None]
    ) -> None:
        """Leave the position to a successor whose store is empty, where no pending delivery would be lost by it."""
        settings, elector = self._environment.settings, self._environment.elector
        if elector and settings.elasticsearch and position and covered(progress, checkpoints):
            elector.keep_position(pack(settings.index, position))


def identify(agent: str, store: str, *, beside_calico: bool = False) -> Identity:
    """Return who this agent is: by the pod's name, as the manifests set it; outside of a pod by host and folder.

    `agent` identifies its folder, `store` its store, which several agents may share.
    """
    pod, namespace = os.environ.get("POD_NAME"), os.environ.get("POD_NAMESPACE")
    if pod and namespace:
        return Identity(f"{namespace}/{pod}", store, beside_calico)
    host = re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip(".-") or "host"
    return Identity(f"outside/{host[:200]}-{agent[:8]}", store, beside_calico)
