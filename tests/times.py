"""Print at the end of a test run how long each part of it took."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

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
        if hasattr(session.config, "workeroutput"):  # a worker's, that its controller gets
            session.config.workeroutput["spent"] = dict(self._spent)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker of xdist spent; one that crashed says nothing."""
        self._spent.update(getattr(node, "workeroutput", {}).get("spent", {}))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("seconds by part")
        for part, seconds in self._seconds.items():
            terminalreporter.line(f"{seconds:7.1f}  {part}")
        for server, seconds in self._spent.items():
            terminalreporter.line(f"{seconds:7.1f}  of these, waiting for {server}")
