"""Waits for the store while another agent has it: ready, and answering probes."""

import time
from contextlib import ExitStack
from dataclasses import replace

from sew_agent.base.health import MAIN, STALLED_AFTER, Health
from sew_agent.base.log import Log
from sew_agent.base.metrics import Metrics
from sew_agent.base.settings import Settings
from sew_agent.base.threads import Stop
from sew_agent.status.report import ReportFile, report_of_process
from sew_agent.status.server import serve
from sew_agent.store.contract import Store
from sew_agent.store.records import Ownership, StoreError, StoreHeldError
from sew_agent.wiring import open_store, store_place

_PERIOD = 1.0


class Tenure:
    """A time as the owner of the store: it ends when the agent is asked to stop, or another one has taken over."""

    def __init__(self, store: Store, stop: Stop) -> None:
        self._store = store
        self._stop = stop

    def is_set(self) -> bool:
        return self._store.ownership() is Ownership.LOST or self._stop.is_set()

    def wait(self, timeout: float) -> bool:
        return self._stop.wait(timeout) or self.is_set()


def wait_for_store(settings: Settings, log: Log, stop: Stop, ends: float, stack: ExitStack) -> Store | None:
    """Open the store, until `stack` closes it, when no other agent has it.

    Return None where `stop`, or the end of the time in monotonic seconds, was first. Raises StoreError where it cannot
    be opened at all.
    """
    try:
        return open_store(settings, stack)
    except StoreHeldError as error:
        holder = error.holder
    log.info("standing_by", holder=holder)
    with ExitStack() as waiting:
        wait = _Wait(settings, log, holder, waiting)
        while not stop.is_set():
            if time.monotonic() >= ends:
                log.error("once_timeout", message=f"nothing was read or sent: {wait.holder} has the store")
                return None
            wait.report()
            stop.wait(_PERIOD)
            if store := wait.tried(stack):
                return store
    return None


class _Wait:
    """Wait for the store, with what a person and a probe see of it until `stack` ends it."""

    def __init__(self, settings: Settings, log: Log, holder: str, stack: ExitStack) -> None:
        self.holder = holder
        self._settings = settings
        self._log = log
        self._problem = ""
        health = Health()
        self._heartbeat = health.heartbeat(MAIN, STALLED_AFTER)
        health.probe("store", lambda: self._problem)
        serve(settings.listen, health, lambda: Metrics().write({}), log, stack)
        self._file = ReportFile(store_place(settings).folder)
        stack.callback(self._file.remove)

    def report(self) -> None:
        """Report that it waits, and for whom."""
        self._heartbeat.beat()
        problems = (self._problem,) if self._problem else ()
        self._file.write(replace(report_of_process(problems, time.time()), standing_by=True, holder=self.holder))

    def tried(self, stack: ExitStack) -> Store | None:
        """Open the store, until `stack` closes it; None where it cannot be had now."""
        try:
            return open_store(self._settings, stack)
        except StoreHeldError as error:
            self.holder, self._problem = error.holder, ""
        except StoreError as error:
            self._failed(error)
        return None

    def _failed(self, error: StoreError) -> None:
        if str(error) != self._problem:
            self._log.error("store_failed", message=f"{error}; it is tried again")
        self._problem = str(error)
