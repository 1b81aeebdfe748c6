"""Another test run, to be killed while its servers run."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tests.waiting import eventually


@contextmanager
def killed_run(module: str, start: str) -> Iterator[str]:
    """Start `testbed.servers.MODULE`'s server in another process by the expression `start`, and kill that process.

    Yields the server's folder when nothing that runs names it any more.
    """
    with tempfile.TemporaryDirectory(prefix="sew-killed-") as files:
        script = f"from testbed.servers.{module} import *\nwith {start} as it: print(it.folder, flush=True); input()"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        run = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "TMPDIR": files}, text=True, **pipes)
        assert run.stdout is not None
        folder = run.stdout.readline().strip()
        assert processes_of(folder)
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()
        eventually(lambda: not processes_of(folder), "all that the run started ends")
        yield folder


def processes_of(folder: str) -> list[str]:
    """Return the processes whose command line names the folder."""
    return subprocess.run(["pgrep", "-f", folder], capture_output=True, text=True, check=False).stdout.split()
