"""Whole processes, timed in turns: what a person waits for, and what the processor does for it."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Times(NamedTuple):
    """Of one process, in seconds."""

    wall: float
    cpu: float


def in_turns(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[Times]]:
    """Runs every command once in each round, so that a busy machine is as busy for all."""
    found: dict[str, list[Times]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            found[name].append(_run(command))
    return found


def least(times: Sequence[Times]) -> Times:
    """What it takes where nothing else runs: the least wall time, and the least of the processor's."""
    return Times(min(each.wall for each in times), min(each.cpu for each in times))


def _run(command: Sequence[str]) -> Times:
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} ended with {process.returncode}")
    return Times(wall, usage.ru_utime + usage.ru_stime)
