"""Time whole processes in turns: wall time, which a person waits for, and the processor's time."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class ProcessTimes(NamedTuple):
    """Times of one process, in seconds."""

    wall: float
    cpu: float


def in_turns(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[ProcessTimes]]:
    """Run every command once in each round, so that a busy machine is as busy for all."""
    measured: dict[str, list[ProcessTimes]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            measured[name].append(_run(command))
    return measured


def least(times: Sequence[ProcessTimes]) -> ProcessTimes:
    """Return the least wall time and the least of the processor's, as on a machine where nothing else runs."""
    return ProcessTimes(min(one.wall for one in times), min(one.cpu for one in times))


def _run(command: Sequence[str]) -> ProcessTimes:
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} ended with {process.returncode}")
    return ProcessTimes(wall, usage.ru_utime + usage.ru_stime)
