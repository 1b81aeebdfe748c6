"""What does not work in the cluster at the moment, told in the log, in the readiness and in `sew-agent status`."""

import threading
from collections.abc import Sequence

from sew_agent.base.log import Log


class Problems:
    """One text for each matter, e.g. `webhooks`; without secrets. Thread-safe."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._now: dict[str, str] = {}

    def say(self, matter: str, message: str) -> None:
        """It does not work; logged where that is news."""
        with self._lock:
            news = self._now.get(matter) != message
            self._now[matter] = message
        if news:
            self._log.error("cluster_trouble", matter=matter, message=message)

    def over(self, matter: str) -> None:
        """It works."""
        with self._lock:
            before = self._now.pop(matter, None)
        if before:
            self._log.info("cluster_recovered", matter=matter)

    @property
    def all(self) -> Sequence[str]:
        """Each with its matter, in a fixed order."""
        with self._lock:
            return [f"{matter}: {message}" for matter, message in sorted(self._now.items())]
