"""What the agent says of its own process."""

import resource
import time
from importlib.metadata import version
from pathlib import Path

from sew_agent.base.metrics import BUILD_INFO, CPU_SECONDS, MEMORY, MOST_OPEN_FILES, OPEN_FILES, STARTED, Metrics
from sew_agent.base.process import process_gauges


def test_it_is_the_process_that_runs() -> None:
    gauges = process_gauges()
    assert gauges[BUILD_INFO] == {(version("kubectl-sew"),): 1}
    assert 0 < gauges[CPU_SECONDS][()] <= time.process_time()
    assert gauges[STARTED][()] <= time.time()
    assert gauges[MOST_OPEN_FILES][()] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_an_open_file_and_used_memory_are_seen() -> None:
    before = process_gauges()
    held = bytearray(b"x" * (32 << 20))
    with Path("/dev/null").open():
        after = process_gauges()
    assert after[OPEN_FILES][()] == before[OPEN_FILES][()] + 1
    assert after[MEMORY][()] - before[MEMORY][()] > len(held) / 2


def test_each_scrape_says_it_anew() -> None:
    numbers = iter((1.0, 2.0))
    metrics = Metrics(lambda: {CPU_SECONDS: {(): next(numbers)}})
    assert "process_cpu_seconds_total 1" in metrics.write({}).splitlines()
    assert "process_cpu_seconds_total 2" in metrics.write({}).splitlines()
