"""What one list and watch has told: a copy of a collection that no error empties. Pure; not thread-safe."""

from collections.abc import Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

UNDO = 30.0
"""Seconds: what was deleted so shortly before the whole kind was lost went with the kind, by nobody's wish."""


class ResourceCache(Generic[T]):
    """Objects by name. `believe_after`: seconds for which a list that is empty after an error is not believed."""

    def __init__(self, believe_after: float) -> None:
        self.objects: dict[str, T] = {}
        self.known = False
        """Whether it was ever listed."""
        self._believe_after = believe_after
        self._in_doubt = False
        self._empty_since: float | None = None
        self._deleted: dict[str, tuple[float, T]] = {}

    @property
    def stale(self) -> bool:
        """Whether something that is absent has perhaps not been deleted."""
        return self._in_doubt or self.doubted

    @property
    def doubted(self) -> bool:
        """Whether what is held is kept against an empty list."""
        return self._empty_since is not None

    def listed(self, objects: Mapping[str, T], now: float) -> None:
        """All that there is."""
        self.known = True
        if objects or not self.objects or not self.stale:
            self.objects, self._empty_since = dict(objects), None
        elif self._empty_since is None:
            self._empty_since = now
        self._in_doubt = False

    def put(self, name: str, value: T) -> bool:
        """One was added or changed: what was kept against an empty list is not there any more. Whether that is news."""
        news = self.doubted or self.objects.get(name) != value
        if self._empty_since is not None:
            self.objects, self._empty_since = {}, None
        self.objects[name] = value
        return news

    def delete(self, name: str, now: float) -> None:
        gone = self.objects.pop(name, None)
        self._deleted = {each: (at, old) for each, (at, old) in self._deleted.items() if now - at < UNDO}
        if gone is not None:
            self._deleted[name] = (now, gone)

    def look(self, now: float) -> bool:
        """Whether the time is over for which an empty list was not believed: now it is."""
        if self._empty_since is None or now - self._empty_since < self._believe_after:
            return False
        self.objects, self._empty_since = {}, None
        return True

    def failed(self) -> None:
        """It cannot be read at the moment."""
        self._in_doubt = True

    def resumed(self) -> None:
        """Reading goes on where it had stopped: nothing was missed."""
        self._in_doubt = False

    def lost(self, now: float) -> None:
        """The whole kind is not served any more, and its objects were deleted with it."""
        self._in_doubt = True
        taken = {name: old for name, (at, old) in self._deleted.items() if now - at < UNDO}
        self.objects, self._deleted = {**taken, **self.objects}, {}
