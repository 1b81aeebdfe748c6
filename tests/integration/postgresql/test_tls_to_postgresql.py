"""TLS to PostgreSQL, as the URL asks for it: the server must prove its name, and the agent says why it did not."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from kubectl_sew.event import Event
from sew_agent.store.postgresql.store import open_store
from sew_agent.store.records import EnqueueBatch, NewDelivery, StoreAwayError, StoreError
from testbed.servers.postgresql import PostgreSQL, find, postgresql
from testbed.servers.required import required

pytestmark = pytest.mark.server
NAME = "localhost"


def make_authority(folder: Path, name: str) -> Path:
    """Make an authority with a key, and return its certificate."""
    _openssl(folder, f"req -x509 {_NEW} -subj /CN={name} -keyout {name}.key -out {name}.crt")
    return folder / f"{name}.crt"


_NEW = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"


def make_certificate(folder: Path, authority: str, host: str) -> tuple[Path, Path]:
    """Make a certificate for a host, and return it with its key."""
    (folder / "names").write_text(f"subjectAltName=DNS:{host}")
    _openssl(folder, f"req {_NEW} -subj /CN={host} -keyout server.key -out server.csr")
    _openssl(
        folder,
        f"x509 -req -in server.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial -days 2"
        " -extfile names -out server.crt",
    )
    return folder / "server.crt", folder / "server.key"


def _openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the authority of the server and another one."""
    folder = tmp_path_factory.mktemp("certificates")
    make_authority(folder, "ours")
    make_authority(folder, "other")
    return folder


@pytest.fixture(scope="module")
def server(certificates: Path) -> Iterator[PostgreSQL]:
    with required(), postgresql(find()) as made:
        made.take_tls_alone(*make_certificate(certificates, "ours", NAME))
        yield made


def url(server: PostgreSQL, certificates: Path, authority: str = "ours", host: str = NAME) -> str:
    checked = f"sslmode=verify-full&sslrootcert={certificates / authority}.crt&hostaddr=127.0.0.1"
    return server.url.replace("127.0.0.1", host) + f"?{checked}"


def test_a_server_that_proves_its_name_is_used(server: PostgreSQL, certificates: Path) -> None:
    with closing(open_store(url(server, certificates), owner="one")) as store:
        store.enqueue(EnqueueBatch([NewDelivery(Event("", "a", {}), ("hook",))], {}, 1.0))
        assert store.pending_counts() == {"hook": 1}
        sessions = "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE usename = 'sew'"
        with psycopg.connect(url(server, certificates)) as beside:
            assert beside.execute(sessions).fetchall() == [(True,)]


@pytest.mark.parametrize(
    ("authority", "host", "why"),
    [
        ("other", NAME, "certificate verify failed"),
        ("ours", "postgres.example", 'does not match host name "postgres.example"'),
        ("missing", NAME, "does not exist"),
    ],
)
def test_a_server_that_does_not_prove_its_name_is_refused_with_the_cause(
    server: PostgreSQL, certificates: Path, authority: str, host: str, why: str
) -> None:
    with pytest.raises(StoreError, match=why) as refused:
        open_store(url(server, certificates, authority, host), owner="one")
    assert not isinstance(refused.value, StoreAwayError), "waiting does not help"


def test_a_server_that_asks_for_tls_is_not_used_without(server: PostgreSQL) -> None:
    with pytest.raises(StoreError, match=r"no pg_hba\.conf entry"):
        open_store(f"{server.url}?sslmode=disable", owner="one")
