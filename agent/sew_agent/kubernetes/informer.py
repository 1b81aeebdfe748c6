"""Keeps a copy of a collection: lists it, watches it, and goes on after whatever happens."""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sew_agent.base.backoff import doubled
from sew_agent.base.health import Health, Heartbeat
from sew_agent.base.log import locate
from sew_agent.base.threads import start_thread
from sew_agent.kubernetes.cache import ResourceCache
from sew_agent.kubernetes.client import (
    SILENCE_SECONDS,
    UNREADABLE,
    ApiError,
    ForbiddenError,
    GoneError,
    NotFoundError,
    WatchStream,
    error_of,
)
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.paths import NotServedError, ResourcePath

T = TypeVar("T")

PAGE = "500"
LONGEST_PAUSE = 5.0
"""Seconds between two tries: a change takes effect within 10 s after the server is back."""
_FIRST_PAUSE = 0.5
NOT_SERVED_PAUSE = 10.0
"""Seconds until a kind that need not be served is looked for again."""
LONGEST_SILENCE = 2 * SILENCE_SECONDS
"""Seconds between two heartbeats of a watch on which nothing happens."""
_JSON = "application/json"
_METADATA = "application/json;as={};g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True)
class WatchedResource(Generic[T]):
    """A collection to watch. `matter` names it to people; `parse` reads an object; `selector` is a label selector."""

    matter: str
    path: ResourcePath
    parse: Callable[[Mapping[str, Any]], T]
    selector: str = ""
    metadata_only: bool = False

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of a list and of a watch."""
        return {"labelSelector": self.selector} if self.selector else {}

    @property
    def list_as(self) -> str:
        """The media type of a list."""
        return _METADATA.format("PartialObjectMetadataList") if self.metadata_only else _JSON

    @property
    def watch_as(self) -> str:
        """The media type of a watch."""
        return _METADATA.format("PartialObjectMetadata") if self.metadata_only else _JSON


def pause_after(failures: int) -> float:
    """Return the most seconds before a server is asked again that has failed so many times in a row."""
    return doubled(_FIRST_PAUSE, failures, LONGEST_PAUSE)


class Informer(Generic[T]):
    """A thread that keeps `objects` up to date and calls `changed` after each change, if it makes another object."""

    def __init__(
        self,
        context: ClusterContext,
        resource: WatchedResource[T],
        changed: Callable[[], None],
        health: Health,
        *,
        believe_after: float,
    ) -> None:
        """`believe_after`: seconds for which a list that is empty after an error is not believed."""
        self._context = context
        self._resource = resource
        self._changed = changed
        self._health = health
        self._lock = threading.Lock()
        self._cache: ResourceCache[T] = ResourceCache(believe_after)
        self._version = ""
        """The resourceVersion up to which all changes are in the cache; "" where a new list is needed."""
        self._stop = threading.Event()
        self._watch: WatchStream | None = None
        self.refused = ""
        """Why the server does not let this agent read the collection; "" where it does."""

    def start(self) -> None:
        """Start the thread."""
        heartbeat = self._health.heartbeat(f"watch-{self._resource.matter}", LONGEST_SILENCE)
        start_thread(self._run, f"watch-{self._resource.matter}", heartbeat)

    def stop(self) -> None:
        """End the watch and the thread."""
        self._stop.set()
        if self._watch:
            self._watch.close()

    @property
    def objects(self) -> Mapping[str, T]:
        """A copy of all objects, by name."""
        with self._lock:
            return dict(self._cache.objects)

    @property
    def settled(self) -> bool:
        """True once the collection was listed, or while the server refuses that."""
        with self._lock:
            return self._cache.synced or bool(self.refused)

    @property
    def synced(self) -> bool:
        """True once the collection was listed."""
        with self._lock:
            return self._cache.synced

    @property
    def stale(self) -> bool:
        """True while an object that is absent may exist all the same."""
        with self._lock:
            return self._cache.stale

    @property
    def doubted(self) -> bool:
        """True while the objects are kept against an empty list."""
        with self._lock:
            return self._cache.doubted

    def _run(self, heartbeat: Heartbeat) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._list_and_watch(heartbeat)
                failures = 0
            except NotServedError:
                failures = 0
                self._not_served()
                self._stop.wait(NOT_SERVED_PAUSE)
            except ApiError as error:
                if self._stop.is_set():
                    return
                failures += 1
                self._failed(error)
                self._stop.wait(pause_after(failures) * random.uniform(0.5, 1.0))  # noqa: S311 - spreads agents out, guards nothing

    def _not_served(self) -> None:
        """Take the collection for empty, and look again later: the kind may be served then."""
        with self._lock:
            news = bool(self._cache.objects) or not self._cache.synced
            self._cache.resumed()
            self._cache.replace({}, self._context.monotonic())
            self._version, self.refused = "", ""
        self._context.problems.clear(self._resource.matter)
        if news:
            self._changed()

    def _list_and_watch(self, heartbeat: Heartbeat) -> None:
        """List where that is needed, and watch once. After an answer of another shape, list again."""
        try:
            heartbeat.beat()
            path = self._resource.path.resolve()
            if not self._version:
                self._list(path)
            for event in self._begin_watch(path):
                heartbeat.beat()
                self._handle(event)
            self._expire_doubt()
        except UNREADABLE as error:
            self._version = ""
            raise ApiError(f"an answer about {self._resource.matter} cannot be read ({locate(error)})") from None

    def _list(self, path: str) -> None:
        objects: dict[str, T] = {}
        query = {**self._resource.query, "limit": PAGE}
        while True:
            page = self._context.client.get(path, query, accept=self._resource.list_as)
            objects |= {item["metadata"]["name"]: self._resource.parse(item) for item in page.get("items") or ()}
            token = page["metadata"].get("continue")
            if not token:
                break
            query["continue"] = token
        with self._lock:
            self._cache.replace(objects, self._context.monotonic())
            self._version = page["metadata"]["resourceVersion"]
        self._changed()

    def _begin_watch(self, path: str) -> WatchStream:
        query = {**self._resource.query, "resourceVersion": self._version}
        watch = self._context.client.watch(path, query, accept=self._resource.watch_as)
        self._watch = watch
        if self._stop.is_set():
            watch.close()
        self._works()
        return watch

    def _handle(self, event: Mapping[str, Any]) -> None:
        kind, obj = event["type"], event["object"]
        if kind == "ERROR":
            raise error_of(str(obj.get("message") or "the watch failed"), obj.get("code") or 0)
        name, news = obj["metadata"].get("name", ""), kind == "DELETED"
        with self._lock:
            if kind == "DELETED":
                self._cache.delete(name, self._context.monotonic())
            elif kind in ("ADDED", "MODIFIED"):
                news = self._cache.put(name, self._resource.parse(obj))
            self._version = obj["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            self._expire_doubt()
        if news:
            self._changed()

    def _works(self) -> None:
        with self._lock:
            was_stale, self.refused = self._cache.stale, ""
            self._cache.resumed()
        self._context.problems.clear(self._resource.matter)
        if was_stale:
            self._changed()

    def _expire_doubt(self) -> None:
        with self._lock:
            believed = self._cache.expire_doubt(self._context.monotonic())
        if believed:
            self._changed()

    def _failed(self, error: ApiError) -> None:
        if isinstance(error, GoneError):
            self._version = ""  # list again, which is no error
            return
        with self._lock:
            self._cache.failed()
            self.refused = str(error) if isinstance(error, ForbiddenError) else ""
            if isinstance(error, NotFoundError):
                self._cache.kind_removed(self._context.monotonic())
                self._version = ""
        if isinstance(error, NotFoundError):
            self._resource.path.forget()
        kept = "; what was known before goes on" if self.synced else ""
        self._context.problems.report_error(self._resource.matter, error, f"{error}{kept}; it is tried again")
        self._changed()
