"""Several agents on one PostgreSQL in a cluster: no Lease is waited for, and each object has one writer."""

import pytest

from testbed.receivers import Receiver
from testbed.servers.postgresql import PostgreSQL
from tests.databases import own_schema
from tests.e2e.receivers import delivery_ids, received_ids
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import SECRETS, ClusterHarness, webhook
from tests.waiting import eventually

pytestmark = pytest.mark.server


def holder(harness: ClusterHarness) -> str:
    path = ("-n", SECRETS, "get", "lease", "sew-agent", "--ignore-not-found", "-o", "jsonpath={.spec.holderIdentity}")
    return harness.server.kubectl(*path)


def test_all_deliver_and_the_one_that_reads_writes_conditions_and_is_named_by_the_lease(
    harness: ClusterHarness, folder: Folder, receiver: Receiver, postgresql_server: PostgreSQL
) -> None:
    url = own_schema(postgresql_server)
    names = [f"w{number}" for number in range(4)]
    harness.apply(*(webhook(name, receiver.url) for name in names))

    def start(name: str) -> Agent:
        state = str(folder.path / name)
        return harness.agent(folder, "--state", state, SEW_STORE=url, POD_NAME=name, POD_NAMESPACE="sew-system")

    first = start("one")
    eventually(lambda: first.says("reading"), "the first one reads")
    second = start("two")
    eventually(lambda: any(entry["owned"] == 2 for entry in second.says("webhooks_moved")), "each has its share")
    eventually(lambda: holder(harness) == "sew-system/one", "the Lease names the one that reads")
    folder.write(range(5))
    expected = set().union(*(delivery_ids(name, 5) for name in names))
    eventually(lambda: received_ids(receiver).keys() == expected, "all arrive")
    for name in names:
        eventually(lambda name=name: harness.condition(name, "Delivering").get("status") == "True", "it is told")  # type: ignore[misc]
    harness.patch("w0", {"spec": {"state": "Test"}})
    eventually(lambda: harness.object("w0")["spec"]["state"] == "Enabled", "the test ends")
    assert received_ids(receiver).total() == 4 * 5 + 1
    assert first.terminate() == 0
    eventually(lambda: second.says("reading"), "the other one reads")
    eventually(lambda: holder(harness) == "sew-system/two", "the Lease names it")
    folder.write(range(5, 8))
    eventually(lambda: received_ids(receiver).total() == 4 * 8 + 1, "all arrive")
    harness.apply(webhook("w0", receiver.url, query="severity >="))
    eventually(lambda: harness.condition("w0", "Healthy").get("status") == "False", "it writes conditions")
    assert second.terminate() == 0
    harness.delete(*names)
