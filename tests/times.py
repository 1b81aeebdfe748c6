"""Print at the end of a test run how long each part of it took."""

from collections import Counter
from pathlib import Path

import pytest
from xdist import is_xdist_worker
from xdist.workermanage import WorkerController

from testbed.servers.building import SPENT


class DurationReport:
    """A plugin of pytest that sums durations by the folder below tests/, and names the share of building servers.

    Where xdist runs tests beside each other, the durations of all its workers are summed.
    """

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()
        self._spent: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds["/".join(Path(report.nodeid.split("::")[0]).parts[:2])] += report.duration

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._spent.update(SPENT)
        if is_xdist_worker(session):
            session.config.workeroutput["spent"] = dict(self._spent)  # type: ignore[attr-defined]  # xdist adds it

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController) -> None:
        """Take what a worker spent; one that crashed says nothing."""
        self._spent.update(getattr(node, "workeroutput", {}).get("spent", {}))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("seconds by part")
        for part, seconds in self._seconds.items():
            terminalreporter.line(f"{seconds:7.1f}  {part}")
        for server, seconds in self._spent.items():
            terminalreporter.line(f"{seconds:7.1f}  of these, until there was {server}")
