"""The set-up `postgresql`: as `elasticsearch`, with three agents over one store in PostgreSQL, which fails over."""

import signal
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from testbed.servers.postgresql import PostgreSQL, find, postgresql, synchronous_standby
from tests.e2e.sew_agent import Agent
from tests.proof.elasticsearch import InCluster
from tests.proof.history import Books
from tests.proof.schedule import Fault, Kind
from tests.proof.setup import books_of
from tests.waiting import eventually

RESTART = "restart of postgresql"
FAILOVER = "failover of postgresql"
ONCE = 1e9
"""Seconds between two faults that come once in any run."""


class WithPostgresql(InCluster):
    """The primary crashes, hangs, and is replaced by its synchronous standby in the middle of the run."""

    name = "postgresql"
    agents = 3
    disrupts: Mapping[str, str] = {**InCluster.disrupts, RESTART: "store", FAILOVER: "store"}

    def __init__(self) -> None:
        super().__init__()
        self.kinds |= {RESTART: Kind(30.0, (0.5, 3.0), ("crash", "hang")), FAILOVER: Kind(ONCE)}

    def start(self, folder: Path, stack: ExitStack) -> None:
        self._primary = stack.enter_context(postgresql(find()))
        self._standby: PostgreSQL | None = stack.enter_context(synchronous_standby(self._primary))
        hosts = f"127.0.0.1:{self._primary.port},127.0.0.1:{self._standby.port}"
        self.settings["SEW_STORE"] = f"postgresql://sew@{hosts}/postgres?target_session_attrs=read-write"
        super().start(folder, stack)

    def start_agent(self, number: int) -> Agent:
        self.folder.state = self.folder.path / f"state-{number}"
        return super().start_agent(number)

    def state_of(self, webhook: str) -> str:
        with suppress(subprocess.CalledProcessError):  # it is away
            return self._primary.run_sql(f"SELECT state FROM webhooks WHERE name = '{webhook}'")
        return ""

    def begin(self, fault: Fault) -> None:
        if fault.kind == RESTART and not self._is_busy(RESTART) and not self._is_busy(FAILOVER):
            if fault.what == "hang":
                self._primary.pause()
                self._in_background(RESTART, fault.lasts, self._primary.resume)
            else:
                self._primary.stop(signal.SIGKILL)
                self._in_background(RESTART, fault.lasts, self._primary.start)
        elif fault.kind == FAILOVER:
            self._in_background(FAILOVER, 0.0, self._fail_over)
        else:
            super().begin(fault)

    def pending(self, agents: list[Agent]) -> int:
        return int(self._primary.run_sql("SELECT coalesce(sum(pending), 0) FROM webhooks"))

    def books(self) -> Mapping[str, Books]:
        return books_of(self.folder, **self.settings)

    def _fail_over(self) -> None:
        """Replace the primary by its standby, once that has what the primary has."""
        eventually(lambda: not self._is_busy(RESTART), "the primary is not being restarted", 60)
        standby, self._standby = self._standby, None
        assert standby is not None
        self._primary.stop(signal.SIGKILL)
        standby.run_sql("SELECT pg_promote()")
        self._primary = standby
