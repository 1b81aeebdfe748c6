"""Collects what does not work in the cluster at the moment, for the log, the readiness and `sew-agent status`."""

import threading
from collections.abc import Sequence

from sew_agent.base.log import Log
from sew_agent.kubernetes.client import ApiError, ForbiddenError


class Problems:
    """Texts without secrets, one for each matter, e.g. `webhooks`. Thread-safe."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._current: dict[str, str] = {}

    def report(self, matter: str, message: str) -> None:
        """Report that a matter does not work; log it where that is news."""
        with self._lock:
            news = self._current.get(matter) != message
            self._current[matter] = message
        if news:
            self._log.error("cluster_trouble", matter=matter, message=message)

    def report_error(self, matter: str, error: ApiError, otherwise: str) -> None:
        """Report a missing right with what to do, and any other error in the words of `otherwise`."""
        self.report(matter, error.advice if isinstance(error, ForbiddenError) else otherwise)

    def clear(self, matter: str) -> None:
        """Report that a matter works; log it where that is news."""
        with self._lock:
            before = self._current.pop(matter, None)
        if before:
            self._log.info("cluster_recovered", matter=matter)

    @property
    def current(self) -> Sequence[str]:
        """Every problem with its matter, in a fixed order."""
        with self._lock:
            return [f"{matter}: {message}" for matter, message in sorted(self._current.items())]
