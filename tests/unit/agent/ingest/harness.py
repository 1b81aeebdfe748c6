"""The poller over a file and over a scripted source, with all that it stores and reports."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kubectl_sew.event import Event
from kubectl_sew.query import ANY, parse
from sew_agent.ingest.ndjson.file import NdjsonFile
from sew_agent.ingest.poller import Poller
from sew_agent.ingest.source import (
    Arrival,
    Batch,
    Origin,
    SourceError,
    SourceProblem,
    SourceWarning,
    Subscription,
    Suppression,
)
from sew_agent.store.records import EnqueueBatch, EnqueueResult
from sew_agent.store.sqlite.store import SqliteStore, open_store

EVERYTHING = parse("type = waf OR NOT type = waf")


class FakeStore:
    """The part of a store that the poller uses. A webhook's room may be used up."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.pairs: list[tuple[str, str]] = []
        self.debugged: list[tuple[str, str]] = []
        self.suppressed: list[tuple[str, str]] = []
        self.room: dict[str, int] = {}

    def positions(self) -> dict[str, str]:
        return dict(self.kept)

    def drop_readers(self, readers: Collection[str]) -> None:
        for reader in readers:
            self.kept.pop(reader, None)

    def oldest_times(self) -> dict[str, float]:
        return {}

    def enqueue(self, intake: EnqueueBatch) -> EnqueueResult:
        pairs = [(name, delivery.event.id) for delivery in intake.deliveries for name in delivery.webhooks]
        new = [pair for pair in pairs if pair not in self.pairs]
        full = frozenset(name for name, _ in new if self.room.get(name, 10**9) < len(new) + len(self.of(name)))
        if full:
            return EnqueueResult(0, 0, full)
        self.pairs += new
        self.debugged += [(name, delivery.event.id) for delivery in intake.deliveries for name in delivery.debug]
        self.suppressed += [(name, delivery.event.id) for delivery in intake.deliveries for name in delivery.suppressed]
        self.kept.update(intake.positions)
        return EnqueueResult(len(new), len(pairs) - len(new))

    def of(self, webhook: str) -> list[str]:
        return [event for name, event in self.pairs if name == webhook]


class RecordingObserver:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.full: set[str] = set()
        self.events = 0
        self.taken: list[int] = []
        self.replays: list[tuple[str, str]] = []

    def warned(self, warnings: Sequence[SourceWarning]) -> None:
        self.warnings += [warning.text for warning in warnings]

    def enqueued(self, arrivals: Sequence[Arrival], taken: EnqueueResult) -> None:
        self.taken += [taken.new for _ in arrivals]

    def replaying(self, webhook: str, message: str) -> None:
        self.replays.append((webhook, message))

    def store_full(self, webhooks: Collection[str]) -> None:
        self.full |= set(webhooks)

    def scanned(self, events: int) -> None:
        self.events += events


class FilePollerHarness:
    """A file of events, and a poller that can be restarted over the same store."""

    def __init__(self, path: Path) -> None:
        self.path, self.store, self.observer = path, FakeStore(), RecordingObserver()
        self.now = 0.0
        self.source = NdjsonFile(path, ANY)
        self.start()

    def start(self) -> None:
        self.source.close()
        self.source = NdjsonFile(self.path, ANY)
        self.poller = Poller(self.source, self.store, self.observer, page_size=4, pause=5.0, known_for=86_400.0)  # type: ignore[arg-type]

    def write(self, *numbers: int) -> None:
        with self.path.open("a") as file:
            file.writelines(json.dumps({"id": number, "type": "waf"}) + "\n" for number in numbers)

    def serve(self, *names: str, debug: Collection[str] = ()) -> None:
        self.poller.serve({name: Subscription(name, EVERYTHING) for name in names}, debug)

    def drain(self) -> None:
        for _ in range(100):
            if self.poller.poll(self.now).done:
                return
        raise AssertionError("the poller never came to the end")


QUERY = parse("type = waf")


NOW = 1_800_000_000.0


@dataclass
class ScriptedSource:
    """A source of numbered events: a position is a number, a backfill's is `past:FROM`."""

    events: int = 0
    refuses: dict[str, str] = field(default_factory=dict)
    problems: tuple[SourceProblem, ...] = ()
    backfill_fails: bool = False
    backfill_refuses: dict[str, str] = field(default_factory=dict)
    backfill_lasts: bool = False
    """True where a backfill never ends."""
    backfill_takes: float = 0.0
    """Seconds for a read of a backfill."""
    clock: float = 5000.0
    """Monotonic seconds, which no process begins at 0."""
    fails: bool = False
    failed: bool = False
    more: bool = False
    time: float | None = None
    """Own time of every event."""
    first: int = 0
    """Position of the very first reader."""
    reads: list[tuple[str | None, tuple[str, ...]]] = field(default_factory=list)
    asked: list[tuple[Sequence[Subscription], float]] = field(default_factory=list)
    """Subscriptions and moment of each read."""
    ends: list[str | None] = field(default_factory=list)
    """Where each read ends."""
    seekable: bool = True
    unanswered: dict[str, str] = field(default_factory=dict)
    """Exception -> why its selector cannot be answered; any other selects every event."""
    caveats: tuple[str, ...] = ()
    kept: tuple[set[str], set[str]] = (set(), set())
    """Webhooks and exceptions that it was last told to keep."""
    resumed: int = 0
    """How often it was told that another reader has gone on."""
    fields = ANY

    def origin(self, start: float) -> Origin:
        return Origin(f"past:{start:.0f}", beside=True)

    def narrowed(self, position: str, since: float | None, until: float) -> str:
        return f"{position} from {since} to {until:.0f}" if position.startswith("past:") else position

    def read(
        self,
        subscriptions: Sequence[Subscription],
        position: str | None,
        *,
        now: float,
        limit: int,
        suppressions: Sequence[Suppression] = (),
        until: str | None = None,
    ) -> Batch:
        names = tuple(subscription.webhook for subscription in subscriptions)
        self.reads.append((position, names))
        self.asked.append((subscriptions, now))
        self.ends.append(until)
        if position and position.startswith("past:"):
            self.clock += self.backfill_takes
            if self.backfill_fails:
                raise SourceError("the past is closed")
            if self.backfill_lasts:
                return Batch([], position, more=True, done=False)
            served = tuple(name for name in names if name not in self.backfill_refuses)
            arrivals = [Arrival(Event("i", "past", {}), served)] if served else []
            return Batch(arrivals, "past:done", more=False, done=True, refused=self.backfill_refuses)
        if self.fails:
            raise SourceError("nothing can be read")
        refused = {name: self.refuses[name] for name in names if name in self.refuses}
        served = tuple(name for name in names if name not in refused)
        numbers = range(self.first if position is None else int(position), self.events)
        by = tuple(suppression.name for suppression in suppressions if suppression.name not in self.unanswered)
        arrivals = [Arrival(Event("i", str(number), {}), served, self.time, by) for number in numbers] if served else []
        warnings = [SourceWarning("too_old", "1 was too old", webhooks=served)] if numbers and served else []
        position = str(self.events)
        state = {"warnings": warnings, "problems": self.problems, "refused": refused, "failed": self.failed}
        state["broken_exceptions"] = self.unanswered
        return Batch(arrivals, position, more=self.more, done=True, **state)  # type: ignore[arg-type]

    def keep(self, webhooks: Collection[str], exceptions: Collection[str]) -> None:
        self.kept = (set(webhooks), set(exceptions))

    def resume(self) -> None:
        self.resumed += 1

    def read_to(self, position: str | None) -> float | None:
        if position is None:
            return float("-inf")
        assert position.startswith("past:") or position.isdigit()
        return NOW - (1000 if position.startswith("past:") else 5)

    def reached(self, position: str, other: str) -> bool:
        assert other.isdigit() or position.startswith("past:")
        return position == "past:done" or (not position.startswith("past:") and int(position) >= int(other))

    def close(self) -> None:
        """Nothing is open."""


class PollerHarness:
    def __init__(self, path: Path) -> None:
        self.source, self.observer = ScriptedSource(), RecordingObserver()
        self.store: SqliteStore = open_store(path)
        clock = lambda: self.source.clock  # noqa: E731
        self.poller = Poller(
            self.source, self.store, self.observer, page_size=10, pause=5.0, known_for=86_400.0, clock=clock
        )

    def serve(self, *names: str, start: float = NOW - 2000) -> None:
        self.poller.serve({name: Subscription(name, QUERY, start) for name in names}, ())

    def pending(self) -> dict[str, int]:
        return dict(self.store.pending_counts())
