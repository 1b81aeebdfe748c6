"""`kubectl sew why` on real servers: Elasticsearch counts what the matcher counts, and names the same part."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.servers.indices import connect, index, write
from testbed.servers.kubernetes import Kubernetes
from tests.integration.plugin.conftest import Sew, webhook
from tests.unit.cli.fake_cluster import FakeCluster
from tests.unit.cli.fake_cluster import webhook as named

pytestmark = pytest.mark.server
QUERIES = (
    'type = waf AND host = "WEB-1"',
    "type = waf AND (severity >= 3 OR NOT host EMPTY)",
    "type = waf AND severity > 50",
    'NOT (type = waf OR source_ip = "10.0.0.0/8")',
    'type = alert AND type = waf AND host IN {"web-*"}',
    "dismissed = true",
    "name = nothing OR description EMPTY",
)
Asked = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    now = int(time.time())
    made: list[dict[str, Any]] = [
        {
            "_id": f"e{n}",
            "time": now - 60 - n,
            "type": ["waf", "alert"][n % 2],
            "severity": n,
            "host": f"web-{n % 3}",
            "source_ip": f"10.0.0.{n}",
        }
        for n in range(10)
    ]
    return [*made, {"_id": "early", "time": now - 5_400, "type": "waf"}, {"_id": "timeless", "type": "waf"}]


@pytest.fixture
def indexed(each_elasticsearch: str, events: list[dict[str, Any]]) -> Iterator[list[str]]:
    """The flags that name an index with these events."""
    with connect(each_elasticsearch) as client, index(client) as name:
        write(client, name, events)
        yield ["--elasticsearch", each_elasticsearch, "--index", name]


@pytest.fixture
def ask(tmp_path: Path) -> Asked:
    exception = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "AlertException",
        "metadata": {"name": "known"},
        "spec": {"description": "d", "selector": "severity >= 6", "startTime": "2026-01-01T00:00:00Z"},
    }

    def run(query: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        manifest = tmp_path / "w.json"
        manifest.write_text(f"{json.dumps(webhook('w', query=query))}\n---\n{json.dumps(exception)}\n")
        command = [str(Path(sys.executable).parent / "kubectl-sew"), "why", "w", "-f", str(manifest), *arguments]
        return subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)

    return run


def test_elasticsearch_and_the_matcher_count_the_same(
    ask: Asked, indexed: list[str], events: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    for query in QUERIES:
        answers = [
            json.loads(ask(query, "--since", "1h", "-o", "json", *where).stdout)
            for where in (indexed, ["--events", str(file)])
        ]
        for answer in answers:
            for name in ("source", "since", "values"):
                del answer[name]
        assert answers[0] == answers[1], query
        assert answers[0]["events"] == 11


def test_the_nearest_values_are_those_of_the_index(ask: Asked, indexed: list[str]) -> None:
    ran = ask('type = waf AND host = "WEB-1"', "--since", "1h", *indexed)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("w gets nothing: its query selects none of 11 events since ")
    assert 'Did you mean host = "web-1"?' in ran.stdout
    assert "The events have in `host`: web-1 (3), " in ran.stdout
    assert "web-0 (4)" in ran.stdout


def test_one_event_of_an_index_is_explained(ask: Asked, indexed: list[str]) -> None:
    assert "type = alert: type is waf" in ask("type = alert", "e2", *indexed).stdout
    assert "AlertException known suppresses it: severity >= 6" in ask("type = waf", "e8", *indexed).stdout
    assert "from before the webhook's start" in ask("type = waf", "early", "--since", "1h", *indexed).stdout
    gone = ask("type = waf", "nothing", *indexed)
    assert gone.returncode != 0
    assert "there is no event nothing in " in gone.stderr


def test_an_event_that_the_agent_has_no_more_is_traced_from_an_index(
    indexed: list[str], each_elasticsearch: str, tmp_path: Path
) -> None:
    cluster = FakeCluster(tmp_path)
    cluster.has(named("picky", "severity >= 90"), named("net", 'source_ip = "10.0.0.0/8"'))
    cluster.answers({"event": "e2", "index": "", "webhooks": [], "document": None})

    def trace(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(Path(sys.executable).parent / "kubectl-sew"), "trace", *arguments]
        environment = os.environ | {"KUBECTL_PATH": str(cluster.kubectl)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    said = json.loads(trace("e2", *indexed, "-o", "json").stdout)
    assert (said["document"]["source_ip"], "_id" in said["document"]) == ("10.0.0.2", False)
    assert [(row["webhook"], row["fate"]) for row in said["webhooks"]] == [
        ("net", "not read"),
        ("picky", "not selected"),
    ]
    assert "severity >= 90: severity is 2" in trace("e2", *indexed).stdout
    gone = trace("nothing", *indexed)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "there is no event nothing in " in gone.stderr
    with connect(each_elasticsearch) as client, index(client) as other:
        write(client, other, [{"_id": "e2", "severity": 95, "time": 1}])
        both = ["--elasticsearch", each_elasticsearch, "--index", f"{indexed[-1]},{other}"]
        two = trace("e2", *both)
        assert "warning: 2 indices have an event of this id: asked is the one in " in two.stderr
        cluster.answers({"event": "e2", "index": other, "webhooks": [], "document": None})
        named_by_the_agent = trace("e2", *both)
        assert named_by_the_agent.stderr == ""
        assert "picky     not read" in named_by_the_agent.stdout


def test_in_a_cluster_it_counts_since_the_webhooks_creation(sew: Sew, server: Kubernetes, indexed: list[str]) -> None:
    server.apply(webhook("asked", query="type = waf", state="Disabled"))
    ran = sew("why", "asked", *indexed)
    assert ran.returncode == 0
    assert "(its creation) in " in ran.stdout
    assert "6 more are from before its start, and not sent" in ran.stdout
    assert "asked is in state Disabled" in ran.stderr
    assert "Traceback" not in ran.stderr
