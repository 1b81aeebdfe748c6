"""Make indices on a server under test with Calico's mapping or another, fill them, and delete them."""

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from elastic_transport import Urllib3HttpNode
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

Json = Mapping[str, Any]

_KEYWORD = {"type": "keyword"}
_LOWERED = {"type": "keyword", "normalizer": "lowercase"}
_PORT = {"type": "long", "null_value": 0}
_ADDRESS = {"type": "ip", "null_value": "0.0.0.0"}  # a value in an index, no socket is bound

CALICO_SETTINGS: Json = {
    "number_of_shards": 1,
    "number_of_replicas": 0,
    "analysis": {"normalizer": {"lowercase": {"type": "custom", "filter": ["lowercase"]}}},
}
CALICO_MAPPINGS: Json = {
    "dynamic": False,
    "properties": {
        **dict.fromkeys(("attack_vector", "host", "type", "protocol", "attack_phase"), _KEYWORD),
        **dict.fromkeys(("description", "origin", "name", "mitre_tactic", "mitre_ids"), _LOWERED),
        **{f"{end}_{part}": _KEYWORD for end in ("source", "dest") for part in ("name", "name_aggr", "namespace")},
        **dict.fromkeys(("source_ip", "dest_ip"), _ADDRESS),
        **dict.fromkeys(("source_port", "dest_port"), _PORT),
        "severity": {"type": "long"},
        "dismissed": {"type": "boolean"},
        "time": {"type": "date", "format": "strict_date_optional_time||epoch_second"},
    },
}


class AnyProduct(Urllib3HttpNode):
    """Has Elasticsearch's client talk to OpenSearch, too: in plain media types, and it is told the product it wants."""

    def perform_request(self, method: str, target: str, *more: Any, headers: Any = None, **options: Any) -> Any:
        for name, value in dict(headers or {}).items():
            headers[name] = re.sub(r"vnd\.elasticsearch\+([\w-]+); *compatible-with=8", r"\1", value)
        response = super().perform_request(method, target, *more, headers=headers, **options)
        response.meta.headers["x-elastic-product"] = "Elasticsearch"
        return response


def connect(urls: str | list[str], **options: Any) -> Elasticsearch:
    """Return a client of Elasticsearch or OpenSearch for what tests write and look up."""
    return Elasticsearch(urls, **{"node_class": AnyProduct, "request_timeout": 60, **options})


@contextmanager
def index(
    client: Elasticsearch, *, name: str = "", mappings: Json = CALICO_MAPPINGS, settings: Json = CALICO_SETTINGS
) -> Iterator[str]:
    """Make an index, under a name of its own unless one is given, yield its name, and delete it."""
    name = name or f"sew-test-{uuid.uuid4().hex[:12]}"
    client.indices.create(index=name, mappings=mappings, settings=settings)
    try:
        yield name
    finally:
        client.indices.delete(index=name, ignore_unavailable=True)


def write(client: Elasticsearch, name: str, documents: Iterable[Json], *, refresh: bool = True) -> int:
    """Write documents in bulk, each under its `_id` where it has one, make them visible, and return how many."""
    actions = ({"_index": name, "_id": document.get("_id"), "_source": _source(document)} for document in documents)
    written, _ = bulk(client, actions, refresh=refresh)
    return written


def _source(document: Json) -> Json:
    return {key: value for key, value in document.items() if key != "_id"}
