"""Keeps a copy of a collection as the last list and watch have shown it. No error empties it. Pure; not thread-safe."""

from collections.abc import Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

UNDO = 30.0
"""Seconds: an object deleted so shortly before its whole kind was removed went with the kind, by nobody's wish."""


class ResourceCache(Generic[T]):
    """Objects by name. `believe_after`: seconds for which a list that is empty after an error is not believed."""

    def __init__(self, believe_after: float) -> None:
        self.objects: dict[str, T] = {}
        self.synced = False
        """True once the collection was listed."""
        self._believe_after = believe_after
        self._in_doubt = False
        self._empty_since: float | None = None
        self._deleted: dict[str, tuple[float, T]] = {}

    @property
    def stale(self) -> bool:
        """True while an object that is absent has perhaps not been deleted."""
        return self._in_doubt or self.doubted

    @property
    def doubted(self) -> bool:
        """True while the objects are kept against an empty list."""
        return self._empty_since is not None

    def replace(self, objects: Mapping[str, T], now: float) -> None:
        """Take over a whole list."""
        self.synced = True
        if objects or not self.objects or not self.stale or not self._believe_after:
            self.objects, self._empty_since = dict(objects), None
        elif self._empty_since is None:
            self._empty_since = now
        self._in_doubt = False

    def put(self, name: str, value: T) -> bool:
        """Add or change an object; return whether that is news. Objects kept against an empty list are gone then."""
        news = self.doubted or self.objects.get(name) != value
        if self._empty_since is not None:
            self.objects, self._empty_since = {}, None
        self.objects[name] = value
        return news

    def delete(self, name: str, now: float) -> None:
        """Remove an object."""
        deleted = self.objects.pop(name, None)
        self._deleted = {other: (at, old) for other, (at, old) in self._deleted.items() if now - at < UNDO}
        if deleted is not None:
            self._deleted[name] = (now, deleted)

    def expire_doubt(self, now: float) -> bool:
        """Believe an empty list whose time of doubt is over; return whether that happened."""
        if self._empty_since is None or now - self._empty_since < self._believe_after:
            return False
        self.objects, self._empty_since = {}, None
        return True

    def failed(self) -> None:
        """Note that the collection cannot be read at the moment."""
        self._in_doubt = True

    def resumed(self) -> None:
        """Note that the watch goes on where it had stopped: nothing was missed."""
        self._in_doubt = False

    def kind_removed(self, now: float) -> None:
        """Note that the whole kind is not served any more, and that its objects were deleted with it."""
        self._in_doubt = True
        restored = {name: old for name, (at, old) in self._deleted.items() if now - at < UNDO}
        self.objects, self._deleted = {**restored, **self.objects}, {}
