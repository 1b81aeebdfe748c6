"""What an agent does that does not hold the Lease: it waits, ready, and answers its probes."""

import os
import threading
import time
from contextlib import ExitStack
from importlib.metadata import version

from sew_agent.base.health import MAIN, STALLED_AFTER, Health
from sew_agent.base.log import Log
from sew_agent.base.metrics import Metrics
from sew_agent.base.settings import Settings
from sew_agent.base.threads import Stop
from sew_agent.kubernetes.environment import KubernetesEnvironment
from sew_agent.kubernetes.leader_election import LeaderElector
from sew_agent.status.report import Report, ReportFile
from sew_agent.status.server import HealthServer

SOON = 2.0
"""Seconds within which an agent that is alone gets its Lease: for them nothing is served."""
_LOOK_EVERY = 0.5


class Leadership:
    """Ends when the agent is told to stop, or does not hold the Lease any more."""

    def __init__(self, lease: LeaderElector, stop: threading.Event) -> None:
        self._lease = lease
        self._number = lease.turns
        self._stop = stop
        self.lost = False
        """Whether it ended because another agent has the Lease, or had it in between."""

    def is_set(self) -> bool:
        held = self._lease.held.is_set() and self._lease.turns == self._number
        self.lost = self.lost or not held
        return self.lost or self._stop.is_set()

    def wait(self, timeout: float) -> bool:
        """The loss of a Lease is seen at the next look."""
        return self._stop.wait(timeout) or self.is_set()


def stand_by(cluster: KubernetesEnvironment, settings: Settings, log: Log, stop: Stop) -> bool:
    """Until this agent holds the Lease (True) or is told to stop. Raises SettingsError where it cannot listen."""
    if _held_within(cluster, stop, SOON):
        return not stop.is_set()
    log.info("standing_by", holder=cluster.lease.holder)
    with ExitStack() as stack:
        health = Health()
        heartbeat = health.heartbeat(MAIN, STALLED_AFTER)
        health.watch("lease", cluster.lease_heartbeat)
        health.probe("cluster", lambda: "; ".join(cluster.problems.all))
        _serve(settings, health, log, stack)
        report = ReportFile(cluster.state)
        stack.callback(report.remove)
        over = False
        while not over:
            heartbeat.beat()
            report.write(_report(cluster))
            over = _held_within(cluster, stop, _LOOK_EVERY)
    return not stop.is_set()


def _held_within(cluster: KubernetesEnvironment, stop: Stop, seconds: float) -> bool:
    """Whether the waiting is over, one way or the other."""
    held = cluster.lease.held.wait(seconds)
    return held or stop.is_set()


def _report(cluster: KubernetesEnvironment) -> Report:
    return Report(
        version("kubectl-sew"),
        os.getpid(),
        time.time(),
        problems=tuple(cluster.problems.all),
        standing_by=True,
        holder=cluster.lease.holder,
    )


def _serve(settings: Settings, health: Health, log: Log, stack: ExitStack) -> None:
    if settings.listen is None:
        return
    server = HealthServer(settings.listen, health, lambda: Metrics().write({}))
    stack.callback(server.close)
    log.info("listening", address=server.address)
