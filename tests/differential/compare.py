"""Compare what a server selects with what the matcher selects, for one random index at a time."""

import json
import re
import time
import uuid
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any, Self

import urllib3

from kubectl_sew.elasticsearch.dialect import ELASTICSEARCH, Dialect, by_greeting
from kubectl_sew.query import FieldSet, Node, bind, compile_matcher, to_dsl
from kubectl_sew.query.ast import leaves
from tests.differential import generate

Json = dict[str, Any]
Found = set[str] | str
"""Ids that a server selects, or the reason why it refuses to."""
EVENTS = 120
QUERIES = 250
_ONLY = "responses.hits.hits._id,responses.error.root_cause,responses._shards.failed"

_ZONED = re.compile(r"(\d+\.){3}\d+%")
_ODD_TIME = re.compile(r"(\d+\.){3}\d+%|-\d{5}|\d{14}")
"""As well as milliseconds before 1970 and after 2262."""


@dataclass(frozen=True)
class Difference:
    """An event on which server and matcher differ, made small. `server` is its answer, or why it refused."""

    seed: str
    query: str
    mappings: Json
    settings: Json
    event: Json
    server: bool | str
    matcher: bool

    def __str__(self) -> str:
        return "\n".join(
            [
                f"seed     {self.seed}",
                f"query    {self.query}",
                f"mappings {json.dumps(self.mappings)}",
                f"settings {json.dumps(self.settings)}",
                f"event    {json.dumps(self.event)}",
                f"server   {self.server}",
                f"matcher  {self.matcher}",
            ]
        )


class ElasticsearchUnderTest:
    """An Elasticsearch or OpenSearch that is asked by plain HTTP, so that JSON is sent as it is written here."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(timeout=120, retries=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    @cached_property
    def dialect(self) -> Dialect:
        """The words of the product that answers: of these servers OpenSearch alone greets."""
        greeting = self._pool.request("GET", self._url)
        return by_greeting(greeting.status, json.loads(greeting.data)) or ELASTICSEARCH

    @cached_property
    def is_lenient(self) -> bool:
        """True from 9.5 on: an IPv4 address with a zone is that address, and `date_nanos` holds any time."""
        nodes = self.ask("GET", "/_nodes/_local?filter_path=nodes.*.version")["nodes"]
        (node,) = nodes.values()
        major, minor, *_ = map(int, node["version"].split("."))
        return self.dialect is ELASTICSEARCH and (major, minor) >= (9, 5)

    def ask(self, method: str, path: str, body: Json | None = None, lines: Sequence[Json] = ()) -> Any:
        """Return an answer's JSON, errors among them."""
        text = "".join(json.dumps(line) + "\n" for line in lines) if lines else json.dumps(body)
        kind = {"Content-Type": "application/x-ndjson" if lines else "application/json"}
        answer = self._pool.request(method, self._url + path, body=text if body or lines else None, headers=kind)
        return json.loads(answer.data)


class Index:
    """An index that lives as long as its `with`. `events` are those that it accepted, by id."""

    def __init__(self, server: ElasticsearchUnderTest, mappings: Json, settings: Json) -> None:
        self._server, self._name = server, f"sew-meaning-{uuid.uuid4().hex}"
        self.mappings, self.settings = mappings, settings
        self.events: dict[str, Json] = {}

    def __enter__(self) -> Self:
        answer = self._server.ask("PUT", f"/{self._name}", {"mappings": self.mappings, "settings": self.settings})
        assert "error" not in answer, answer
        return self

    def __exit__(self, *_: object) -> None:
        self._server.ask("DELETE", f"/{self._name}")

    def fields(self) -> FieldSet:
        """Return the field set that the server reports."""
        mappings, settings = (self._server.ask("GET", f"/{self._name}/{what}") for what in ("_mapping", "_settings"))
        return self._server.dialect.field_set(self._name, mappings, settings)

    def fill(self, events: Mapping[str, Json]) -> None:
        """Write events, each under an id. Elasticsearch keeps `_id` out of the source.

        Those that a lenient server alone reads otherwise are left out.
        """
        if self._server.is_lenient:
            odd = _ODD_TIME if "date_nanos" in json.dumps(self.mappings) else _ZONED
            events = {name: event for name, event in events.items() if not odd.search(json.dumps(event))}
        sources = ({key: value for key, value in event.items() if key != "_id"} for event in events.values())
        lines = [
            line for name, source in zip(events, sources, strict=True) for line in ({"index": {"_id": name}}, source)
        ]
        answer = self._server.ask("POST", f"/{self._name}/_bulk?refresh=true", lines=lines)
        taken = [item["index"]["_id"] for item in answer["items"] if item["index"]["status"] < 300]
        self.events = {name: events[name] | {"_id": name} for name in taken}

    def search(self, queries: Iterable[Node], fields: FieldSet) -> list[Found]:
        """Return what each query selects on the server."""
        body = {"size": len(self.events) + 1, "_source": False, "sort": ["_doc"], "track_total_hits": False}
        lines = [line for query in queries for line in ({}, body | {"query": to_dsl(bind(query, fields))})]
        answer = self._server.ask("POST", f"/{self._name}/_msearch?filter_path={_ONLY}", lines=lines)
        assert "responses" in answer, answer
        return [_found(response) for response in answer["responses"]]

    def values(self, path: str) -> dict[str, list[str]] | None:
        """Return the doc values of every event that has any, by its id. None where the field keeps none."""
        body = {"size": len(self.events) + 1, "_source": False, "docvalue_fields": [path]}
        answer = self._server.ask("POST", f"/{self._name}/_search", body)
        if "error" in answer:
            assert "Use doc values instead" in str(answer), answer
            return None
        return {hit["_id"]: hit.get("fields", {}).get(path, []) for hit in answer["hits"]["hits"]}

    def match(self, query: Node, fields: FieldSet) -> set[str]:
        """Return what the matcher selects."""
        selects, now = compile_matcher(bind(query, fields)), time.time()
        return {name for name, event in self.events.items() if selects(event, now)}


def _found(response: Json) -> Found:
    if "error" in response or response["_shards"]["failed"]:
        return json.dumps(response)[:500]
    return {hit["_id"] for hit in response.get("hits", {}).get("hits", [])}


def differences(server: ElasticsearchUnderTest, seed: int, count: int) -> Generator[Difference, None, None]:
    """Compare `count` triples of index, events and query, QUERIES of them to an index."""
    for number in range(-(-count // QUERIES)):
        yield from _one_index(server, f"{seed}/{number}", min(QUERIES, count - number * QUERIES))


def random_events(server: ElasticsearchUnderTest, rng: Random, fields: FieldSet) -> dict[str, Json]:
    """Return random events by id, without what the server is known to read in another way."""
    events = {f"e{number}": generate.event(rng, fields) for number in range(EVENTS)}
    alike = server.dialect is ELASTICSEARCH
    return {name: event for name, event in events.items() if alike or generate.read_alike(event)}


def _one_index(server: ElasticsearchUnderTest, seed: str, count: int) -> Iterator[Difference]:
    rng = Random(seed)
    with Index(server, *generate.index(rng, subobjects=server.dialect is ELASTICSEARCH)) as index:
        empty = index.fields()
        index.fill(random_events(server, rng, empty))
        fields = index.fields()  # what the mapping has become by the events too
        queries = [generate.query(rng, fields) for _ in range(count)]
        for query, ids in zip(queries, index.search(queries, fields), strict=True):
            if ids != index.match(query, fields):
                yield _shrunk(index, seed, query, fields)


def _shrunk(index: Index, seed: str, query: Node, fields: FieldSet) -> Difference:
    """Return the first leaf and event that differ alone, where one does."""
    for part in (*leaves(query), query):
        (answer,), selected = index.search([part], fields), index.match(part, fields)
        if answer != selected:
            break
    name = min(answer ^ selected) if isinstance(answer, set) else next(iter(index.events), "")
    return Difference(
        seed=seed,
        query=str(part),
        mappings=index.mappings | {"properties": _only(index.mappings["properties"], part)},
        settings=index.settings,
        event=_only(index.events.get(name, {}), part),
        server=name in answer if isinstance(answer, set) else answer,
        matcher=name in selected,
    )


def _only(of: Json, query: Node) -> Json:
    """Return what belongs to the query's keys."""
    heads = {leaf.key.name.partition(".")[0] for leaf in leaves(query)}
    return {key: value for key, value in of.items() if key.partition(".")[0] in heads}
