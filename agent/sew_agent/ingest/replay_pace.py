"""Pace of a replay: how many events it enqueues at once, by how long those before took to be tried. Pure."""

_FIRST = 8
_LEAST = 2
_QUICK, _SLOW = 2.0, 4.0
"""Seconds for a page to be tried, so that the next one is twice, or half, as large."""


class ReplayPace:
    """Size of the next page to enqueue, and of the next one to read, which may hold many events that are known."""

    def __init__(self, most: int) -> None:
        """`most`: events to read at once."""
        self._most = most
        self._size = self._limit = min(_FIRST, most)
        self._near_new = False
        """True from a page with too many new events until some are enqueued: a larger one would hold them again."""
        self._enqueued_at: float | None = None

    @property
    def limit(self) -> int:
        """Events to read at once now."""
        return self._limit

    def is_too_much(self, new: int) -> bool:
        """Return whether a page holds too many new events to enqueue them at once; then a smaller one is next."""
        if new <= self._size or self._limit == self._size:
            return False
        self._limit, self._near_new = self._size, True
        return True

    def enqueued(self, new: int, now: float) -> None:
        """Record that a page was enqueued; `now` in monotonic seconds. A larger one is next where nothing was new."""
        if new:
            self._enqueued_at, self._near_new = now, False
        elif not self._near_new:
            self._limit = min(self._limit * 2, self._most)

    def tried(self, now: float) -> None:
        """Record that all that was enqueued is tried by now."""
        if self._enqueued_at is None:
            return
        seconds, self._enqueued_at = now - self._enqueued_at, None
        if seconds < _QUICK:
            self._size = min(self._size * 2, self._most)
        elif seconds > _SLOW:
            self._size = max(self._size // 2, _LEAST)
        self._limit = self._size
