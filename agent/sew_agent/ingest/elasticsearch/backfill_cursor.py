"""The position of a backfill: a window of time, read once by time and order in its shard. Pure."""

import json
from dataclasses import asdict, dataclass

KIND = '{"start":'


@dataclass(frozen=True, slots=True)
class BackfillCursor:
    """A window from `start` (epoch seconds) on. `run` names the point in time of `after`, "" before there is one.

    `reached`: milliseconds since the epoch up to which all was read, so that another run can go on there.
    """

    start: float
    reached: int | None = None
    after: tuple[int, int] | None = None
    run: str = ""
    done: bool = False

    def dump(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> "BackfillCursor":
        fields = json.loads(text)
        after = fields.pop("after")
        return cls(**fields, after=None if after is None else (after[0], after[1]))

    @property
    def begin(self) -> int:
        """Milliseconds from which a new run reads: the whole second of the start, or the last millisecond reached."""
        return int(self.start) * 1000 if self.reached is None else self.reached

    @property
    def read_to(self) -> float:
        """Own time (epoch seconds) up to which everything of the window was read."""
        return self.begin / 1000


def is_backfill(position: str) -> bool:
    """Return whether a position is one of a backfill."""
    return position.startswith(KIND)
