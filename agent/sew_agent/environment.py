"""Environments: the origin of the webhooks and the place of their status, files or a cluster, with one interface.

The cluster's side is sew_agent.kubernetes.environment, which is loaded only where there is a cluster.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sew_agent.base.health import Health
from sew_agent.base.log import Log
from sew_agent.base.threads import Stop
from sew_agent.delivery.tester import Attempt, DeliveryTester, FileDeliveryTester
from sew_agent.status.report import Observations
from sew_agent.store.contract import Store
from sew_agent.webhooks.base import WebhookSource
from sew_agent.webhooks.files import FileWebhooks
from sew_agent.webhooks.plan import FORGOTTEN
from sew_agent.webhooks.reconciler import Reconciler


class StatusSink(Protocol):
    """Takes the webhooks' status to whoever runs them."""

    def report(self, known: Observations, position: str, now: float) -> None:
        """Report how all webhooks stand now (epoch seconds), and the shared reader's position."""

    def pause(self) -> None:
        """Report nothing until `report` is called again: another agent does."""


class Session(Protocol):
    """A time of reading and sending, from its start until its stack ends it."""

    @property
    def webhooks(self) -> WebhookSource:
        """The desired webhooks."""

    @property
    def tester(self) -> DeliveryTester:
        """Serves the state Test."""

    def start_reporter(self, reconciler: Reconciler, stack: ExitStack) -> StatusSink:
        """Begin to report, until `stack` ends it."""


class Environment(Protocol):
    """The surroundings of the agent, for as long as the process lasts."""

    def servers(self) -> Sequence[str]:
        """Return the URLs of the API servers that the agent itself uses: no receiver may be there."""

    def problems(self) -> Sequence[str]:
        """Return what does not work at the moment."""

    def may_deliver(self) -> bool:
        """Return whether no other agent may be delivering."""

    def inherited_position(self) -> str:
        """Return the position in the events that another agent left; "" where there is none."""

    def lead(self, deliver: Callable[[Stop], int | None], stop: Stop, gives_up: Callable[[], bool]) -> int | None:
        """Deliver while this agent is the one that may; return the exit code, None where it has no end of its own.

        `stop` asks the agent to end, and `deliver` returns None where it ended for that. `gives_up` returns whether to
        wait no longer for a turn.
        """

    def start_session(self, store: Store, attempt: Attempt, health: Health, stack: ExitStack) -> Session:
        """Begin to watch the webhooks, until `stack` ends it. Raises StoreError."""


@dataclass(frozen=True, slots=True)
class FilesEnvironment:
    """Webhooks from manifests. There is no other agent, and nobody to report to but the log and the metrics."""

    webhooks: Path
    secrets_namespace: str
    log: Log

    def servers(self) -> Sequence[str]:
        return ()

    def problems(self) -> Sequence[str]:
        return ()

    def may_deliver(self) -> bool:
        return True

    def inherited_position(self) -> str:
        return ""

    def lead(self, deliver: Callable[[Stop], int | None], stop: Stop, gives_up: Callable[[], bool]) -> int | None:  # noqa: ARG002 - it never waits
        return deliver(stop)

    def start_session(self, store: Store, attempt: Attempt, health: Health, stack: ExitStack) -> "FilesSession":  # noqa: ARG002 - files need no thread
        before = {name for name, record in store.webhook_records().items() if record.state != FORGOTTEN}
        webhooks = FileWebhooks(
            self.webhooks, secrets_namespace=self.secrets_namespace, clock=time.time, expected=before
        )
        stack.callback(webhooks.close)
        return FilesSession(webhooks, FileDeliveryTester(attempt, time.time, self.log))


@dataclass(frozen=True, slots=True)
class FilesSession:
    """A time of reading and sending for webhooks from manifests."""

    webhooks: FileWebhooks
    tester: FileDeliveryTester

    def start_reporter(self, reconciler: Reconciler, stack: ExitStack) -> "NoReport":  # noqa: ARG002 - see NoReport
        return NoReport()


class NoReport:
    """Reports to nobody: `sew-agent status` and the metrics show the status."""

    def report(self, known: Observations, position: str, now: float) -> None:
        pass

    def pause(self) -> None:
        pass
