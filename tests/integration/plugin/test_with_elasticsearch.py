"""That `check` and `status` say why the real agent cannot read from Elasticsearch."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.sew_agent import Folder
from tests.integration.cluster.in_cluster import Installed, webhook
from tests.integration.elasticsearch.faults import Proxy, proxy, refuse
from tests.integration.plugin.conftest import beside
from tests.waiting import eventually


@pytest.fixture(scope="module")
def front(elasticsearch_8: str) -> Iterator[Proxy]:
    with proxy(elasticsearch_8) as made:
        yield made


UNAUTHORIZED = "action [indices:monitor/stats] is unauthorized"

CASES = [
    ("unreachable", None, "cannot be reached"),
    ("pattern", None, "no index is there to read from"),
    ("credentials", refuse(401, "security_exception"), "refuses our credentials (401)"),
    ("privilege", refuse(403, "security_exception", UNAUTHORIZED), "`monitor` on the indices are needed"),
]


@pytest.mark.parametrize(("case", "answer", "said"), CASES, ids=[case for case, *_ in CASES])
def test_check_says_why_events_cannot_be_read(
    here: Installed,
    folder: Folder,
    front: Proxy,
    case: str,
    answer: object,
    said: str,
) -> None:
    front.fault = (lambda *_: answer) if answer else None  # type: ignore[assignment, return-value]
    url = "http://127.0.0.1:1" if case == "unreachable" else front.url
    here.agent(folder, "--elasticsearch", url, "--index", "nothing-*", POD_NAMESPACE="sew-system", POD_NAME="agent-0")
    here.apply(webhook("reads", "https://receiver.example/hook"))
    sew = beside(here, folder)

    def details() -> str:
        checks = json.loads(sew("check", "-o", "json").stdout)["checks"]
        found = {each["check"]: each for each in checks if each["result"] == "failed"}
        return " ".join(found["events-readable"]["details"]) if "events-readable" in found else ""

    eventually(lambda: said in details(), said, 60)
    assert f"! {details()}"[:80] in sew("status", "reads").stdout
