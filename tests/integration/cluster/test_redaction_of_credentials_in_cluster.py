"""Redaction of the agent's own credentials: canaries in every file and URL, right, refused and malformed."""

import base64
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from elasticsearch import Elasticsearch

from kubectl_sew.redaction import HIDDEN
from testbed.receivers import Answer, Incoming, Receiver
from testbed.servers.indices import index
from testbed.servers.running import free_port
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster import redaction
from tests.integration.cluster.in_cluster import ClusterHarness, webhook
from tests.integration.elasticsearch.faults import proxy
from tests.waiting import eventually

pytestmark = pytest.mark.server
KEY = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n"
WORDS = {"X-Elastic-Product": "Elasticsearch", "Content-Type": "application/vnd.elasticsearch+json;compatible-with=8"}


class CredentialsHarness:
    """Files of credentials in a folder, and an agent that is given them."""

    def __init__(self, folder: Folder, path: Path) -> None:
        self._folder, self.path = folder, path
        named = "-subj /CN=agent -addext subjectAltName=IP:127.0.0.1"
        self._openssl(f"req -x509 -newkey rsa:2048 -nodes -days 2 {named} -keyout good.key -out good.crt")
        self._openssl("pkey -in good.key -aes256 -passout pass:canary -out encrypted.key")

    def agent(
        self, url: str, given: Mapping[str, str], harness: ClusterHarness | None = None, index: str = "x"
    ) -> Agent:
        """`given`: credential -> its file's content, or the name of a file that was made."""
        self.write(given)
        files = {f"SEW_ELASTICSEARCH_{name.upper()}_FILE": str(self.path / name) for name in given}
        between = f"http://canary-user:canary-password@127.0.0.1:{free_port()}"
        flags = ["--kubeconfig", str(harness.kubeconfig)] if harness else []
        return self._folder.start("--elasticsearch", url, *flags, SEW_PROXY=between, SEW_INDEX=index, **files)

    def write(self, given: Mapping[str, str]) -> None:
        for name, content in given.items():
            made = self.path / content if len(content) < 20 else Path()
            (self.path / name).write_bytes(made.read_bytes() if made.is_file() else content.encode())

    def _openssl(self, command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=self.path, check=True, capture_output=True)


@pytest.fixture
def credentials(folder: Folder, tmp_path: Path) -> CredentialsHarness:
    (tmp_path / "credentials").mkdir()
    return CredentialsHarness(folder, tmp_path / "credentials")


def repeating(status: int) -> Receiver:
    """Return a receiver that refuses every request, and repeats its credential, as sent and as it was meant."""

    def answer(incoming: Incoming) -> Answer:
        sent = incoming.headers["authorization"]
        reason = f"no privilege for {sent} ({_decoded(sent.split()[1])})"
        error = {"type": "security_exception", "reason": reason, "caused_by": {"type": "x", "reason": reason}}
        return Answer(status, json.dumps({"error": error, "status": status}).encode(), WORDS)

    return Receiver(answer)


def _decoded(credential: str) -> str:
    try:
        return base64.b64decode(credential).decode()
    except ValueError:
        return credential


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"api_key": base64.b64encode(b"id-7:canary-secret").decode()}, 403),
        ({"api_key": "canary"}, 500),
        ({"token": "canary-token\n"}, 403),
        ({"username": "sew", "password": "canary\npassword"}, 403),
        ({"username": "sew", "password": "canary"}, 401),
    ],
    ids=["api key", "odd api key", "token", "password of two lines", "password"],
)
def test_a_credential_that_is_refused_and_repeated_shows_nowhere(
    harness: ClusterHarness, folder: Folder, credentials: CredentialsHarness, given: Mapping[str, str], status: int
) -> None:
    harness.apply(webhook("any", "http://127.0.0.1:9/"))
    with repeating(status) as elasticsearch:
        agent = credentials.agent(f"{elasticsearch.url}/canary", given, harness)
        eventually(lambda: harness.condition("any", "EventsFetched").get("status") == "False", "it is reported", 30)
    message = harness.condition("any", "EventsFetched")["message"]
    assert f"{status}" in message
    assert HIDDEN in message
    token = json.loads(harness.kubeconfig.read_text())["users"][0]["user"]["token"]
    assert redaction.leaks(redaction.of_webhooks(harness, "any") | redaction.of_agent(agent, folder), token) == {}


UNUSABLE: Mapping[str, tuple[str, Mapping[str, str], str]] = {
    "api key of two lines": ("http", {"api_key": "canary\ncanary"}, "must hold it alone, on one line"),
    "token of two lines": ("http", {"token": "canary\ncanary"}, "must hold it alone, on one line"),
    "token not of ASCII": ("http", {"token": "canary…"}, "must hold it alone, on one line"),
    "two credentials": ("http", {"token": "canary", "api_key": "canary"}, "give one of an API key"),
    "CA that is none": ("https", {"ca": "canary"}, "certificates for Elasticsearch cannot be read"),
    "CA of rubbish": ("https", {"ca": CERTIFICATE}, "certificates for Elasticsearch cannot be read"),
    "certificate that is none": ("https", {"client_cert": "canary", "client_key": "good.key"}, "cannot be read"),
    "certificate of rubbish": ("https", {"client_cert": CERTIFICATE, "client_key": KEY}, "cannot be read"),
    "key that is none": ("https", {"client_cert": "good.crt", "client_key": "canary"}, "cannot be read"),
    "key of rubbish": ("https", {"client_cert": "good.crt", "client_key": KEY}, "cannot be read"),
    "key with passphrase": ("https", {"client_cert": "good.crt", "client_key": "encrypted.key"}, "`openssl pkey`"),
    "user in the URL": ("http://canary:canary", {}, "credentials do not belong in Elasticsearch's URL"),
    "odd password in the URL": ("http://canary:canary#/", {}, "Elasticsearch's URL cannot be read"),
}


@pytest.mark.parametrize(("scheme", "given", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_credential_that_cannot_be_used_is_an_error_that_does_not_show_it(
    folder: Folder, credentials: CredentialsHarness, scheme: str, given: Mapping[str, str], said: str
) -> None:
    address = f"127.0.0.1:{free_port()}"
    agent = credentials.agent(f"{scheme}@{address}" if "://" in scheme else f"{scheme}://{address}", given)
    assert agent.wait() == 1
    error = agent.text().splitlines()[-1]
    assert error.startswith("error: ")
    assert said in error
    assert "pass phrase" not in agent.text()
    assert redaction.leaks(redaction.of_agent(agent, folder)) == {}


def test_a_key_that_becomes_unusable_is_reported_in_the_condition_and_does_not_show(
    harness: ClusterHarness, folder: Folder, credentials: CredentialsHarness, elasticsearch_8: str
) -> None:
    harness.apply(webhook("any", "http://127.0.0.1:9/"))
    pair = (credentials.path / "good.crt", credentials.path / "good.key")
    with (
        Elasticsearch(elasticsearch_8, request_timeout=60) as client,
        index(client, name="sew-canaries"),
        proxy(elasticsearch_8, pair) as secure,
    ):
        given = {"ca": "good.crt", "client_cert": "good.crt", "client_key": "good.key"}
        agent = credentials.agent(secure.url, given, harness, "sew-canaries")
        eventually(lambda: harness.condition("any", "EventsFetched").get("status") == "True", "events are read", 30)
        credentials.write({"client_key": "canary"})
        eventually(lambda: harness.condition("any", "EventsFetched").get("status") == "False", "it is reported", 30)
    assert "certificates for Elasticsearch cannot be read" in harness.condition("any", "EventsFetched")["message"]
    assert redaction.leaks(redaction.of_webhooks(harness, "any") | redaction.of_agent(agent, folder)) == {}


KUBECONFIGS = {
    "token of two lines": ("'canary\n\n  canary'", "the token for"),
    "token that is a tag": ("!canary x", "it is not YAML"),
    "token that is an alias": ("*canary", "it is not YAML"),
}


@pytest.mark.parametrize(("token", "said"), KUBECONFIGS.values(), ids=KUBECONFIGS)
def test_a_token_of_the_api_server_that_cannot_be_used_shows_nowhere(
    harness: ClusterHarness, folder: Folder, tmp_path: Path, token: str, said: str
) -> None:
    config = json.loads(harness.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = config["clusters"][0]["cluster"]["server"].replace("//", "//canary@")
    config["users"][0]["user"]["token"] = "TOKEN"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config).replace("TOKEN", token))
    agent = folder.start("--kubeconfig", str(tmp_path / "kubeconfig"))
    eventually(lambda: said in agent.text(), "it is said")
    eventually(lambda: not agent.running or agent.says("standing_by"), "it has ended, or waits")
    assert redaction.leaks(redaction.of_agent(agent, folder)) == {}
