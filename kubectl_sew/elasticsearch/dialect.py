"""What Elasticsearch and OpenSearch say differently: one object for each, by which all else is written once. Pure.

OpenSearch gives out no number of a document that is unique over the shards of a point in time (2.19 has no
`_shard_doc`), so there each shard gets a point in time of its own, in which `_doc` is one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubectl_sew.query import FieldSet
from kubectl_sew.query.mapping import field_set

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """What one point in time shows: the indices of `target`, or of one index the shards that `preference` names."""

    target: str
    preference: str = ""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The words of one product."""

    product: str
    privileges: str
    """What it calls the privileges that we need on the indices of a pattern, which stands for `{}`."""
    unnoticed: Mapping[str, str]
    """Privileges without which an index is left out of an answer and nobody says so, each with an action of it."""
    media_types: str
    """Form of the media types of what is sent and asked for, by its last part."""
    points: str
    """Path at which points in time are opened."""
    closing: str
    """Path at which they are closed."""
    point: str
    """Name of a point in time's id, where it is opened."""
    by_shard: bool
    """Each shard has a point in time of its own."""
    time_order: Json
    """How a search is sorted by a time, in milliseconds since the epoch."""
    tie_break: str
    """What is different for each document of a point in time."""
    says_early_end: bool
    """A search that says `terminated_early` has not seen all."""
    names_ignored: bool
    """A document says which of its fields have values that were too long to be indexed."""
    orders_wildcards: bool
    """A field of the type `wildcard` can be asked for a range; else the answer is 500, to all that is asked beside."""

    def media_type(self, form: str) -> str:
        """Return the media type of a form: `json` or `x-ndjson`."""
        return self.media_types.format(form)

    def views(self, pattern: str, shards: Iterable[tuple[str, int]]) -> list[View]:
        """Return the points in time that together show all of the pattern. `shards`: all of them, by index."""
        if not self.by_shard:
            return [View(pattern)]
        return [View(index, f"_shards:{number}|_primary") for index, number in shards]

    def to_close(self, point: str) -> Json:
        """Return the body of the request that closes a point in time."""
        return {"pit_id": [point]} if self.by_shard else {"id": point}

    def order(self, time_field: str) -> Sequence[Json]:
        """Return how a search in a point in time is sorted: by time, and no two documents alike."""
        return [{time_field: self.time_order}, {self.tie_break: "asc"}]

    def field_set(self, name: str, mappings: Json, settings: Json) -> FieldSet:
        """Return the fields of such mappings and settings as the server can be asked for them."""
        ignored, ordered = self.names_ignored, self.orders_wildcards
        return field_set(name, mappings, settings, names_ignored=ignored, orders_wildcards=ordered)

    def whole(self, answer: Json) -> Json:
        """Return a search's answer without what says nothing about how much it saw."""
        if self.says_early_end or "terminated_early" not in answer:
            return answer
        return {name: value for name, value in answer.items() if name != "terminated_early"}


ELASTICSEARCH = Dialect(
    product="Elasticsearch",
    privileges="the privileges `read`, `view_index_metadata` and `monitor` on {} are needed",
    unnoticed={
        "read": "indices:data/read/search",
        "view_index_metadata": "indices:admin/mappings/get",
        "monitor": "indices:monitor/stats",
    },
    media_types="application/vnd.elasticsearch+{}; compatible-with=8",
    points="_pit",
    closing="_pit",
    point="id",
    by_shard=False,
    time_order={"order": "asc", "format": "epoch_millis", "numeric_type": "date", "unmapped_type": "date"},
    tie_break="_shard_doc",
    says_early_end=True,
    names_ignored=True,
    orders_wildcards=True,
)
OPENSEARCH = Dialect(
    product="OpenSearch",
    privileges=(
        "the permissions `cluster_composite_ops_ro`, and on {} `read`, `indices_monitor`, "
        "`indices:admin/mappings/get`, `indices:admin/shards/search_shards` and `indices:admin/aliases/get` are needed"
    ),
    unnoticed={},  # it refuses the whole pattern
    media_types="application/{}",
    points="_search/point_in_time",
    closing="_search/point_in_time",
    point="pit_id",
    by_shard=True,
    time_order={"order": "asc", "numeric_type": "date", "unmapped_type": "date"},
    tie_break="_doc",
    says_early_end=False,
    names_ignored=False,
    orders_wildcards=False,
)


def by_headers(headers: Mapping[str, str]) -> Dialect | None:
    """Return the dialect of who gave an answer with these headers; None where they do not tell."""
    if headers.get("x-elastic-product") == "Elasticsearch":
        return ELASTICSEARCH
    return OPENSEARCH if headers.get("x-opensearch-version") else None


def by_greeting(status: int, body: Any) -> Dialect | None:
    """Return the dialect of who answers so at `/`: OpenSearch 2 is known by that alone, and by how it refuses it."""
    said = body if isinstance(body, Mapping) else {}
    version, error = said.get("version"), said.get("error")
    named = status < 300 and isinstance(version, Mapping) and version.get("distribution") == "opensearch"
    refused = status == 403 and isinstance(error, Mapping) and str(error.get("reason", "")).startswith(_NO_PERMISSION)
    return OPENSEARCH if named or refused else None


_NO_PERMISSION = "no permissions for ["
"""How OpenSearch's security begins what it says to a user who may not ask for that."""
