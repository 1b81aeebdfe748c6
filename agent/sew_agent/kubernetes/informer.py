"""Keeps a copy of a collection: lists it, watches it, and goes on after whatever happens."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from sew_agent.base.backoff import doubled
from sew_agent.base.log import locate
from sew_agent.base.threads import start_thread
from sew_agent.kubernetes.cache import ResourceCache
from sew_agent.kubernetes.client import SILENCE_SECONDS, UNREADABLE, ApiError, KubernetesClient, WatchStream
from sew_agent.kubernetes.problems import Problems

T = TypeVar("T")

PAGE = "500"
LONGEST_PAUSE = 5.0
"""Seconds between two tries: a change takes effect within 10 s after the server is back."""
_FIRST_PAUSE = 0.5
LONGEST_SILENCE = 2 * SILENCE_SECONDS
"""Seconds between two signs of life of a watch on which nothing happens."""
_UNKNOWN = 404
_GONE = 410
REFUSED = (401, 403)
_JSON = "application/json"
_METADATA = "application/json;as={};g=meta.k8s.io;v=v1"


class ResourcePath(Protocol):
    """Where a collection is served."""

    def path(self) -> str:
        """Raises ApiError where it is not served, or where that cannot be told."""

    def lost(self) -> None:
        """It was not there: look for it again."""


@dataclass(frozen=True, slots=True)
class FixedPath:
    """A place that is always the same."""

    at: str

    def path(self) -> str:
        return self.at

    def lost(self) -> None:
        """Where a built-in kind is not served, there is nothing else to look at."""


@dataclass(frozen=True, slots=True)
class WatchedResource(Generic[T]):
    """What to watch. `matter` names it to people; `take` reads an object; `selector` is a label selector."""

    matter: str
    place: ResourcePath
    take: Callable[[Mapping[str, Any]], T]
    selector: str = ""
    metadata_only: bool = False
    query: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "query", {"labelSelector": self.selector} if self.selector else {})

    @property
    def list_as(self) -> str:
        return _METADATA.format("PartialObjectMetadataList") if self.metadata_only else _JSON

    @property
    def watch_as(self) -> str:
        return _METADATA.format("PartialObjectMetadata") if self.metadata_only else _JSON


def pause_after(failures: int) -> float:
    """Seconds, at most, until the server is asked again that has failed so many times in a row."""
    return doubled(_FIRST_PAUSE, failures, LONGEST_PAUSE)


class Informer(Generic[T]):
    """A thread that keeps `objects` up to date and calls `changed` after each change, if it makes another object.

    `believe_after`: seconds for which a list that is empty after an error is not believed. `beat` is called at least
    once in LONGEST_SILENCE.
    """

    def __init__(
        self,
        api: KubernetesClient,
        collection: WatchedResource[T],
        problems: Problems,
        changed: Callable[[], None],
        *,
        believe_after: float,
        beat: Callable[[], None],
    ) -> None:
        self._beat = beat
        self._api = api
        self._collection = collection
        self._problems = problems
        self._changed = changed
        self._lock = threading.Lock()
        self._holding: ResourceCache[T] = ResourceCache(believe_after)
        self._version = ""
        """Up to which all changes are in the holding; "" where a new list is needed."""
        self._stop = threading.Event()
        self._watch: WatchStream | None = None
        self.refused = ""
        """Why the server does not let us read this, where it does not."""

    def start(self) -> None:
        start_thread(self._run, f"watch-{self._collection.matter}")

    def stop(self) -> None:
        self._stop.set()
        if self._watch:
            self._watch.close()

    @property
    def objects(self) -> Mapping[str, T]:
        """A copy of all that is known, by name."""
        with self._lock:
            return dict(self._holding.objects)

    @property
    def settled(self) -> bool:
        """Whether it was ever read, or is known to be refused."""
        with self._lock:
            return self._holding.known or bool(self.refused)

    @property
    def known(self) -> bool:
        with self._lock:
            return self._holding.known

    @property
    def stale(self) -> bool:
        """Whether something absent may be there all the same."""
        with self._lock:
            return self._holding.stale

    @property
    def doubted(self) -> bool:
        """Whether what is held is kept against an empty list."""
        with self._lock:
            return self._holding.doubted

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._guarded()
                failures = 0
            except ApiError as error:
                if self._stop.is_set():
                    return
                failures += 1
                self._failed(error)
                self._stop.wait(pause_after(failures) * random.uniform(0.5, 1.0))  # noqa: S311 - spreads agents out, guards nothing

    def _guarded(self) -> None:
        """No answer may end the thread: what cannot be read is an error of the server, and is tried again."""
        try:
            self._step()
        except UNREADABLE as error:
            self._version = ""
            raise ApiError(f"an answer about {self._collection.matter} cannot be read ({locate(error)})") from None

    def _step(self) -> None:
        """One list where that is needed, and one watch to its end."""
        self._beat()
        path = self._collection.place.path()
        if not self._version:
            self._list(path)
        watch = self._api.watch(
            path, {**self._collection.query, "resourceVersion": self._version}, accept=self._collection.watch_as
        )
        self._watch = watch
        if self._stop.is_set():
            watch.close()
        self._works()
        for event in watch:
            self._beat()
            self._take(event)
        self._look()

    def _list(self, path: str) -> None:
        found: dict[str, T] = {}
        query = {**self._collection.query, "limit": PAGE}
        while True:
            page = self._api.get(path, query, accept=self._collection.list_as)
            found |= {each["metadata"]["name"]: self._collection.take(each) for each in page.get("items") or ()}
            token = page["metadata"].get("continue")
            if not token:
                break
            query["continue"] = token
        with self._lock:
            self._holding.listed(found, time.monotonic())
            self._version = page["metadata"]["resourceVersion"]
        self._changed()

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, obj = event["type"], event["object"]
        if kind == "ERROR":
            raise ApiError(str(obj.get("message") or "the watch failed"), obj.get("code") or 0)
        name, news = obj["metadata"].get("name", ""), kind == "DELETED"
        with self._lock:
            if kind == "DELETED":
                self._holding.delete(name, time.monotonic())
            elif kind in ("ADDED", "MODIFIED"):
                news = self._holding.put(name, self._collection.take(obj))
            self._version = obj["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            self._look()
        if news:
            self._changed()

    def _works(self) -> None:
        with self._lock:
            was_stale, self.refused = self._holding.stale, ""
            self._holding.resumed()
        self._problems.over(self._collection.matter)
        if was_stale:
            self._changed()

    def _look(self) -> None:
        with self._lock:
            believed = self._holding.look(time.monotonic())
        if believed:
            self._changed()

    def _failed(self, error: ApiError) -> None:
        if error.status == _GONE:
            self._version = ""  # the server's history does not reach back so far: list again, which is no error
            return
        with self._lock:
            self._holding.failed()
            self.refused = str(error) if error.status in REFUSED else ""
            if error.status == _UNKNOWN:
                self._holding.lost(time.monotonic())
                self._version = ""
        if error.status == _UNKNOWN:
            self._collection.place.lost()
        self._problems.say(self._collection.matter, self._text(error))
        self._changed()

    def _text(self, error: ApiError) -> str:
        if error.status in REFUSED:
            return f"{error}: grant it as manifests/base/rbac.yaml does"
        kept = "; what was known before goes on" if self.known else ""
        return f"{error}{kept}; it is tried again"
