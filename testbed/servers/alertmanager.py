"""A real Alertmanager on loopback: Debian's package `prometheus-alertmanager`, found or installed. Free of pytest."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from testbed.servers.building import program
from testbed.servers.by_hand import serve
from testbed.servers.running import Server, free_port

PROGRAM = "prometheus-alertmanager"
READY_WITHIN = 20.0
_CONFIG = "route: {receiver: none}\nreceivers: [{name: none}]\n"


def find(*, install: bool = True) -> Path:
    """Find Alertmanager: `ALERTMANAGER` in the environment, a program on PATH, or (as root) Debian's package.

    Raises UnavailableError.
    """
    given = os.environ.get("ALERTMANAGER") or shutil.which("alertmanager")
    return Path(given) if given else program(PROGRAM, PROGRAM, install=install)


@contextmanager
def alertmanager(binary: Path) -> Iterator[str]:
    """Run an Alertmanager on a free port, keep nothing of it, and yield `http://127.0.0.1:PORT`."""
    with tempfile.TemporaryDirectory() as folder:
        base = f"http://127.0.0.1:{free_port()}"
        with Server(_command(binary, Path(folder), base), Path(folder) / "log") as server:
            server.wait_until(lambda: _ready(base), READY_WITHIN)
            yield base


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


def _ready(base: str) -> bool:
    try:
        with build_opener(ProxyHandler({})).open(f"{base}/-/ready", timeout=2):
            return True
    except (URLError, OSError):
        return False


@contextmanager
def _by_hand() -> Iterator[str]:
    with alertmanager(find()) as url:
        yield f"export ALERTMANAGER_URL={url}"


if __name__ == "__main__":
    serve(_by_hand())
