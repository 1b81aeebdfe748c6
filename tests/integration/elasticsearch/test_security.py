"""Real security: what docs/elasticsearch.md grants is enough, each of it is needed, and refusals say what to do.

`make test` has one Elasticsearch with security, `make test-matrix` another one and OpenSearch, too.
"""

import base64
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubectl_sew.elasticsearch.access import Access, ElasticsearchError, IndexProblem
from kubectl_sew.elasticsearch.client import Index
from kubectl_sew.elasticsearch.credentials import VARIABLES
from sew_agent.ingest.elasticsearch.coverage import ASKED_EVERY
from sew_agent.ingest.elasticsearch.source import IngestSettings
from sew_agent.ingest.replay import ReplayRequest, replays_in, request_row
from sew_agent.ingest.source import SourceError
from sew_agent.store.records import DeliveryResult, DeliveryState, EnqueueBatch
from testbed.raw_server import Authority
from testbed.receivers import Receiver
from testbed.servers.matrix import WHOLE_MATRIX
from testbed.servers.required import required
from testbed.servers.secured import SecuredNode, secured
from tests.e2e.sew_agent import Folder
from tests.integration.cluster import redaction
from tests.integration.elasticsearch.harness import NOW, IngestHarness, ids
from tests.integration.elasticsearch.logins import NAME, PREFIX, Logins, reader
from tests.integration.plugin.conftest import webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server
HOUR = 3600
PATTERN = f"{PREFIX}.*"
ELASTICSEARCH = ["elasticsearch_8", *(["elasticsearch_9"] if WHOLE_MATRIX else [])]
ALL = [*ELASTICSEARCH, *(["opensearch_3"] if WHOLE_MATRIX else [])]
of_elasticsearch = pytest.mark.parametrize("server", ELASTICSEARCH, indirect=True)
Read = Callable[..., IngestHarness]
Sew = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module", params=ALL)
def server(request: pytest.FixtureRequest) -> Iterator[SecuredNode]:
    with required(), secured(request.param) as node:
        yield node


@pytest.fixture(scope="module")
def made(server: SecuredNode) -> Logins:
    return Logins(server)


@pytest.fixture
def logins(made: Logins) -> Iterator[Logins]:
    """The page's role and user; a test may change the role."""
    yield made
    made.whole()


@pytest.fixture
def read(logins: Logins, tmp_path: Path) -> Iterator[Read]:
    """Return a harness that reads by an access, the page's user unless given; gone with its indices afterwards."""
    opened: list[IngestHarness] = []

    def open_(access: Access | None = None, pattern: str = PATTERN) -> IngestHarness:
        opened.append(reader(logins, access or logins.access(), tmp_path / "reader", pattern))
        return opened[-1]

    yield open_
    for harness in opened:
        harness.close()


@pytest.fixture
def sew(logins: Logins, tmp_path: Path) -> Sew:
    """Run a command of the plugin that asks the index, as the page's user."""
    files = {"ca": logins.server.ca}
    for field, value in (("username", NAME), ("password", logins.password)):
        files[field] = tmp_path / field
        files[field].write_text(f"{value}\n")
    environment = os.environ | {VARIABLES[field]: str(path) for field, path in files.items()}
    where = ("--elasticsearch", logins.server.url, "--index", PATTERN)

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(Path(sys.executable).parent / "kubectl-sew"), *arguments, *where]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert logins.password not in ran.stdout + ran.stderr
        return ran

    return run


def said(harness: IngestHarness) -> str:
    """Return what is said of a poll that searches: an error, or the webhook's condition."""
    try:
        harness.record_results()
    except SourceError as error:
        return str(error)
    return harness.message()


def replay(harness: IngestHarness) -> list[str]:
    """Replay all of the hours before now, and return the ids in order."""
    asked = ReplayRequest("1", NOW - 3 * HOUR, NOW - 60, "", True, True, "ann", harness.now)
    harness.store.enqueue(EnqueueBatch((), {request_row("w"): asked.dump()}, harness.now))
    replayed: list[str] = []
    for _ in range(100):
        harness.poll(2.5)
        due = harness.store.due("w", now=harness.now, limit=10_000)
        done = [DeliveryResult(one, DeliveryState.DELIVERED, harness.now, 1) for one in due]
        harness.store.record_results(done, ())
        replayed += [one.event.id for one in due]
        if replays_in(harness.store.positions())["w"].ended:
            return replayed
    raise AssertionError("it never ended")


def test_with_the_documented_role_what_was_before_what_is_new_and_a_replay_are_read(read: Read) -> None:
    harness = read()
    harness.page_size = 10
    harness.restart()
    harness.index(shards=2)
    harness.write(range(30), time=int(NOW) - HOUR)
    harness.serve(start=NOW - 2 * HOUR)
    harness.record_results()
    assert harness.got() == ids(*range(30))
    harness.write(range(30, 40))
    harness.index("b")
    harness.write(["b"], index="b")
    harness.record_results()
    assert harness.got() == ids("b", *range(40))
    assert harness.message().startswith("read to")
    for task in harness.store.due("w", now=harness.now, limit=100):
        harness.deliver(task)
    assert sorted(replay(harness), key=int) == [str(number) for number in range(30)]


def test_with_the_documented_role_an_alias_is_read_through_its_filter(read: Read) -> None:
    harness = read()
    name = harness.index()
    harness.client.indices.put_alias(index=name, name=f"{PREFIX}.ours", filter={"term": {"host": "ours"}})
    harness.write(range(5), host="ours")
    harness.write(range(5, 10), host="theirs")
    harness.reading = IngestSettings(f"{PREFIX}.ours")
    harness.restart()
    harness.serve(start=NOW - HOUR)
    harness.record_results()
    assert harness.got() == ids(*range(5))


def test_each_privilege_is_needed_and_what_is_missing_is_named_until_it_is_granted(read: Read, logins: Logins) -> None:
    harness = read()
    name = harness.index()
    harness.client.indices.put_alias(index=name, name=f"{PREFIX}.ours", filter={"term": {"type": "waf"}})
    harness.reading = IngestSettings(f"{PREFIX}.ours")
    harness.serve(start=NOW - HOUR)
    for number, privilege in enumerate(logins.privileges()):
        logins.without(privilege)
        harness.restart()
        harness.write([number])
        message = said(harness)
        assert "does not let us (403)" in message, privilege
        assert f"`{privilege}`" in message
        assert f"{PREFIX}.ours" in message
        assert f"name={NAME}" in message or f"user [{NAME}] with effective roles [{NAME}]" in message
        assert logins.password not in message
        logins.whole()
        harness.record_results()
        assert harness.got() == ids(*range(number + 1)), privilege


def test_the_plugin_previews_and_tells_why_and_says_what_is_missing(
    read: Read, logins: Logins, sew: Sew, tmp_path: Path
) -> None:
    harness = read()
    harness.index()
    harness.write(range(7), time=int(time.time()) - 60, severity=90)
    harness.write(range(7, 10), time=int(time.time()) - 60, severity=10)
    manifest = tmp_path / "webhook.json"
    manifest.write_text(json.dumps(webhook("w", query="severity >= 50")))
    asked = {
        "7 of 10 match": ("preview-query", "severity >= 50", "--since", "2h"),
        "source_ip": ("fields",),
        "7  severity >= 50": ("why", "w", "-f", str(manifest)),
    }
    if not logins.server.is_opensearch:
        logins.without("monitor")  # the plugin needs less than the agent
    for shown, command in asked.items():
        ran = sew(*command)
        assert (ran.returncode, ran.stderr) == (0, ""), ran
        assert shown in ran.stdout
    logins.without("read")
    ran = sew(*next(iter(asked.values())))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("error: ")
    assert NAME in ran.stderr
    assert "Traceback" not in ran.stderr


@of_elasticsearch
@pytest.mark.parametrize("pattern", [PATTERN, f"{PREFIX}.a,{PREFIX}.b"])
def test_of_a_pattern_that_the_role_covers_in_part_the_rest_is_missing_and_it_is_said_until_it_is_granted(
    read: Read, logins: Logins, pattern: str
) -> None:
    logins.on(f"{PREFIX}.a")
    harness = read(pattern=pattern)
    harness.index("a")
    harness.index("b")
    harness.write(["a"])
    harness.write(["b"], index="b")
    harness.serve(start=NOW - HOUR)
    harness.record_results()
    assert harness.got() == ids("a")
    left_out = pattern.rpartition(",")[2]
    (caveat,) = harness.source.caveats
    assert f"does not have `read`, `view_index_metadata` and `monitor` on all of `{left_out}`, and" in caveat
    assert harness.message().startswith("read to")
    assert harness.message().endswith(f"; {caveat}")
    logins.whole()
    harness.now += ASKED_EVERY
    harness.record_results()
    assert harness.got() == ids("a", "b")
    assert caveat not in harness.message()


def lacks(access: Access, pattern: str = PATTERN) -> str:
    index = Index(access, pattern)
    try:
        return index.uncovered()
    finally:
        index.close()


@of_elasticsearch
def test_what_a_role_covers_by_whatever_means_is_not_missed(read: Read, logins: Logins) -> None:
    assert lacks(logins.access()) == ""
    with_role = functools.partial(logins.server.change, "PUT", f"/_security/role/{NAME}")
    actions = ["indices:data/read/*", "indices:admin/*", "indices:monitor/*"]
    with_role({"indices": [{"names": [f"{PREFIX}*"], "privileges": actions}]})
    assert lacks(logins.access()) == ""
    with_role({"indices": [{"names": [f"/{PREFIX}\\..*/"], "privileges": ["all"]}]})
    assert lacks(logins.access()) == ""
    assert lacks(logins.access(), f"{PATTERN},-{PREFIX}.old*,<{PREFIX}-{{now/d}}>,.ds-{PREFIX}-*") == ""
    harness = read()
    harness.client.indices.put_alias(index=harness.index(), name="ours", filter={"term": {"type": "waf"}})
    logins.on("ours")
    harness.write(range(2))
    assert lacks(logins.access(), "ours") == ""
    assert lacks(logins.access(), f"{PREFIX}.a") != ""
    index = Index(logins.access(), "ours")
    assert index.search({"size": 0})["hits"]["total"]["value"] == 2
    index.close()


@of_elasticsearch
def test_what_is_missing_is_named_by_privilege_and_name_and_of_an_api_key_too(logins: Logins) -> None:
    lacking = f"`read`, `view_index_metadata` and `monitor` on all of `{PATTERN}`"
    logins.without("monitor")
    assert lacks(logins.access()) == f"`monitor` on all of `{PATTERN}`"
    logins.on(f"{PREFIX}.a", f"{PREFIX}.b")
    assert lacks(logins.access()) == lacking
    assert lacks(logins.access(), f"{PREFIX}.a,{PREFIX}.b") == ""
    narrow = {"sew": {"indices": [{"names": [f"{PREFIX}.a"], "privileges": ["all"]}]}}
    assert lacks(logins.access(api_key=logins.api_key(role_descriptors=narrow)["encoded"])) == lacking
    assert lacks(logins.access(api_key=logins.api_key()["encoded"])) == ""


@of_elasticsearch
def test_a_role_on_an_index_covers_no_alias_of_it_and_its_events_are_missing(read: Read, logins: Logins) -> None:
    harness = read()
    harness.client.indices.put_alias(index=harness.index(), name="ours")
    harness.write(range(2))
    assert "on all of `ours`" in lacks(logins.access(), "ours")
    index = Index(logins.access(), "ours")
    assert index.search({"size": 0})["hits"]["total"]["value"] == 0
    index.close()


@of_elasticsearch
def test_the_agent_logs_what_its_login_lacks_once_and_goes_on_and_asks_a_new_login_at_once(
    read: Read, logins: Logins, folder: Folder, receiver: Receiver
) -> None:
    harness = read()
    harness.index("a")
    harness.index("b")
    narrow = {"sew": {"indices": [{"names": [f"{PREFIX}.a"], "privileges": ["all"]}]}}
    key = folder.path / "key"
    key.write_text(logins.api_key(role_descriptors=narrow)["encoded"])
    folder.webhook("any", receiver.url)
    given = {VARIABLES["api_key"]: str(key), VARIABLES["ca"]: str(logins.server.ca)}
    agent = folder.start("--elasticsearch", logins.server.url, "--index", PATTERN, SEW_START="1h", **given)
    for index in "ab":
        harness.write([index], index=index, time=int(time.time()), severity=50)
    eventually(lambda: len(receiver.accepted) == 1, "what it may see is delivered", 60)
    eventually(lambda: agent.says("source_covered_in_part"), "it is said", 60)
    (said,) = agent.says("source_covered_in_part")
    assert (said["level"], f"on all of `{PATTERN}`" in said["message"]) == ("warning", True)
    assert agent.get("/readyz")[0] == 200
    eventually(lambda: f"! {said['message']}" in folder.command("status").stdout, "the status says it", 60)
    key.write_text(logins.api_key()["encoded"])
    eventually(lambda: len(receiver.accepted) == 2, "the rest is delivered", 60)
    eventually(lambda: len(agent.says("source_covered")) == 1, "that is said, too", 60)
    assert len(agent.says("source_covered_in_part")) == 1
    assert agent.terminate() == 0


def refused(access: Access) -> str:
    """Return the error where credentials are refused, which holds no secret of theirs."""
    index = Index(access, PATTERN)
    with pytest.raises(ElasticsearchError) as error:
        index.fields()
    index.close()
    assert error.value.problem is IndexProblem.REFUSED
    assert not [secret for secret in access.secrets if secret and secret in str(error.value)]
    return str(error.value)


def test_a_wrong_password_and_an_unknown_user_are_refused_and_named_where_the_server_names_them(logins: Logins) -> None:
    for name in (NAME, "nobody"):
        said_of = refused(logins.access(username=name, password="canary-WRONG"))
        assert "refuses our credentials (401): check API key, user and password, or token" in said_of
        assert logins.server.is_opensearch or f"unable to authenticate user [{name}]" in said_of
    assert "refuses our credentials" in refused(Access((logins.server.url,), ca=logins.server.ca))


@of_elasticsearch
def test_api_keys_and_tokens_read_and_those_that_hold_no_longer_are_refused_with_the_reason(
    read: Read, logins: Logins
) -> None:
    key, token = logins.api_key(), logins.token()
    harness = read(logins.access(api_key=key["encoded"]))
    harness.index()
    harness.write(range(3))
    harness.serve(start=NOW - HOUR)
    harness.record_results()
    harness.access = lambda: logins.access(token=token)
    harness.write(range(3, 6))
    harness.record_results()
    assert harness.got() == ids(*range(6))

    logins.server.change("DELETE", "/_security/api_key", {"ids": [key["id"]]})
    logins.server.change("DELETE", "/_security/oauth2/token", {"token": token})
    short = logins.api_key(expiration="1ms")
    unknown = base64.b64encode(b"nobodys-id:canary-key").decode()
    said_of = {
        f"api key [{key['id']}] has been invalidated": logins.access(api_key=key["encoded"]),
        "api key is expired": logins.access(api_key=short["encoded"]),
        "unable to find apikey with id nobodys-id": logins.access(api_key=unknown),
        "token expired": logins.access(token=token),
        "invalid token": logins.access(token="canary"),
    }
    for reason, access in said_of.items():
        message = refused(access)
        assert reason in message
        assert key["api_key"] not in message
        assert short["api_key"] not in message


@of_elasticsearch
def test_an_api_key_without_a_privilege_is_named_by_its_id(logins: Logins) -> None:
    key = logins.api_key(role_descriptors={"none": {"indices": [{"names": ["other"], "privileges": ["read"]}]}})
    index = Index(logins.access(api_key=key["encoded"]), PATTERN)
    with pytest.raises(ElasticsearchError, match=rf"API key id \[{key['id']}\] of user \[admin\]") as error:
        index.fields()
    index.close()
    assert key["api_key"] not in str(error.value)
    assert key["encoded"] not in str(error.value)


def test_a_server_of_another_authority_or_another_name_is_not_trusted(logins: Logins, tmp_path: Path) -> None:
    Authority(tmp_path)
    elsewhere = logins.server.url.replace("localhost", "127.0.0.1")
    for access in (
        logins.access(ca=tmp_path / "ca.crt"),
        logins.access(ca=None),
        Access((elsewhere,), ca=logins.server.ca),
    ):
        index = Index(access, PATTERN)
        with pytest.raises(ElasticsearchError, match="cannot be trusted") as error:
            index.fields()
        index.close()
        assert error.value.problem is IndexProblem.UNREACHABLE
        assert logins.password not in str(error.value)


def test_the_agent_delivers_by_files_and_shows_no_secret_before_and_after_its_login_is_refused(
    read: Read, logins: Logins, folder: Folder, receiver: Receiver
) -> None:
    harness = read()
    harness.index()
    password = folder.path / "password"
    password.write_text(f"{logins.password}\n")
    (folder.path / "username").write_text(f"{NAME}\n")
    files = {"username": folder.path / "username", "password": password, "ca": logins.server.ca}
    folder.webhook("any", receiver.url)
    given = {VARIABLES[field]: str(path) for field, path in files.items()}
    agent = folder.start("--elasticsearch", logins.server.url, "--index", PATTERN, SEW_START="1h", **given)
    harness.write(range(3), time=int(time.time()), severity=50)
    eventually(lambda: len(receiver.accepted) == 3, "all are delivered", 60)
    password.write_text("canary-WRONG\n")
    eventually(lambda: "refuses our credentials (401)" in agent.get("/readyz")[1], "it is said", 60)
    assert redaction.leaks(redaction.of_agent(agent, folder), logins.password) == {}
    password.write_text(f"{logins.password}\n")
    harness.write(range(3, 5), time=int(time.time()), severity=50)
    eventually(lambda: len(receiver.accepted) == 5, "it goes on", 60)
    assert agent.terminate() == 0
