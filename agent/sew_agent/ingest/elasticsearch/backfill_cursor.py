"""The position of a backfill: a window of time, read once, from all its points in time together. Pure.

The hits of several are merged: by time, then by the number of the point in time, then by what tells its documents
apart. So one place in that order says for each of them how far it was read.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil

from sew_agent.ingest.elasticsearch.new_hits import Hit, merge

KIND = '{"start":'
_LAST = 2**31 - 1
"""The highest number of a document in one shard."""


@dataclass(frozen=True, slots=True)
class BackfillCursor:
    """A window from `start` on, and before `end` where it has one (epoch seconds).

    `run` names the points in time of `after`, "" before there are any. `after`: a time in milliseconds, the number of a
    point in time, and a document in it, up to which all was read.
    `reached`: milliseconds since the epoch up to which all was read, so that another run can go on there.
    """

    start: float
    reached: int | None = None
    after: tuple[int, ...] | None = None
    run: str = ""
    done: bool = False
    end: float | None = None

    def dump(self) -> str:
        fields = {name: value for name, value in asdict(self).items() if name != "end" or value is not None}
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> "BackfillCursor":
        fields = json.loads(text)
        after = fields.pop("after")
        return cls(**fields, after=None if after is None else tuple(after))

    def after_in(self, point: int) -> tuple[int, int] | None:
        """Return the time and the document behind which the point in time of this number goes on."""
        if self.after is None:
            return None
        time, last, document = self.after
        if point == last:
            return time, document
        return time, _LAST if point < last else -1

    def narrowed(self, since: float | None, until: float) -> "BackfillCursor":
        """Return the cursor of what is left of the window from `since` on and before `until` (epoch seconds).

        Its points in time are others: those of before may be a wider window's, whose webhooks read on.
        """
        start = self.start if since is None else max(self.start, since)
        read = self.reached is not None and self.reached >= int(start) * 1000
        return BackfillCursor(start, self.reached if read else None, end=until)

    @property
    def begin(self) -> int:
        """Milliseconds from which a new run reads: the whole second of the start, or the last millisecond reached."""
        return int(self.start) * 1000 if self.reached is None else self.reached

    @property
    def window(self) -> dict[str, object]:
        """The range of times (milliseconds) that a run searches, as Elasticsearch asks for it."""
        before = {} if self.end is None else {"lt": ceil(self.end * 1000)}
        return {"gte": self.begin, **before, "format": "epoch_millis"}

    @property
    def read_to(self) -> float:
        """Own time (epoch seconds) up to which everything of the window was read."""
        return self.begin / 1000


def merged(pages: Sequence[tuple[Sequence[Hit], bool]], limit: int) -> tuple[Sequence[Hit], tuple[int, ...] | None]:
    """Return the hits of all points in time in one order, `limit` at most, and where they were cut off, None: nowhere.

    The pages come by the points' numbers, each with whether it is full: then only what is before its end is complete.
    """
    numbered = [([_numbered(hit, number) for hit in hits], full) for number, (hits, full) in enumerate(pages)]
    hits, end = merge(numbered)
    return (hits[:limit], hits[limit - 1].order) if len(hits) > limit else (hits, end)


def _numbered(hit: Hit, point: int) -> Hit:
    time, document = hit.order
    return replace(hit, order=(time, point, document), job=0)


def is_backfill(position: str) -> bool:
    """Return whether a position is one of a backfill."""
    return position.startswith(KIND)
