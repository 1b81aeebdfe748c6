"""A real Alertmanager on loopback: Debian's package `prometheus-alertmanager`, found or installed. Free of pytest."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from tests.servers.building import UnavailableError, program

PROGRAM = "prometheus-alertmanager"
READY_WITHIN = 20.0
_CONFIG = "route: {receiver: none}\nreceivers: [{name: none}]\n"


def find(*, install: bool = True) -> Path:
    """`ALERTMANAGER` in the environment, else a program on PATH, else (as root) Debian's. Raises UnavailableError."""
    given = os.environ.get("ALERTMANAGER") or shutil.which("alertmanager")
    return Path(given) if given else program(PROGRAM, PROGRAM, install=install)


@contextmanager
def alertmanager(binary: Path) -> Iterator[str]:
    """Runs one on a free port, with nothing kept afterwards; yields `http://127.0.0.1:PORT`."""
    with tempfile.TemporaryDirectory() as folder:
        base = f"http://127.0.0.1:{free_port()}"
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(_command(binary, Path(folder), base), stdout=log, stderr=log)
            try:
                _wait_until_ready(process, base, Path(folder) / "log")
                yield base
            finally:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _command(binary: Path, folder: Path, base: str) -> list[str]:
    config = folder / "alertmanager.yml"
    config.write_text(_CONFIG)
    return [
        str(binary),
        f"--config.file={config}",
        f"--storage.path={folder}/data",
        f"--web.listen-address={base.removeprefix('http://')}",
        "--cluster.listen-address=",  # without this empty value it opens 0.0.0.0:9094
    ]


def _wait_until_ready(process: "subprocess.Popen[bytes]", base: str, log: Path) -> None:
    opener = build_opener(ProxyHandler({}))
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with opener.open(f"{base}/-/ready", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.05)  # a real process comes up in its own time
    raise UnavailableError(f"it did not get ready; its log ends: {log.read_text(errors='replace')[-500:]}")
