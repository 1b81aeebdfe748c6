"""Real Elasticsearch and OpenSearch nodes with security: TLS of an authority of their own, users, roles, API keys.

The plugins of security are fetched from Maven Central where a test needs them; they are under the Elastic License 2.0
(Elasticsearch) and the Apache License 2.0 (OpenSearch). Free of pytest.
"""

import base64
import hashlib
import shutil
import ssl
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from elasticsearch import Elasticsearch

from testbed.raw_server import Authority
from testbed.servers.building import UnavailableError
from testbed.servers.by_hand import serve
from testbed.servers.elasticsearch import HEALTH, V8_NEWEST, V9_NEWEST, ElasticsearchNode, Version, answers, build
from testbed.servers.indices import connect
from testbed.servers.opensearch import V3

ADMIN, PASSWORD = "admin", "Administrator-of-tests-1"
_SECURITY_HEALTH = "/_plugins/_security/health"
"""Of the plugin, which fills its index after the others are ready."""
_HOST = "localhost"
_BOTH = "serverAuth,clientAuth"
_NO_MAPPING = "_meta: {type: rolesmapping, config_version: 2}\n"
_JSON = {"accept": "application/json", "content-type": "application/json"}


def _apart(folder: Path) -> None:
    """Move both plugins out of the class path: each needs a loader of its own."""
    for name in ("core", "security"):
        (folder / name).mkdir()
        (jar,) = (folder / "lib").glob(f"x-pack-{name}-*.jar")
        jar.rename(folder / name / jar.name)


def _unpacked(folder: Path) -> None:
    """Unpack the plugin's archive to `security`, without the jars that are there already."""
    (archive,) = (folder / "lib").glob("opensearch-security-*.zip")
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder / "security")
    archive.unlink()
    for jar in (folder / "security").glob("*.jar"):
        if (folder / "lib" / jar.name).exists():
            jar.unlink()


VERSIONS: Mapping[str, Version] = {
    "elasticsearch_8": Version(V8_NEWEST.number, 17, 23, folders=("9", "secured"), arrange=_apart),
    "elasticsearch_9": Version(V9_NEWEST.number, 21, 99, folders=("9", "secured"), arrange=_apart),
    "opensearch_3": Version(
        "3.4.0",  # the newest whose plugin is on Maven Central
        21,
        99,
        product=V3.product,
        main=V3.main,
        electing=V3.electing,
        plugins=(*V3.plugins, "org.opensearch.security.OpenSearchSecurityPlugin"),
        pinned={"log4j": "2.21.0"},
        folders=("3", "secured"),
        jars=("lib", "security"),
        arrange=_unpacked,
    ),
}


class SecuredNode(ElasticsearchNode):
    """A node that asks who is there. Its authority is made with it."""

    @property
    def url(self) -> str:
        return f"https://{_HOST}:{self.http_port}"

    @property
    def ca(self) -> Path:
        """The file with its authority's certificate."""
        return self.folder / "config" / "ca.crt"

    @property
    def is_opensearch(self) -> bool:
        return self.version.product == V3.product

    def prepare(self) -> None:
        """Write certificates, and the first user, before the first start."""
        config = self.folder / "config"
        config.mkdir(parents=True)
        authority = Authority(config)
        certificate, key = (path.name for path in authority.sign(_HOST, kind=_BOTH))
        if self.is_opensearch:
            shutil.copytree(build(self.version) / "security" / "config", config / "opensearch-security")
            # By the archive's own mapping every user may do more than the roles that it was given.
            (config / "opensearch-security" / "roles_mapping.yml").write_text(_NO_MAPPING)
            self._admins = authority.sign(ADMIN, kind="clientAuth")
            self.settings = _opensearch(certificate, key)
        else:
            (config / "users").write_text(f"{ADMIN}:{_hash(PASSWORD)}\n")
            (config / "users_roles").write_text(f"superuser:{ADMIN}\n")
            self.settings = _elasticsearch(certificate, key)

    def admin(self) -> Elasticsearch:
        """Return a client that may do everything: to Elasticsearch by password, to OpenSearch by certificate."""
        if self.is_opensearch:
            certificate, key = map(str, self._admins)
            return connect(self.url, ca_certs=str(self.ca), client_cert=certificate, client_key=key)
        return connect(self.url, ca_certs=str(self.ca), basic_auth=(ADMIN, PASSWORD))

    def change(self, method: str, path: str, body: Any) -> Any:
        """Ask as the administrator, by the API of security or another, and return the answer."""
        with self.admin() as client:
            return client.perform_request(method, path, body=body, headers=_JSON).body

    def login(self) -> dict[str, Path]:
        """Return the files by which the administrator logs in, by the name of their setting."""
        if self.is_opensearch:
            return dict(zip(("CLIENT_CERT", "CLIENT_KEY"), self._admins, strict=True))
        files = {"USERNAME": ADMIN, "PASSWORD": PASSWORD}
        for name, text in files.items():
            (self.folder / name).write_text(text)
        return {name: self.folder / name for name in files}

    def _is_ready(self) -> bool:
        context = ssl.create_default_context(cafile=self.ca)
        opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
        if self.is_opensearch:
            context.load_cert_chain(*self._admins)
        else:
            pair = base64.b64encode(f"{ADMIN}:{PASSWORD}".encode()).decode()
            opener.addheaders = [("Authorization", f"Basic {pair}")]
        if self.is_opensearch and not answers(f"{self.url}{_SECURITY_HEALTH}", opener, b'"status":"UP"'):
            return False
        return answers(f"{self.url}{HEALTH}", opener)


@contextmanager
def secured(name: str, *, heap: str = "512m") -> Iterator[SecuredNode]:
    """Run one secured node, by its name in `VERSIONS`, with data of its own. Raises UnavailableError."""
    version = VERSIONS[name]
    build(version)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        node = SecuredNode(version, "node-0", Path(folder) / "node-0", heap)
        node.prepare()
        try:
            node.start()
            yield node
        finally:
            node.kill()


def _elasticsearch(certificate: str, key: str) -> dict[str, str]:
    return {
        "discovery.type": "single-node",
        "xpack.security.enabled": "true",
        "xpack.security.enrollment.enabled": "false",
        "xpack.security.http.ssl.enabled": "true",
        "xpack.security.http.ssl.key": key,
        "xpack.security.http.ssl.certificate": certificate,
        "xpack.security.http.ssl.certificate_authorities": "ca.crt",
    }


def _opensearch(certificate: str, key: str) -> dict[str, str]:
    tls = {"pemcert_filepath": certificate, "pemkey_filepath": key, "pemtrustedcas_filepath": "ca.crt"}
    return {
        "discovery.type": "single-node",
        **{f"plugins.security.ssl.transport.{name}": value for name, value in tls.items()},
        **{f"plugins.security.ssl.http.{name}": value for name, value in tls.items()},
        "plugins.security.ssl.transport.enforce_hostname_verification": "false",
        "plugins.security.ssl.http.enabled": "true",
        "plugins.security.allow_default_init_securityindex": "true",
        "plugins.security.authcz.admin_dn": f'["CN={ADMIN}"]',
        "plugins.security.nodes_dn": f'["CN={_HOST}"]',
    }


def _hash(password: str) -> str:
    """Return a password as Elasticsearch's file of users has it."""
    salt, rounds = b"0" * 32, 1000
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, dklen=32)
    return f"{{PBKDF2}}{rounds}${base64.b64encode(salt).decode()}${base64.b64encode(derived).decode()}"


@contextmanager
def _by_hand(name: str) -> Iterator[str]:
    if name not in VERSIONS:
        raise UnavailableError(f"{name} is not under test with security: name {' or '.join(VERSIONS)}")
    with secured(name) as node:
        files = {"CA": node.ca, **node.login()}
        lines = [f"export SEW_ELASTICSEARCH_{setting}_FILE={path}" for setting, path in files.items()]
        yield "\n".join([f"export ELASTICSEARCH_URL={node.url}", *lines])


if __name__ == "__main__":
    serve(_by_hand(sys.argv[1] if len(sys.argv) > 1 else "elasticsearch_8"))
