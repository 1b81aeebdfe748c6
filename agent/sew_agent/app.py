"""The process: signals, leadership, and the end of a run."""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version

from kubectl_sew.library_warnings import captured
from sew_agent.base.log import Log
from sew_agent.base.settings import Settings
from sew_agent.base.threads import Stop
from sew_agent.environment import Environment
from sew_agent.main_loop import MainLoop
from sew_agent.run_once import TIMED_OUT
from sew_agent.standby import Tenure, reach_store, wait_for_store
from sew_agent.wiring import assemble, check, open_environment


def run(settings: Settings, warnings: Sequence[str]) -> int:
    """Run until a signal, or with `once` until all is done; return the exit code. Raises SewError."""
    log = Log(sys.stderr, time.time)
    for warning in warnings:
        log.warning("setting_unknown", message=warning)
    stop = threading.Event()
    stop_on_signals(stop)
    ends = time.monotonic() + (settings.timeout if settings.once and settings.timeout else float("inf"))
    with ExitStack() as stack:
        stack.enter_context(captured(partial(_library_warning, log)))
        check(settings)
        if not reach_store(settings, log, stop, ends):
            return 0 if stop.is_set() else TIMED_OUT
        environment = open_environment(settings, log, stack)
        code = environment.lead(
            lambda term: _deliver(settings, environment, log, term, ends),
            stop,
            lambda: stop.is_set() or time.monotonic() >= ends,
        )
    if code is None:
        return 0 if stop.is_set() else TIMED_OUT
    return code


def _library_warning(log: Log, source: str, message: str) -> None:
    log.warning("library_warning", source=source, message=message)


def _deliver(settings: Settings, environment: Environment, log: Log, stop: Stop, ends: float) -> int | None:
    """Deliver while this agent owns the store, and stand by while another one does.

    Return the exit code, None where `stop` or the end of the time ended it.
    """
    while True:
        with ExitStack() as stack:
            store = wait_for_store(settings, log, stop, ends, stack)
            if store is None:
                return None
            tenure = Tenure(store, stop)
            runtime = assemble(settings, environment, store, log, stack)
            loop = MainLoop(runtime, tenure, ends)
            stack.callback(loop.end)
            log.info("started", version=version("kubectl-sew"), pid=os.getpid(), state=str(settings.state))
            code = loop.run()
            if code is not None or stop.is_set():
                return code
        log.error(
            "store_taken_over", message="others have taken over what this agent had, since it was silent for too long"
        )


def stop_on_signals(stop: threading.Event) -> None:
    """Stop at the first SIGTERM or SIGINT; a second one ends the process at once."""

    def asked(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        try:  # this runs within the main thread, which may hold the event's own lock just now
            _thread.start_new_thread(stop.set, ())
        except RuntimeError:  # the system gives no more threads
            stop.set()

    signal.signal(signal.SIGTERM, asked)
    signal.signal(signal.SIGINT, asked)
