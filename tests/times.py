"""Print at the end of a test run how long each part of it took."""

from collections import Counter
from pathlib import Path

import pytest

from testbed.servers.building import SPENT


class DurationReport:
    """A plugin of pytest that sums durations by the folder below tests/, and names the share of building servers."""

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds["/".join(Path(report.nodeid.split("::")[0]).parts[:2])] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("seconds by part")
        for part, seconds in self._seconds.items():
            terminalreporter.line(f"{seconds:7.1f}  {part}")
        for server, seconds in SPENT.items():
            terminalreporter.line(f"{seconds:7.1f}  of these, to build or install {server}")
