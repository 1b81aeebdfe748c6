"""Show that a person can run each server under test, and that nothing of it stays."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.servers import alertmanager, elasticsearch, helm, krew, kubernetes, postgresql, secured
from testbed.servers.required import required

pytestmark = pytest.mark.server
FIND: dict[str, Callable[[], object]] = {
    "alertmanager": alertmanager.find,
    "elasticsearch": lambda: elasticsearch.build(elasticsearch.V8),
    "helm": lambda: helm.find(helm.V4),
    "krew": krew.find,
    "kubernetes": kubernetes.find,
    "postgresql": postgresql.find,
    "secured": lambda: elasticsearch.build(secured.VERSIONS["elasticsearch_8"]),
}


def started(name: str, *arguments: str, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", f"testbed.servers.{name}", *arguments]
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("name", FIND)
def test_a_server_prints_how_to_reach_it_and_runs_until_ctrl_c(name: str, tmp_path: Path) -> None:
    with required():
        FIND[name]()
    with started(name, folder=tmp_path) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("export ")
        server.send_signal(signal.SIGINT)
        _, said = server.communicate()
    assert (server.returncode, said) == (0, "Ctrl-C stops it; its data goes with it.\n")
    assert list(tmp_path.iterdir()) == []


def test_a_version_that_is_not_under_test_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with started("elasticsearch", "7", folder=tmp_path) as server:
        _, said = server.communicate()
    assert (server.returncode, said) == (1, "error: Elasticsearch 7 is not under test: name 8 or 9 or 8.19 or 9.5\n")
