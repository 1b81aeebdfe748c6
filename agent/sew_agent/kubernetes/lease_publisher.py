"""Says in the Lease which agent reads, where several share a store: for `kubectl sew`, and nobody waits for it."""

import threading
from collections.abc import Callable
from contextlib import suppress

from sew_agent.base.health import Heartbeat
from sew_agent.base.threads import start_thread
from sew_agent.kubernetes.client import ApiError, ConflictError, NotFoundError
from sew_agent.kubernetes.lease import RETRY_PERIOD
from sew_agent.kubernetes.lease_client import MATTER, RELEASED, LeaseClient
from sew_agent.kubernetes.problems import Problems


class LeasePublisher:
    """Writer of the Lease. `reads`: whether this agent is the one that reads now."""

    def __init__(
        self, client: LeaseClient, problems: Problems, reads: Callable[[], bool], heartbeat: Heartbeat
    ) -> None:
        self._client = client
        self._problems = problems
        self._reads = reads
        self._heartbeat = heartbeat
        self._stop = threading.Event()
        self._published = False

    def start(self) -> None:
        """Begin, in a thread of its own. Raises NoThreadError."""
        start_thread(self._run, "lease")

    def stop(self) -> None:
        """End, and say that nobody holds the Lease any more, if nobody else does."""
        self._stop.set()
        if self._published:
            with suppress(ApiError):
                self._release()

    def _run(self) -> None:
        while not self._stop.wait(RETRY_PERIOD):
            self._heartbeat.beat()
            if self._reads():
                self._try()

    def _try(self) -> None:
        try:
            self._client.write(self._client.read(), position="")
            self._published = True
            self._problems.clear(MATTER)
        except (NotFoundError, ConflictError):
            pass  # it is read again
        except ApiError as error:
            self._problems.report_error(MATTER, error, f"{error}; delivery goes on, but `kubectl sew` finds no agent")

    def _release(self) -> None:
        lease = self._client.read()
        if lease and lease.holder == self._client.identity.holder:
            self._client.write(lease, duration=RELEASED, position="")
