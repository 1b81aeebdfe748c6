"""`check` and `status` say why the real agent cannot read from Elasticsearch."""

import json
from collections.abc import Iterator

import pytest

from testbed.servers.indices import CALICO_MAPPINGS, connect
from tests.e2e.sew_agent import Folder
from tests.integration.cluster.in_cluster import ClusterHarness, webhook
from tests.integration.elasticsearch.faults import Answer, Proxy, proxy, refuse
from tests.integration.plugin.conftest import Sew, beside
from tests.waiting import eventually


@pytest.fixture(scope="module")
def front(elasticsearch_8: str) -> Iterator[Proxy]:
    with proxy(elasticsearch_8) as made:
        yield made


UNAUTHORIZED = "action [indices:monitor/stats] is unauthorized"

AS_POD = {"POD_NAMESPACE": "sew-system", "POD_NAME": "agent-0"}
CASES = [
    ("elasticsearch-reachable", None, "cannot be reached"),
    ("index-pattern", None, "no index is there to read from"),
    ("elasticsearch-credentials", refuse(401, "security_exception"), "refuses our credentials (401)"),
    ("elasticsearch-privileges", refuse(403, "security_exception", UNAUTHORIZED), "does not let us (403)"),
    ("events-readable", refuse(429), "has too much to do (429)"),
]


def failures(sew: Sew) -> dict[str, str]:
    checks = json.loads(sew("check", "-o", "json").stdout)["checks"]
    return {check["check"]: " ".join(check["details"]) for check in checks if check["result"] == "failed"}


@pytest.mark.parametrize(("code", "answer", "said"), CASES, ids=[code for code, *_ in CASES])
def test_check_says_why_events_cannot_be_read(
    here: ClusterHarness,
    folder: Folder,
    front: Proxy,
    code: str,
    answer: Answer | None,
    said: str,
) -> None:
    front.fault = (lambda *_: answer) if answer else None
    url = "http://127.0.0.1:1" if code == "elasticsearch-reachable" else front.url
    here.agent(folder, "--elasticsearch", url, "--index", "nothing-*", **AS_POD)
    here.apply(webhook("reads", "https://receiver.example/hook"))
    sew = beside(here, folder)

    eventually(lambda: said in failures(sew).get(code, ""), said, 60)
    only = failures(sew)
    assert set(only) == {code}
    assert f"! {only[code]}"[:80] in sew("status", "reads").stdout


def test_check_says_what_the_agents_login_may_not_see(
    here: ClusterHarness, folder: Folder, front: Proxy, elasticsearch_8: str
) -> None:
    granted = {"read": False, "view_index_metadata": True, "monitor": True}
    answer = Answer(200, json.dumps({"index": {"covered-*": granted}}).encode())
    front.fault = lambda path, _, real: answer if "_has_privileges" in path else real()
    with connect(elasticsearch_8) as client:
        client.indices.create(index="covered-in-part", mappings=CALICO_MAPPINGS)
        try:
            here.agent(folder, "--elasticsearch", front.url, "--index", "covered-*", **AS_POD)
            here.apply(webhook("reads", "https://receiver.example/hook"))
            sew = beside(here, folder)
            eventually(lambda: "index-coverage" in failures(sew), "it is found", 60)
            only = failures(sew)
            assert set(only) == {"index-coverage"}
            assert "does not have `read` on all of `covered-*`" in only["index-coverage"]
            assert f"! {only['index-coverage']}"[:80] in sew("status", "reads").stdout
        finally:
            client.indices.delete(index="covered-in-part")
