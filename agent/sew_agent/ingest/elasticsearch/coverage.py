"""Whether the login may see all of the pattern, asked now and then: a role may change, and nobody says so."""

from collections.abc import Callable
from contextlib import suppress

from kubectl_sew.elasticsearch.access import ElasticsearchError
from kubectl_sew.elasticsearch.client import Index

ASKED_EVERY = 300.0
"""Seconds between two questions by one login."""


class Coverage:
    """What the login may not see, as last answered."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self.caveats: tuple[str, ...] = ()
        self._clock = clock
        self._index: Index | None = None
        self._asked = 0.0

    def update(self, index: Index) -> None:
        """Ask again after a while, and of another login at once. Without an answer the last one holds."""
        now = self._clock()
        if index is self._index and now - self._asked < ASKED_EVERY:
            return
        self._index, self._asked = index, now
        with suppress(ElasticsearchError):
            lacks = index.uncovered()
            self.caveats = (_CAVEAT.format(lacks),) if lacks else ()


_CAVEAT = (
    "events may be missing without any error: the login does not have {}, and Elasticsearch leaves out the indices "
    "that its role does not cover; grant that, or name in SEW_INDEX (--index) only what the role covers"
)
