"""Grafana's own types of dashboards, in Go, which read strictly; Grafana itself is not run. Free of pytest."""

import subprocess
from hashlib import sha256
from pathlib import Path

from testbed.servers.golang import go_program

_MODULE = Path(__file__).with_name("go") / "grafana"


def find() -> Path:
    """Build the program that reads a dashboard where it is not there yet. Raises UnavailableError."""
    sources = b"".join((_MODULE / name).read_bytes() for name in ("go.mod", "main.go"))
    return go_program("grafana", "kubectl-sew/testbed/servers/grafana", sha256(sources).hexdigest()[:12])


def objections(dashboard: str) -> str:
    """Return what is wrong with the JSON of a dashboard; "" where nothing is. Raises UnavailableError."""
    ran = subprocess.run([find()], input=dashboard, capture_output=True, text=True, check=False)
    assert (ran.returncode != 0) == bool(ran.stderr), ran.stderr
    return ran.stderr
