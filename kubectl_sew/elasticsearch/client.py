"""An Elasticsearch index, or all of a pattern: what its mapping can answer, what it holds, and what it refuses.

The only module that imports `elasticsearch`, and only when it connects: 0.12 s and 19 MiB that no other command should
pay. Servers 8 and 9 are reached with client 8; client 9 cannot talk to 8.

What the client does by itself is turned off: it would look for other nodes, and try again at once and without a pause.
A search that lost shards or time is a success to the client; `check_search` says that it is none.
"""

import ssl
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from kubectl_sew.elasticsearch.access import (
    Access,
    ElasticsearchError,
    IndexProblem,
    authorization,
    index_pattern,
    read_url,
    tls_context,
)
from kubectl_sew.library_warnings import capture_client
from kubectl_sew.query import FieldSet
from kubectl_sew.query.mapping import field_set
from kubectl_sew.redaction import Redact, redact_failures, redactor

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

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
TIMED_OUT = "timed_out"
"""The kind of an error where Elasticsearch did not answer in time."""
_NO_INDEX = "index_not_found_exception"
_PRIVILEGES = "the privileges `read`, `view_index_metadata` and `monitor` on the indices are needed"


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
        self._beat = beat
        self._client = _connect(access, timeout)
        self._redact = redactor(*access.credentials)
        capture_client(self._redact)
        self.place = access.place

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

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
        with self._explained():
            indices = self._or_none(
                lambda: self._client.indices.get_settings(
                    index=self.pattern,
                    name=",".join(_SETTINGS),
                    expand_wildcards="open,closed",
                    flat_settings=True,
                    ignore_unavailable=True,
                )
            )
        return {name: body.get("settings", {}) for name, body in indices.items()}

    def mappings(self) -> tuple[Json, Json]:
        """The indices' mappings, and their settings that `kubectl_sew.query.mapping` reads too."""
        with self._explained():
            mappings = self._or_none(
                lambda: self._client.indices.get_mapping(index=self.pattern, ignore_unavailable=True)
            )
        with self._explained():
            settings = self._or_none(
                lambda: self._client.indices.get_settings(index=self.pattern, name=_ANALYSIS, ignore_unavailable=True)
            )
        return mappings, settings

    def mappings_of(self, names: Sequence[str]) -> Json:
        """The mappings of these indices, of all where their names are too long for one request."""
        some = ",".join(names)
        wanted = some if len(some) <= _LONGEST_NAMES else self.pattern
        with self._explained():
            return self._or_none(lambda: self._client.indices.get_mapping(index=wanted, ignore_unavailable=True))

    def recoveries(self) -> Json:
        """Index -> how each of its shards came to be, and a restored one from which index."""
        return self._get("_recovery", {"filter_path": "*.shards.type,*.shards.primary,*.shards.source.index"})

    def fields(self) -> FieldSet:
        """Return the fields that queries can ask of these indices."""
        return field_set(self.pattern, *self.mappings())

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
        """Search the whole pattern, or a point in time that `body` names; a part of an answer is an error."""
        whole: dict[str, Any] = {} if "pit" in body else dict(self.everywhere)
        with self._explained():
            answer = self._body(self._client.search(body=dict(body), **whole), "hits")
        check_search(answer)
        return answer

    def search_many(self, searches: Sequence[tuple[Json, Json]]) -> Sequence[Json]:
        """Several searches (header, body) in one request: their answers as they come, errors too."""
        with self._explained():
            lines = [dict(part) for search in searches for part in search]
            return list(self._body(self._client.msearch(searches=lines), "responses")["responses"])

    def documents(self, wanted: Sequence[Json]) -> tuple[Sequence[Json], int]:
        """Documents by `_index` and `_id` (and `routing`), in that order, and about how many bytes they came in."""
        with self._explained():
            answer = self._client.mget(docs=list(wanted))
            documents = list(self._body(answer, "docs")["docs"])
            return documents, int(answer.meta.headers.get("content-length") or len(str(documents)))

    def open_point_in_time(self) -> str:
        """A view of all indices as they are now, kept for five minutes from each use."""
        with self._explained():
            opened = self._client.open_point_in_time(
                index=self.pattern, keep_alive=_POINT_KEPT, ignore_unavailable=True
            )
            return str(self._body(opened, "id")["id"])

    def in_point_in_time(self, point: str) -> Json:
        """Return the value of `pit` in a search."""
        return {"id": point, "keep_alive": _POINT_KEPT}

    def close_point_in_time(self, point: str) -> None:
        """Close a point in time; one that is closed already is no error."""
        try:
            with self._explained():
                self._client.close_point_in_time(id=point)
        except ElasticsearchError as error:
            if error.status != 404:
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from elasticsearch import ApiError, TransportError  # noqa: PLC0415  # see the module

        self._beat()
        try:
            yield
        except (ApiError, TransportError) as error:
            raise explain(error, self.place, self._redact) from None
        finally:
            self._beat()

    def _get(self, what: str, options: Mapping[str, str]) -> Json:
        """Return the settings of all indices of the pattern; empty without any."""
        path = f"/{quote(self.pattern, safe=',*')}/{what}"
        params = {**options, "ignore_unavailable": "true"}
        with self._explained():
            return self._body(
                self._client.perform_request("GET", path, params=params, headers={"accept": "application/json"})
            )

    def _or_none(self, ask: Any) -> Json:
        """A pattern without wildcard that names no index is as empty as one with."""
        from elasticsearch import NotFoundError  # noqa: PLC0415  # see the module

        try:
            return self._body(ask())
        except NotFoundError as error:
            if error.message != _NO_INDEX:
                raise
            return {}

    def _body(self, answer: Any, *needed: str) -> Json:
        """Return an answer's body, if it has the form that was asked for; else an error."""
        body = answer.body
        if not isinstance(body, Mapping) or not all(key in body for key in needed):
            raise ElasticsearchError(
                "Elasticsearch answers with something else than what it was asked for, or was cut off"
            )
        redacted: Json = redact_failures(body, self._redact)
        return redacted


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


def explain(error: Exception, place: str, redact: Redact) -> ElasticsearchError:
    """The client's error as ours: without what was sent, which may hold credentials, and may be repeated in answers."""
    from elasticsearch import ApiError, UnsupportedProductError  # noqa: PLC0415  # see the module

    if isinstance(error, UnsupportedProductError):
        return ElasticsearchError(
            f"what answers at {place} does not say that it is Elasticsearch (its header is missing)"
        )
    if isinstance(error, ApiError):
        return _explain_answer(error.meta.status, redact_failures(error.body, redact), place)
    message = f"Elasticsearch at {place} {_transport_reason(error)}"
    return ElasticsearchError(message, kind=_transport_kind(error), problem=_transport_problem(error))


def _explain_answer(status: int, body: Any, place: str) -> ElasticsearchError:
    cause = body.get("error", {}) if isinstance(body, Mapping) else {}
    cause = cause if isinstance(cause, Mapping) else {}
    kind, reason = str(cause.get("type", "")), str(cause.get("reason", ""))
    known = {
        401: "refuses our credentials (401): check API key, user and password, or token",
        403: f"does not let us (403): {_PRIVILEGES}: {reason}",
        429: "has too much to do (429)",
    }
    problem = known.get(status, f"answers {status}" + (f": {kind}: {reason}" if kind else ""))
    return ElasticsearchError(f"Elasticsearch at {place} {problem}"[:600], status, kind)


def _transport_problem(error: Exception) -> IndexProblem:
    """An answer that cannot be read is one."""
    from elastic_transport import SerializationError  # noqa: PLC0415  # see the module

    return IndexProblem.OTHER if isinstance(error, SerializationError) else IndexProblem.UNREACHABLE


def _transport_kind(error: Exception) -> str:
    from elastic_transport import ConnectionTimeout  # noqa: PLC0415  # see the module

    return TIMED_OUT if isinstance(error, ConnectionTimeout) else ""


def _transport_reason(error: Exception) -> str:
    from elastic_transport import ConnectionTimeout, SerializationError, TlsError  # noqa: PLC0415  # see the module

    if isinstance(error, TlsError):
        return f"cannot be trusted ({_innermost(error)}): name the file of its CA's certificate"
    if isinstance(error, ConnectionTimeout):
        return "did not answer in time"
    if isinstance(error, SerializationError):
        return "answers with something that is not JSON, or was cut off"
    return f"cannot be reached ({_innermost(error)})"


def _innermost(error: BaseException) -> str:
    """The system's own word; the libraries around it add whole URLs."""
    causes: list[BaseException] = [error]
    while len(causes) < 10:
        last = causes[-1]
        held = (*getattr(last, "errors", ()), last.__cause__, getattr(last, "reason", None), *last.args)
        inner = next((cause for cause in held if isinstance(cause, BaseException)), None)
        if inner is None:
            break
        causes.append(inner)
    for cause in reversed(causes):
        if isinstance(cause, ssl.SSLError):
            return getattr(cause, "verify_message", "") or cause.reason or "TLS failed"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return type(causes[-1]).__name__


def _connect(access: Access, timeout: float) -> "Elasticsearch":
    try:
        with _not_installed("aiohttp"):  # for its asynchronous half, which nobody uses: 9 MiB
            import logging  # noqa: PLC0415  # see the module

            from elastic_transport import NodeConfig  # noqa: PLC0415  # see the module
            from elasticsearch import Elasticsearch  # noqa: PLC0415  # see the module
    except ImportError:
        raise ElasticsearchError(
            "Elasticsearch's client is not installed: pip install 'kubectl-sew[elasticsearch]'"
        ) from None

    # What fails is an error here, and reported as one.
    logging.getLogger("elastic_transport").setLevel(logging.CRITICAL + 1)
    context = tls_context(access) if any(url.startswith("https:") for url in access.urls) else None
    nodes = []
    for url in access.urls:
        host, port, path = read_url(url)
        tls: dict[str, Any] = {"ssl_context": context} if url.startswith("https:") else {}
        scheme = urlsplit(url).scheme
        nodes.append(NodeConfig(scheme, host, port, path_prefix=path, connections_per_node=2, **tls))
    return Elasticsearch(
        nodes,
        **authorization(access),
        request_timeout=timeout,
        max_retries=0,
        retry_on_timeout=False,
        retry_on_status=(),
    )


@contextmanager
def _not_installed(module: str) -> Iterator[None]:
    """Hide an optional module from imports made meanwhile, if nobody has imported it yet."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # as the import system has it for what must not be found
    try:
        yield
    finally:
        del sys.modules[module]
