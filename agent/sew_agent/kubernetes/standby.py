"""Waits while another agent holds the Lease: ready, and answering probes."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from sew_agent.base.health import MAIN, STALLED_AFTER, Health
from sew_agent.base.metrics import Metrics
from sew_agent.base.process import process_gauges
from sew_agent.base.settings import Settings
from sew_agent.base.threads import Stop
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.leader_election import LeaderElector
from sew_agent.status.report import Report, ReportFile, report_of_process
from sew_agent.status.server import serve

SOON = 2.0
"""Seconds within which an agent that is alone acquires its Lease: for them nothing is served."""
_PERIOD = 0.5


class Leadership:
    """One term as the leader: it ends when the agent is asked to stop, or does not hold the Lease any more."""

    def __init__(self, elector: LeaderElector, stop: Stop) -> None:
        self._elector = elector
        self._term = elector.terms
        self._stop = stop

    def is_set(self) -> bool:
        """Return whether the term is over. It stays over: an agent that leads again has begun another term."""
        leading = self._elector.leading.is_set() and self._elector.terms == self._term
        return not leading or self._stop.is_set()

    def wait(self, timeout: float) -> bool:
        """Return whether the term is over, after some seconds or when the agent is asked to stop."""
        return self._stop.wait(timeout) or self.is_set()


class Standby:
    """The wait of an agent that is not the leader."""

    def __init__(self, context: ClusterContext, settings: Settings, state: Path, elector: LeaderElector) -> None:
        self._context = context
        self._settings = settings
        self._state = state
        self._elector = elector

    def wait(self, gives_up: Callable[[], bool]) -> bool:
        """Wait until this agent leads (True) or gives up. Raises SettingsError where it cannot listen."""
        if self._over_within(SOON, gives_up):
            return not gives_up()
        self._context.log.info("standing_by", holder=self._elector.holder)
        with ExitStack() as stack:
            health = Health()
            heartbeat = health.heartbeat(MAIN, STALLED_AFTER)
            health.watch("lease", self._elector.heartbeat)
            health.probe("cluster", lambda: "; ".join(self._context.problems.current))
            serve(self._settings.listen, health, lambda: Metrics(process_gauges).write({}), self._context.log, stack)
            report = ReportFile(self._state)
            stack.callback(report.remove)
            over = False
            while not over:
                heartbeat.beat()
                report.write(self._report())
                over = self._over_within(_PERIOD, gives_up)
        return not gives_up()

    def _over_within(self, seconds: float, gives_up: Callable[[], bool]) -> bool:
        """Return whether the wait is over within some seconds, one way or the other."""
        leading = self._elector.leading.wait(seconds)
        return leading or gives_up()

    def _report(self) -> Report:
        report = report_of_process(self._context.problems.current, time.time())
        return replace(report, standing_by=True, holder=self._elector.holder)
