"""Run servers under test: guarded, on free ports of loopback, and waited for. Free of pytest."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from testbed.servers.building import UnavailableError

_GUARD = Path(__file__).with_name("guard.py")
_PORTS = range(20000, 32000)  # below those that the system hands out, so a stopped server's port stays free


class Server:
    """A running server, which is killed on leaving and when the test run dies."""

    def __init__(self, command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", _GUARD, log, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=None if env is None else {**os.environ, **env},
            start_new_session=True,  # an interrupt from the keyboard is the test run's to handle
        )
        assert self._guard.stdout is not None
        self.pid = int(self._guard.stdout.readline() or 0)
        if not self.pid:
            self.stop()
            raise UnavailableError(f"{command[0]} does not start")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def running(self) -> bool:
        return self._guard.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server itself: SIGTERM shuts it down, SIGSTOP makes it hang, SIGCONT ends that."""
        os.kill(self.pid, number)

    def wait(self) -> None:
        """Wait until the server has ended."""
        self._guard.wait()

    def stop(self) -> None:
        """Kill the server with all that it started. Do nothing where it has ended already."""
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._guard.wait()

    def wait_until(self, ready: Callable[[], bool], within: float) -> None:
        """Wait `within` seconds until it is ready. Raises UnavailableError with the log's end where it is not."""
        began = time.monotonic()
        while not ready():
            if not self.running() or time.monotonic() - began > within * slowness():
                self.stop()
                raise UnavailableError(f"it did not get ready; its log ends: {tail(self.log)}")
            time.sleep(0.02)  # a real process comes up in its own time


def slowness() -> float:
    """Return how many times longer than on a quiet machine a program may take: by those that want to run, 1 at least.

    Limits are for a quiet machine, where they are facts; on a busy one they are stretched by this.
    """
    last_minute, _, _ = os.getloadavg()
    return max(1.0, last_minute / (os.cpu_count() or 1))


def tail(log: Path) -> str:
    return log.read_text(errors="replace")[-1500:]


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
