"""Run one server so that it ends with the test run, however that ends: `python guard.py LOG COMMAND…`.

The test run holds the guard's standard input. When that closes, by intent or because the test run was killed, the guard
kills the server's whole process group. It prints the server's process id, and ends with its exit code.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading


def main(log: str, *command: str) -> int:
    with open(log, "ab") as output:  # noqa: PTH123 - pathlib would double the time that a guard takes to start
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    print(server.pid, flush=True)
    threading.Thread(target=_kill_when_alone, args=(server.pid,), daemon=True).start()
    code = server.wait()
    _kill(server.pid)  # what it started and left behind
    return code if code >= 0 else 128 - code


def _kill_when_alone(group: int) -> None:
    while os.read(0, 1):  # not by sys.stdin: its lock, held here, would break the guard's own end
        pass
    _kill(group)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
