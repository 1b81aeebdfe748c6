"""An index, or all of a pattern: what its mapping can answer, what it holds, and what it refuses.

Servers are Elasticsearch 8 and 9, and OpenSearch 2.19 and 3. A search that lost shards or time is a success to them;
`check_search` says that it is none.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kubectl_sew.elasticsearch.access import Access, ElasticsearchError, index_pattern
from kubectl_sew.elasticsearch.connection import NOT_FOUND, Answer, ServerConnection
from kubectl_sew.elasticsearch.coverage import HAS_PRIVILEGES, question, uncovered
from kubectl_sew.elasticsearch.dialect import Dialect, View
from kubectl_sew.query import FieldSet

Json = Mapping[str, Any]

_STATS = (
    "_shards.total,_shards.failed,indices.*.uuid,indices.*.shards.*.routing.primary,indices.*.shards.*.routing.node,"
    "indices.*.shards.*.seq_no.global_checkpoint,indices.*.shards.*.seq_no.max_seq_no,"
    "indices.*.shards.*.refresh.external_total,"
    "indices.*.shards.*.commit.user_data.history_uuid"
)
_SETTINGS = (
    "index.uuid",
    "index.refresh_interval",
    "index.number_of_shards",
    "index.verified_before_close",
    "index.max_result_window",
)
_ANALYSIS = "index.analysis.*,index.mapping.coerce,index.mapping.ignore_above,index.mode"
_POINT_KEPT = "5m"
_LONGEST_NAMES = 2_000
"""Elasticsearch takes 4,096 bytes as a request's first line, where no other limit is set."""
_NO_INDEX = "index_not_found_exception"
_BUSY = 429
_NOT_SERVED = (400, NOT_FOUND, 405)
"""How a server answers that has no security, or a proxy that does not let this through."""
_MOST_INDICES = 10_000


@dataclass(frozen=True, slots=True)
class PointInTime:
    """A view of all indices of the pattern as they were at one moment, or of one shard of `index`."""

    id: str
    index: str = ""


class Index:
    """The indices of a pattern. Every method raises ElasticsearchError where the server cannot answer as it should."""

    def __init__(
        self, access: Access, pattern: str, *, timeout: float = 30.0, beat: Callable[[], object] = lambda: None
    ) -> None:
        """`timeout`: seconds for each request; `beat` is called before and after each.

        Raises ElasticsearchError where `access` or `pattern` cannot be used.
        """
        self.pattern = index_pattern(pattern)
        self.timeout = timeout
        self._path = _path(self.pattern)
        probe = f"{self._path}/_mapping?filter_path=none&ignore_unavailable=true"
        self._connection = ServerConnection(access, self.pattern, probe, timeout, beat)
        self.place = access.place

    def close(self) -> None:
        """Let go of the connections."""
        self._connection.close()

    @property
    def dialect(self) -> Dialect:
        """The words of the product that answers."""
        return self._connection.dialect

    def stats(self) -> Json:
        """Return the numbers of writes, the refreshes and the history of each shard copy of each open index."""
        return self._get("_stats/docs,refresh", {"level": "shards", "filter_path": _STATS})

    def filters(self) -> Mapping[str, Json]:
        """Index -> the query that its documents must match to be of the pattern: that of the aliases which name it.

        As Elasticsearch resolves it for every search: an index that is named without filter, too, has none.
        """
        indices = self._get("_search_shards", {"filter_path": "indices"}).get("indices", {})
        self._check_routing({alias for body in indices.values() for alias in body.get("aliases", ())})
        return {name: body["filter"] for name, body in indices.items() if "filter" in body}

    def settings(self) -> Mapping[str, Mapping[str, str]]:
        """Index -> its settings `index.…` that reading depends on; closed indices too."""
        options = {"expand_wildcards": "open,closed", "flat_settings": "true"}
        indices = self._get_or_none(self._path, f"_settings/{','.join(_SETTINGS)}", options)
        return {name: body.get("settings", {}) for name, body in indices.items()}

    def mappings(self) -> tuple[Json, Json]:
        """The indices' mappings, and their settings that `kubectl_sew.query.mapping` reads too."""
        return self._get_or_none(self._path, "_mapping"), self._get_or_none(self._path, f"_settings/{_ANALYSIS}")

    def mappings_of(self, names: Sequence[str]) -> Json:
        """The mappings of these indices, of all where their names are too long for one request."""
        some = ",".join(names)
        return self._get_or_none(_path(some) if len(some) <= _LONGEST_NAMES else self._path, "_mapping")

    def recoveries(self) -> Json:
        """Index -> how each of its shards came to be, and a restored one from which index."""
        return self._get("_recovery", {"filter_path": "*.shards.type,*.shards.primary,*.shards.source.index"})

    def fields(self) -> FieldSet:
        """Return the fields that queries can ask of these indices."""
        return self.fields_of(*self.mappings())

    def fields_of(self, mappings: Json, settings: Json) -> FieldSet:
        """Return the fields of such mappings and settings as this server can be asked for them."""
        return self.dialect.field_set(self.pattern, mappings, settings)

    def uncovered(self) -> str:
        """Return what the login lacks on the pattern that no other answer tells; "" where nothing, or nobody knows."""
        privileges = self.dialect.unnoticed
        asked = question(self.pattern, privileges)
        if asked is None:
            return ""
        try:
            answer = self._ask("POST", HAS_PRIVILEGES, body=asked)
        except ElasticsearchError as error:
            if error.status in _NOT_SERVED:
                return ""
            raise
        return uncovered(self._object(answer, "index")["index"], privileges)

    def _check_routing(self, aliases: Collection[str]) -> None:
        """Refuse an alias with a routing: a search sees some of its shards, and nobody knows which."""
        if not aliases:
            return
        indices = self._get(f"_alias/{quote(','.join(sorted(aliases)), safe=',')}", {})
        for body in indices.values():
            for name, alias in body.get("aliases", {}).items():
                if "search_routing" in alias:
                    raise ElasticsearchError(
                        f"the alias {name} has a search routing, so that a search of it does not see all of its index, "
                        "and which part cannot be followed: name the index, or an alias with a filter (--index, "
                        "SEW_INDEX)"
                    )

    @property
    def everywhere(self) -> Json:
        """The header of a search over the whole pattern: what is not there yet holds nothing."""
        return {"index": self.pattern, "ignore_unavailable": True, "allow_partial_search_results": False}

    def search(self, body: Json) -> Json:
        """Search the whole pattern; a part of an answer is an error."""
        whole = {"ignore_unavailable": "true", "allow_partial_search_results": "false"}
        answer = self.dialect.whole(self._object(self._ask("POST", f"{self._path}/_search", whole, body), "hits"))
        check_search(answer)
        return answer

    def search_many(self, searches: Sequence[tuple[Json, Json]]) -> Sequence[Json]:
        """Several searches (header, body) in one request: their answers as they come, errors too."""
        lines = [part for search in searches for part in search]
        answer = self._object(self._ask("POST", "/_msearch", body=lines), "responses")
        return [self.dialect.whole(response) for response in answer["responses"]]

    def documents(self, wanted: Sequence[Json]) -> tuple[Sequence[Json], int]:
        """Documents by `_index` and `_id` (and `routing`), in that order, and about how many bytes they came in."""
        answer = self._ask("POST", "/_mget", body={"docs": wanted})
        documents = list(self._object(answer, "docs")["docs"])
        return documents, answer.length or len(str(documents))

    def open_points_in_time(self, shards: Sequence[tuple[str, int]], query: Json) -> list[PointInTime]:
        """Views of what matches a query, as all indices are now, kept for five minutes from each use.

        `shards`: all shards of the indices, as index and number. Where each has a view of its own, those of indices
        without a match get none: a server keeps few.
        """
        if self.dialect.by_shard:
            holding = self._holding(query) if shards else frozenset()
            shards = [(index, number) for index, number in shards if index in holding]
        opened: list[PointInTime] = []
        try:
            for view in self.dialect.views(self.pattern, shards):
                opened.append(self._open(view))  # noqa: PERF401 - what is open is closed after an error
        except ElasticsearchError as error:
            for point in opened:
                with suppress(ElasticsearchError):  # it ends by itself
                    self.close_point_in_time(point.id)
            raise (self._too_many(error, len(shards)) if error.status == _BUSY else error) from None
        return opened

    def _holding(self, query: Json) -> frozenset[str]:
        """Return the names of the indices with a match."""
        names = {"terms": {"field": "_index", "size": _MOST_INDICES}}
        found = self.search({"size": 0, "query": query, "aggs": {"names": names}})["aggregations"]["names"]
        return frozenset(bucket["key"] for bucket in found["buckets"])

    def _open(self, view: View) -> PointInTime:
        path = f"{_path(view.target)}/{self.dialect.points}"
        preference = {"preference": view.preference} if view.preference else {}
        answer = self._ask("POST", path, {"keep_alive": _POINT_KEPT, "ignore_unavailable": "true", **preference})
        name = self.dialect.point
        return PointInTime(str(self._object(answer, name)[name]), view.target if view.preference else "")

    def _too_many(self, error: ElasticsearchError, shards: int) -> ElasticsearchError:
        message = (
            f"{error}, or keeps no more points in time: what was before is read in one for each shard, here {shards}; "
            "raise the cluster's setting `search.max_open_pit_context`, or start the webhooks later (SEW_START)"
        )
        return ElasticsearchError(message, error.status, error.kind)

    def in_point_in_time(self, point: str) -> Json:
        """Return the value of `pit` in a search."""
        return {"id": point, "keep_alive": _POINT_KEPT}

    def close_point_in_time(self, point: str) -> None:
        """Close a point in time; one that is closed already is no error."""
        try:
            self._ask("DELETE", f"/{self.dialect.closing}", body=self.dialect.to_close(point))
        except ElasticsearchError as error:
            if error.status != NOT_FOUND:
                raise

    def _ask(
        self, method: str, path: str, params: Mapping[str, str] | None = None, body: Json | Sequence[Json] | None = None
    ) -> Answer:
        return self._connection.ask(method, path, params, body)

    def _get(self, what: str, options: Mapping[str, str]) -> Json:
        """Return the settings of all indices of the pattern; empty without any."""
        return self._object(self._ask("GET", f"{self._path}/{what}", {**options, "ignore_unavailable": "true"}))

    def _get_or_none(self, path: str, what: str, options: Mapping[str, str] | None = None) -> Json:
        """A pattern without wildcard that names no index is as empty as one with."""
        try:
            answer = self._ask("GET", f"{path}/{what}", {**(options or {}), "ignore_unavailable": "true"})
        except ElasticsearchError as error:
            if error.kind != _NO_INDEX:
                raise
            return {}
        return self._object(answer)

    def _object(self, answer: Answer, *needed: str) -> Json:
        """Return an answer's body, if it has the form that was asked for; else an error."""
        if not isinstance(answer.body, Mapping) or not all(key in answer.body for key in needed):
            raise ElasticsearchError(
                f"{self.dialect.product} answers with something else than what it was asked for, or was cut off"
            )
        return answer.body


def _path(names: str) -> str:
    return "/" + quote(names, safe=",*")


def check_search(answer: Json) -> None:
    """Raises ElasticsearchError where a search did not see everything: failed shards, a timeout, an early end."""
    if answer.get("error"):
        raise search_error(answer["error"], int(answer.get("status", 0)))
    shards = answer.get("_shards", {})
    if shards.get("failed"):
        reasons = [failure.get("reason", {}) for failure in shards.get("failures", [])]
        raise search_error(reasons[0] if reasons else {}, 0, f"{shards['failed']} of {shards['total']} shards failed")
    if answer.get("timed_out") or answer.get("terminated_early"):
        raise ElasticsearchError(
            "Elasticsearch ended a search before it was complete (timed out): it may be overloaded"
        )


def search_error(error: Any, status: int, what: str = "a search failed") -> ElasticsearchError:
    """Elasticsearch's `error` of a search with its innermost reason."""
    inner: Json = error if isinstance(error, Mapping) else {"reason": str(error)}
    for cause in inner.get("failed_shards") or ():
        inner = cause.get("reason", inner)
    while isinstance(inner.get("caused_by"), Mapping):
        inner = inner["caused_by"]
    kind, reason = str(inner.get("type", "")), str(inner.get("reason", ""))
    return ElasticsearchError(f"{what}: {kind}: {reason}"[:500], status, kind)
