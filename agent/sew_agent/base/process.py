"""Gauges of this process, under the names that Prometheus' own libraries give them."""

import os
import resource
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from sew_agent.base.metrics import (
    BUILD_INFO,
    CPU_SECONDS,
    MEMORY,
    MOST_OPEN_FILES,
    OPEN_FILES,
    STARTED,
    Metric,
    Samples,
)

_STARTED_AT = time.time()
_PROCESS = Path("/proc/self")


def process_gauges() -> Mapping[Metric, Samples]:
    """Return what there is to say of this process now: without /proc neither its memory nor its open files."""
    gauges: dict[Metric, Samples] = {
        BUILD_INFO: {(version("kubectl-sew"),): 1},
        CPU_SECONDS: {(): time.process_time()},
        STARTED: {(): _STARTED_AT},
    }
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most != resource.RLIM_INFINITY:
        gauges[MOST_OPEN_FILES] = {(): most}
    with suppress(OSError):
        pages = int((_PROCESS / "statm").read_text().split()[1])
        gauges[MEMORY] = {(): pages * os.sysconf("SC_PAGE_SIZE")}
        gauges[OPEN_FILES] = {(): sum(1 for _ in (_PROCESS / "fd").iterdir())}
    return gauges
