"""Waits while another agent holds the Lease: ready, and answering probes."""

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
"""Seconds within which an agent that is alone acquires its Lease: for them nothing is served."""
_PERIOD = 0.5


class Leadership:
    """One term as the leader: it ends when the agent is asked to stop, or does not hold the Lease any more."""

    def __init__(self, elector: LeaderElector, stop: threading.Event) -> None:
        self._elector = elector
        self._term = elector.terms
        self._stop = stop
        self.lost = False
        """True once it ended because another agent holds the Lease, or held it in between."""

    def is_set(self) -> bool:
        """Return whether the term is over. A term that is over stays so."""
        leading = self._elector.leading.is_set() and self._elector.terms == self._term
        self.lost = self.lost or not leading
        return self.lost or self._stop.is_set()

    def wait(self, timeout: float) -> bool:
        """Return whether the term is over, after some seconds or when the agent is asked to stop."""
        return self._stop.wait(timeout) or self.is_set()


def stand_by(environment: KubernetesEnvironment, settings: Settings, log: Log, stop: Stop) -> bool:
    """Wait until this agent is the leader (True) or is asked to stop. Raises SettingsError where it cannot listen."""
    elector = environment.elector
    if _over_within(elector, stop, SOON):
        return not stop.is_set()
    log.info("standing_by", holder=elector.holder)
    with ExitStack() as stack:
        health = Health()
        heartbeat = health.heartbeat(MAIN, STALLED_AFTER)
        health.watch("lease", elector.heartbeat)
        health.probe("cluster", lambda: "; ".join(environment.problems()))
        _serve(settings, health, log, stack)
        report = ReportFile(environment.state)
        stack.callback(report.remove)
        over = False
        while not over:
            heartbeat.beat()
            report.write(_report(environment))
            over = _over_within(elector, stop, _PERIOD)
    return not stop.is_set()


def _over_within(elector: LeaderElector, stop: Stop, seconds: float) -> bool:
    """Return whether the waiting is over after some seconds, one way or the other."""
    leading = elector.leading.wait(seconds)
    return leading or stop.is_set()


def _report(environment: KubernetesEnvironment) -> Report:
    return Report(
        version("kubectl-sew"),
        os.getpid(),
        time.time(),
        problems=tuple(environment.problems()),
        standing_by=True,
        holder=environment.elector.holder,
    )


def _serve(settings: Settings, health: Health, log: Log, stack: ExitStack) -> None:
    if settings.listen is None:
        return
    server = HealthServer(settings.listen, health, lambda: Metrics().write({}))
    stack.callback(server.close)
    log.info("listening", address=server.address)
