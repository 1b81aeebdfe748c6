"""Turns of the readers beside the shared one: which may read in a poll, and which are held back for a while."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from sew_agent.ingest.readers import Reader

_READERS_AT_ONCE = 8
"""Readers beside the shared one in one poll: the others have their turn in the next."""
_OTHERS_SECONDS = 3.0
"""Seconds after which the others have their turn in the next poll, too."""
_REST = 5.0
"""Factor of a failed read's seconds for which its reader is held."""


class Turns:
    """Keeps the last turn of each cursor, and until when it is held. Not thread-safe."""

    def __init__(self, pause: float, clock: Callable[[], float]) -> None:
        """`pause`: least seconds for which a cursor is held. `clock` is monotonic, in seconds."""
        self._pause = pause
        self._clock = clock
        self._held: dict[str, tuple[float, float]] = {}
        """Cursor -> from when until when it is held."""
        self._last_turn: dict[str, float] = {}

    @property
    def held(self) -> Collection[str]:
        return self._held.keys()

    def is_held(self, cursor: str, now: float) -> bool:
        """Return whether a cursor is held; it is not if the clock was set back."""
        since, until = self._held.get(cursor, (0.0, 0.0))
        return since <= now < until

    def hold(self, cursors: Iterable[str], now: float, failed_for: float = 0.0) -> None:
        """Hold cursors for the pause at least, and longer after a read that failed after many seconds."""
        self._held.update(dict.fromkeys(cursors, (now, now + max(self._pause, _REST * failed_for))))

    def release(self, cursors: Iterable[str]) -> None:
        for cursor in cursors:
            self._held.pop(cursor, None)

    def forget(self, cursors: Iterable[str]) -> None:
        for cursor in cursors:
            self._held.pop(cursor, None)
            self._last_turn.pop(cursor, None)

    def next_readers(self, readers: Sequence[Reader], now: float) -> Iterator[Reader]:
        """Yield readers while there is time in this poll, the longest without a turn first."""
        ends = self._clock() + _OTHERS_SECONDS
        for number, reader in enumerate(sorted(readers, key=self._turn_of)[:_READERS_AT_ONCE]):
            if number and self._clock() >= ends:
                return
            self._last_turn.update(dict.fromkeys(reader.cursors.values(), now))
            yield reader

    def _turn_of(self, reader: Reader) -> float:
        return min(self._last_turn.get(cursor, 0.0) for cursor in reader.cursors.values())
