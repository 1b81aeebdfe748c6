"""Waits for the store while another agent has it, or its server is away: answering probes, ready in the first case."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TypeVar

from sew_agent.base.health import MAIN, STALLED_AFTER, Health
from sew_agent.base.log import Log
from sew_agent.base.metrics import Metrics
from sew_agent.base.process import process_gauges
from sew_agent.base.settings import Settings
from sew_agent.base.threads import Stop
from sew_agent.status.report import ReportFile, report_of_process
from sew_agent.status.server import serve
from sew_agent.store.contract import Store
from sew_agent.store.records import Ownership, StoreAwayError, StoreError, StoreHeldError
from sew_agent.wiring import open_store, store_place

Reached = TypeVar("Reached")

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


def reach_store(settings: Settings, log: Log, stop: Stop, ends: float) -> bool:
    """Wait until a store in PostgreSQL can be reached; return False where `stop` or the end of the time was first.

    Raises StoreError as `wait_for_store` does.
    """
    place = store_place(settings)
    return not place.url or _waited(settings, log, stop, ends, lambda: store_place(settings).identity()) is not None


def wait_for_store(settings: Settings, log: Log, stop: Stop, ends: float, stack: ExitStack) -> Store | None:
    """Open the store, until `stack` closes it, when no other agent has it.

    Return None where `stop`, or the end of the time in monotonic seconds, was first. Raises StoreError where it cannot
    be opened at all.
    """
    return _waited(settings, log, stop, ends, lambda: open_store(settings, stack))


def _waited(settings: Settings, log: Log, stop: Stop, ends: float, reach: Callable[[], Reached]) -> Reached | None:
    """Return what `reach` does, when it does: a server that is away, or an agent that has the store, is waited for."""
    with ExitStack() as stack:
        wait: _Wait | None = None
        while not stop.is_set():
            try:
                reached = reach()
            except StoreError as error:
                wait = wait or _begun(settings, log, error, stack)
                wait.failed(error)
            else:
                if wait:
                    wait.ended()
                return reached
            if time.monotonic() >= ends:
                log.error("once_timeout", message=f"nothing was read or sent: {wait.why}")
                return None
            wait.report()
            stop.wait(_PERIOD)
    return None


def _begun(settings: Settings, log: Log, error: StoreError, stack: ExitStack) -> "_Wait":
    """Begin to wait, until `stack` ends it. Raises the error where it is none to wait for."""
    # with `once` somebody waits for the result: a server that is away is one
    if isinstance(error, StoreHeldError) or (isinstance(error, StoreAwayError) and not settings.once):
        return _Wait(settings, log, stack)
    raise error


class _Wait:
    """Wait for the store, with what a person and a probe see of it until `stack` ends it."""

    def __init__(self, settings: Settings, log: Log, stack: ExitStack) -> None:
        self._log = log
        self._holder = self._problem = ""
        health = Health()
        self._heartbeat = health.heartbeat(MAIN, STALLED_AFTER)
        health.probe("store", lambda: self._problem)
        serve(settings.listen, health, lambda: Metrics(process_gauges).write({}), log, stack)
        self._file = ReportFile(store_place(settings).folder)
        stack.callback(self._file.remove)

    @property
    def why(self) -> str:
        """What it waits for."""
        return self._problem or f"{self._holder} has the store"

    def report(self) -> None:
        """Report that it waits, and for what."""
        self._heartbeat.beat()
        problems = (self._problem,) if self._problem else ()
        report = report_of_process(problems, time.time())
        self._file.write(replace(report, standing_by=bool(self._holder), holder=self._holder))

    def failed(self, error: StoreError) -> None:
        """Take notice of an attempt that failed. Raises it where the store was never reached, and cannot be so."""
        if isinstance(error, StoreHeldError):
            self._held(error.holder)
            return
        if not self._holder and not isinstance(error, StoreAwayError):
            raise error
        if str(error) != self._problem:
            self._log.error("store_failed", message=f"{error}; it is tried again")
        self._problem = str(error)

    def ended(self) -> None:
        """Take notice of an attempt that did not fail."""
        if self._problem:
            self._log.info("store_recovered")

    def _held(self, holder: str) -> None:
        self.ended()
        if not self._holder:
            self._log.info("standing_by", holder=holder)
        self._holder, self._problem = holder, ""
