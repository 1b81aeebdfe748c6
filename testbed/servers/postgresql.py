"""A real PostgreSQL on loopback: Debian's package `postgresql`, found or installed. Free of pytest."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from testbed.servers.building import UnavailableError, packages, run
from testbed.servers.by_hand import serve
from testbed.servers.running import Server, free_port

READY_WITHIN = 30.0
USER = "sew"
_DEBIAN = Path("/usr/lib/postgresql")
_ACCOUNT = "postgres"
"""User of Debian's package: the server refuses to run as root."""
_WHILE_TESTED = (
    "fsync=off",  # what is written survives the server's end, which is all that a test asks for
    "unix_socket_directories=",
    "listen_addresses=127.0.0.1",
    "shared_buffers=64MB",
    "max_connections=100",
)


def find(*, install: bool = True) -> Path:
    """Find the folder of PostgreSQL's programs: `POSTGRESQL_BIN`, Debian's newest, or (as root) its package.

    Raises UnavailableError.
    """
    if given := os.environ.get("POSTGRESQL_BIN"):
        return Path(given)
    if not (there := _installed()) and install:
        packages("postgresql")
        there = _installed()
    if not there:
        raise UnavailableError("no PostgreSQL below /usr/lib/postgresql: install Debian's package postgresql")
    return there[-1]


class PostgreSQL:
    """A server with data of its own in a temporary folder, which can be stopped, killed and started again."""

    def __init__(self, programs: Path, folder: Path, *settings: str, primary: "PostgreSQL | None" = None) -> None:
        """Make its data, or copy those of a server whose standby it is. `settings`: as `name=value`."""
        self.programs = programs
        self._data = folder / "data"
        self._log = folder / "log"
        self._settings = settings
        self.port = free_port()
        if os.geteuid() == 0:
            shutil.chown(folder, _ACCOUNT, _ACCOUNT)
        if primary:
            options = ["-h", "127.0.0.1", "-p", str(primary.port), "-R", "--checkpoint=fast"]
            command = [programs / "pg_basebackup", *options]
        else:
            command = [programs / "initdb", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
        run(*_as_account(), *command, "-U", USER, "--no-sync", "-D", self._data, cwd=folder)
        self._server = self._started()

    @property
    def url(self) -> str:
        """`postgresql://…` of its database `postgres`."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return self._server.pid

    def start(self) -> None:
        """Start it again, on the same port, with what it had."""
        self._server = self._started()

    def stop(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it: SIGINT ends connections and shuts down, SIGQUIT ends at once, SIGKILL is a crash."""
        if self._server.running():
            children = _children(self.pid)
            self._server.signal(number)
            self._server.wait()
            while any(child.exists() for child in children):
                time.sleep(0.01)  # they notice a crash in their own time, and hold the shared memory until then
        self._server.stop()

    def run_sql(self, statements: str) -> str:
        """Run statements as its superuser; return the last one's rows, a line each, with `|` between the columns."""
        command = [self.programs / "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statements, self.url]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def ask_for_passwords_of(self, role: str) -> None:
        """Let a role in only with its password from now on."""
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all {role} all scram-sha-256\n{rules.read_text()}")
        self._server.signal(signal.SIGHUP)

    def take_tls_alone(self, certificate: Path, key: Path) -> None:
        """Take connections over TLS alone from now on, with this certificate and key."""
        for name, source in (("server.crt", certificate), ("server.key", key)):
            target = self._data / name
            target.write_bytes(source.read_bytes())
            target.chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(target, _ACCOUNT, _ACCOUNT)
        rules = self._data / "pg_hba.conf"
        rules.write_text("hostssl all all 127.0.0.1/32 trust\n")
        self._settings = (*self._settings, "ssl=on")
        self.stop(signal.SIGINT)
        self.start()

    def pause(self) -> None:
        """Let it hang: connections stay open, and nothing is answered."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        processes = [self.pid, *(int(child.name) for child in _children(self.pid))]
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def _started(self) -> Server:
        settings = [word for setting in (*_WHILE_TESTED, *self._settings) for word in ("-c", setting)]
        command = [*_as_account(), self.programs / "postgres", "-D", self._data, "-p", str(self.port), *settings]
        server = Server(command, self._log)
        server.wait_until(self._is_ready, READY_WITHIN)
        return server

    def _is_ready(self) -> bool:
        command = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return not subprocess.run(command, check=False).returncode


@contextmanager
def postgresql(programs: Path, *settings: str, primary: PostgreSQL | None = None) -> Iterator[PostgreSQL]:
    """Run a PostgreSQL on a free port, and keep nothing of it. `primary`: the one that it copies."""
    home = pwd.getpwnam(_ACCOUNT).pw_dir if os.geteuid() == 0 else None  # it must be able to reach the folder
    with tempfile.TemporaryDirectory(prefix="kubectl-sew-", dir=home) as folder:
        server = PostgreSQL(programs, Path(folder), *settings, primary=primary)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def synchronous_standby(primary: PostgreSQL) -> Iterator[PostgreSQL]:
    """Run a standby that must have what a server commits."""
    conninfo = f"primary_conninfo=host=127.0.0.1 port={primary.port} user={USER} application_name=standby"
    with postgresql(primary.programs, conninfo, primary=primary) as standby:
        primary.run_sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        primary.run_sql("SELECT pg_reload_conf()")
        yield standby


def _installed() -> list[Path]:
    """Return the folders of programs of each version, the newest last."""
    there = [path for path in _DEBIAN.glob("*/bin") if (path / "initdb").exists()]
    return sorted(there, key=lambda path: int(path.parent.name))


def _children(pid: int) -> list[Path]:
    """Return the processes that the server has started, where the system says so."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [Path(f"/proc/{child}") for child in listed.read_text().split()] if listed.exists() else []


def _as_account() -> list[str]:
    """Return what runs a command as the account that may: in place of itself, so that signals reach the server."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid", _ACCOUNT, "--regid", _ACCOUNT, "--init-groups"]


@contextmanager
def _by_hand() -> Iterator[str]:
    with postgresql(find()) as server:
        yield f"export SEW_STORE={server.url}"


if __name__ == "__main__":
    serve(_by_hand())
