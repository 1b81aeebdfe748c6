"""A query means on a real Elasticsearch what it means to the matcher: in the golden cases, and at random."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest

from kubectl_sew.query import CALICO, parse
from testbed.servers.elasticsearch import Version
from testbed.servers.indices import CALICO_MAPPINGS, CALICO_SETTINGS
from tests import cases
from tests.differential import generate
from tests.differential.compare import ElasticsearchUnderTest, Index, differences, random_events
from tests.queries import problems_of

pytestmark = pytest.mark.server

TRIPLES = 20_000
SEED = 1
PRINTED = 25
# Values that a field cannot hold have no value, instead of keeping an event out of the index.
SETTINGS = {**CALICO_SETTINGS, "mapping": {"ignore_malformed": True}}
# A query may name what Calico's mapping does not search.
WIDER = {"record": {"properties": {"rules": {"properties": {"id": {"type": "keyword"}}}}}}


@pytest.fixture
def server(each_elasticsearch: str) -> Iterator[ElasticsearchUnderTest]:
    with ElasticsearchUnderTest(each_elasticsearch) as server:
        yield server


@pytest.mark.parametrize("case", [pytest.param(case, id=case["query"]) for case in cases.load("queries.toml")])
def test_a_real_server_selects_exactly_the_golden_events(
    server: ElasticsearchUnderTest, search_version: Version, case: dict[str, Any]
) -> None:
    if search_version.product == "OpenSearch" and "subobjects" in case.get("mapping", ""):
        pytest.skip("OpenSearch does not know `subobjects`")
    properties = json.loads(case["mapping"]) if "mapping" in case else CALICO_MAPPINGS["properties"] | WIDER
    for events in _by_identity(cases.events_of(case, search_version.product.lower())):
        with Index(server, {"dynamic": False, "properties": properties}, SETTINGS) as index:
            index.fill({name: event for name, (event, _) in events.items()})
            (ids,) = index.search([parse(case["query"])], index.fields())
        judged_by_now = "now-15m" in case["query"]
        assert ids == {name for name in index.events if events[name][1] and not judged_by_now}


def _by_identity(events: list[tuple[dict[str, Any], bool]]) -> list[dict[str, tuple[dict[str, Any], bool]]]:
    """Group events by their ids, in as many groups as one id comes up."""
    groups: list[dict[str, tuple[dict[str, Any], bool]]] = []
    for number, (event, selected) in enumerate(events):
        name = event.get("_id", event.get("id", f"n{number}"))
        group = next((candidate for candidate in groups if name not in candidate), None)
        if group is None:
            groups.append(group := {})
        group[name] = (event, selected)
    return groups


def test_server_and_matcher_select_the_same_of_random_events_by_random_queries(server: ElasticsearchUnderTest) -> None:
    with closing(differences(server, SEED, TRIPLES)) as differing:
        assert "\n\n".join(map(str, islice(differing, 5))) == ""


LETTERS = "".join(map(chr, range(0x4E00, 0x4E00 + 200)))
HOSTILE = [
    *("*a" + "?" * count for count in range(8, 20)),
    *("*ab" * count for count in range(50, 250, 10)),
    *("*a" * count for count in range(100, 400, 20)),
    *("*" + "a" * count for count in range(100, 1000, 50)),
    *("*a?????" + "*b?????" * count for count in range(6)),
    *("*" + LETTERS[:count] + "?a?" * 3 for count in range(0, 200, 20)),
    *("*" * 5_000, "*?" * 400, "*" + "?" * 900, "a*" + LETTERS + "*" + LETTERS, "*?a" * 12, "*a?b" * 9),
]


def test_wildcards_that_a_real_server_refuses_are_refused_at_once(server: ElasticsearchUnderTest) -> None:
    mappings = {"properties": {"host": {"type": "keyword"}}}
    queries = [parse(f'host IN {{"{pattern}"}}') for pattern in HOSTILE]
    with Index(server, mappings, {"number_of_replicas": 0}) as index:
        fields = index.fields()
        accepted = [query for query in queries if not problems_of(query, fields)]
        assert index.search(accepted, fields) == [set()] * len(accepted)
    assert len(HOSTILE) / 3 < len(accepted) < len(HOSTILE)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
def test_the_plugin_prints_of_random_events_what_the_server_selects(
    server: ElasticsearchUnderTest, tmp_path: Path
) -> None:
    rng, file = Random(SEED), tmp_path / "events.ndjson"
    with Index(server, CALICO_MAPPINGS, SETTINGS) as index:
        index.fill(random_events(server, rng, CALICO))
        file.write_text("".join(json.dumps(event) + "\n" for event in index.events.values()))
        queries = [generate.query(rng, CALICO) for _ in range(PRINTED)]
        for query, ids in zip(queries, index.search(queries, index.fields()), strict=True):
            lines = _printed(str(query), file)
            assert [json.loads(line)["_id"] for line in lines] == [name for name in index.events if name in ids]


def _printed(query: str, file: Path) -> list[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["kubectl", "sew", "preview-query", query, "--events", file]
    ran = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()
