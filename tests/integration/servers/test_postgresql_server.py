"""The PostgreSQL under test is a real one, and keeps what was committed over a crash."""

import signal
import subprocess

import pytest

from testbed.servers.postgresql import PostgreSQL, find, postgresql
from testbed.servers.required import required

pytestmark = pytest.mark.server


def queried(server: PostgreSQL, sql: str) -> str:
    """What the server's own client prints for a statement."""
    command = [find() / "psql", server.url, "--no-psqlrc", "-qtAc", sql]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_what_was_committed_is_there_after_a_crash_on_the_same_port() -> None:
    with required(), postgresql(find()) as server:
        queried(server, "CREATE TABLE kept (number int); INSERT INTO kept VALUES (7)")
        server.stop(signal.SIGKILL)
        server.start()
        assert queried(server, "SELECT number FROM kept") == "7"
        assert int(queried(server, "SHOW server_version_num")) >= 130_000
