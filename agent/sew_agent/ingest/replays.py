"""Replays of past windows, a page of one of them in each poll that has nothing else to read.

A replay reads with a position of its own, which moves in the transaction that enqueues its events. The next page
follows when all of the last one was tried, and is as large as the receiver takes within seconds: a live event waits
behind no more than that.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from kubectl_sew.query import Node, QueryError, parse
from kubectl_sew.query.ast import conjunction
from sew_agent.ingest.progress import FULL
from sew_agent.ingest.replay import (
    Phase,
    Replay,
    ReplayProgress,
    ReplayRequest,
    describe,
    orphans_in,
    progress_row,
    replays_in,
    rows_of,
)
from sew_agent.ingest.replay_pace import ReplayPace
from sew_agent.ingest.source import Arrival, Batch, EventSource, SourceError, Subscription, Suppression
from sew_agent.store.contract import Store
from sew_agent.store.records import EnqueueBatch, EnqueueResult, NewDelivery

_LOOK_EVERY = 2.0
"""Seconds between two looks for what persons ask for, and between two reports of a count."""
NOT_READ = "events are not read for it now: it is disabled, deleted, or not accepted"
IN_DEBUG = "it is in state Debug, where nothing is sent"
FAILING = "its receiver takes nothing now"
_STREAM = "standard input cannot be read again"
_TOO_SLOW = "its query is not answered in time"


@dataclass(frozen=True, slots=True)
class Serving:
    """What is read in this poll. `shared`: position of the shared reader, where a file's replay ends."""

    subscriptions: Mapping[str, Subscription]
    debug: Collection[str]
    suppressions: Sequence[Suppression]
    shared: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """`done`: none can go on now. `more`: one can go on at once."""

    done: bool
    more: bool


class ReplayObserver(Protocol):
    """Receives what replays do, after it is in the store."""

    def enqueued(self, arrivals: Sequence[Arrival], result: EnqueueResult) -> None:
        """Report events that were enqueued."""

    def replaying(self, webhook: str, message: str) -> None:
        """Report that a replay began or ended."""


@dataclass(slots=True)
class _Kept:
    """What is known of a replay beside the store; moments in monotonic seconds."""

    pace: ReplayPace
    query: tuple[Node, Node] | None = None
    """The webhook's query, and the one that is asked for it."""
    told_at: float = float("-inf")
    """When its count was last written."""
    held_until: float = float("-inf")
    last_turn: float = float("-inf")


class Replays:
    """Not thread-safe. Methods raise StoreError; what the source cannot answer is tried again later."""

    def __init__(  # noqa: PLR0913 - a reader's parts, and its edges
        self,
        source: EventSource,
        store: Store,
        observer: ReplayObserver,
        *,
        page_size: int,
        pause: float,
        known_for: float,
        clock: Callable[[], float],
    ) -> None:
        """`pause`: seconds until one that could not go on is tried again; `clock` is monotonic, in seconds.

        `known_for`: seconds for which the store remembers an event, for persons to know.
        """
        self._source = source
        self._store = store
        self._observer = observer
        self._page_size = page_size
        self._pause = pause
        self._known_for = known_for
        self._clock = clock
        self._replays: dict[str, Replay] = {}
        self._kept: dict[str, _Kept] = {}
        self._next_look = float("-inf")

    def resume(self) -> None:
        """Go on where another agent has replayed to."""
        self._replays.clear()
        self._next_look = float("-inf")

    def forget(self, webhooks: Collection[str]) -> None:
        """Drop the replays of these webhooks."""
        there = replays_in(self._store.positions()).keys() & set(webhooks) if webhooks else ()
        if there:
            self._store.drop_readers([row for name in there for row in rows_of(name)])
            self._next_look = float("-inf")

    def poll(self, serving: Serving, now: float) -> Replayed:
        """Read a page of the replay that waited longest of those that can go on. `now` in epoch seconds."""
        if self._clock() >= self._next_look:
            self._look()
        waiting = False
        for name in sorted(self._replays, key=lambda name: self._kept[name].last_turn):
            went_on = None if self._replays[name].ended else self._step(name, serving, now)
            if went_on:
                return Replayed(done=False, more=True)
            waiting = waiting or went_on is False
        return Replayed(done=not waiting, more=False)

    def _look(self) -> None:
        """Read what persons ask for, and drop what they have withdrawn."""
        rows = self._store.positions()
        if orphans := orphans_in(rows):
            self._store.drop_readers(orphans)
        found = replays_in(rows)
        for name, replay in found.items():
            before = self._replays.get(name)
            if before is None or before.request.id != replay.request.id:
                self._kept[name] = _Kept(ReplayPace(self._page_size))
                if replay.progress and replay.progress.phase is Phase.COUNTING:  # a count that was cut off begins anew
                    found[name] = replace(replay, progress=None)
            else:
                found[name] = replace(replay, progress=before.progress)
        self._replays = found
        self._kept = {name: self._kept[name] for name in found}
        self._next_look = self._clock() + _LOOK_EVERY

    def _step(self, name: str, serving: Serving, now: float) -> bool | None:
        """Go on with a replay: True where it did, False where it soon can, None where nobody knows when."""
        kept, request = self._kept[name], self._replays[name].request
        progress = self._replays[name].progress or self._begin(request, serving)
        if progress.phase is Phase.COUNTED:
            if not request.confirmed:
                return None
            progress = replace(progress, phase=Phase.SENDING, position=self._window(request))
            self._write(name, progress)
            self._observer.replaying(name, describe(self._replays[name]))
        if self._clock() < kept.held_until:
            return None
        if why := self._hindrance(name, progress, serving, now):
            self._hold(name, progress, why)
            return None
        if progress.phase is Phase.SENDING and not self._was_tried(name):
            return False
        kept.last_turn = self._clock()
        return self._read(name, progress, serving, now)

    def _begin(self, request: ReplayRequest, serving: Serving) -> ReplayProgress:
        return ReplayProgress(request.id, self._window(request), serving.shared, known_for=self._known_for)

    def _window(self, request: ReplayRequest) -> str:
        return self._source.window(request.since, request.until)

    def _hindrance(self, name: str, progress: ReplayProgress, serving: Serving, now: float) -> str:
        """Return why a replay cannot go on now; "" where it can."""
        if name not in serving.subscriptions:
            return NOT_READ
        if progress.phase is Phase.COUNTING:
            return ""
        if name in serving.debug:
            return IN_DEBUG
        receiver = self._store.receivers().get(name)
        fails = receiver and (receiver.parked or receiver.failures or receiver.held_until > now)
        # where nothing waits that tries it again, a page of the replay does
        return FAILING if fails and name in self._store.pending_counts() else ""

    def _was_tried(self, name: str) -> bool:
        """Return whether nothing of the webhook waits that was never tried."""
        if self._store.next_due(name) == 0.0:
            return False
        self._kept[name].pace.tried(self._clock())
        return True

    def _read(self, name: str, progress: ReplayProgress, serving: Serving, now: float) -> bool | None:
        """Read a page, and count or enqueue it."""
        request, counting = self._replays[name].request, progress.phase is Phase.COUNTING
        if not self._source.seekable:
            return self._fail(name, progress, _STREAM)
        try:
            query = self._query(name, request, serving.subscriptions[name].query)
            batch = self._source.read(
                [Subscription(name, query, again=counting or request.again)],
                progress.position or None,
                now=now,
                limit=self._page_size if counting else self._kept[name].pace.limit,
                suppressions=serving.suppressions,
            )
        except QueryError as error:
            return self._fail(name, progress, f"its query: {error.errors[0].message}")
        except SourceError as error:
            self._hold(name, progress, str(error))
            return None
        why = batch.refused.get(name) or (_TOO_SLOW if batch.deferred else "")
        if why and counting:
            return self._fail(name, progress, why)
        if why:
            self._hold(name, progress, why)
            return None
        return self._take(name, progress, batch, serving, now)

    def _query(self, name: str, request: ReplayRequest, own: Node) -> Node:
        """Return the webhook's query and the replay's, the same object while they are."""
        kept = self._kept[name]
        if kept.query is None or kept.query[0] is not own:
            kept.query = (own, conjunction([own, parse(request.query)]) if request.query else own)
        return kept.query[1]

    def _take(self, name: str, progress: ReplayProgress, batch: Batch, serving: Serving, now: float) -> bool | None:
        """Count or enqueue a page."""
        request, subscription = self._replays[name].request, serving.subscriptions[name]
        arrivals = [arrival for arrival in batch.arrivals if request.holds(arrival.time)]
        wanted = [one for one in arrivals if not one.suppressed_by and not subscription.has_ended(one.time)]
        new = wanted if request.again and progress.phase is Phase.SENDING else self._unseen(name, wanted)
        ended = self._source.reached(batch.position, progress.goal)
        after = replace(progress, position=batch.position, why="")
        if progress.phase is Phase.COUNTING:
            self._count(name, after, len(arrivals), len(new), ended=ended)
            return batch.more or ended
        if self._kept[name].pace.is_too_much(len(new)):
            return True  # the same again, in a smaller page
        after = replace(after, read=after.read + len(arrivals), phase=Phase.DONE if ended else Phase.SENDING)
        return self._enqueue(name, after, new, now) and (batch.more or ended)

    def _unseen(self, name: str, arrivals: Sequence[Arrival]) -> list[Arrival]:
        seen = self._store.seen_by([arrival.event.key for arrival in arrivals])
        return [arrival for arrival in arrivals if name not in seen.get(arrival.event.key, ())]

    def _count(self, name: str, progress: ReplayProgress, matching: int, new: int, *, ended: bool) -> None:
        """Count a page in memory, and write now and then how far it is."""
        progress = replace(
            progress,
            phase=Phase.COUNTED if ended else Phase.COUNTING,
            matching=progress.matching + matching,
            left_out=progress.left_out + matching - new,
        )
        kept, clock = self._kept[name], self._clock()
        if ended or clock >= kept.told_at + _LOOK_EVERY:
            kept.told_at = clock
            self._write(name, progress)
        self._set(name, progress)

    def _enqueue(self, name: str, progress: ReplayProgress, arrivals: Sequence[Arrival], now: float) -> bool | None:
        """Enqueue a page with the position behind it."""
        request, count = self._replays[name].request, len(arrivals)
        again = request.id if request.again else ""
        deliveries = [NewDelivery(arrival.event, (name,), time=arrival.time, again=again) for arrival in arrivals]
        after = replace(progress, enqueued=progress.enqueued + count)
        result = self._store.enqueue(EnqueueBatch(deliveries, {progress_row(name): after.dump()}, now))
        if result.full:
            self._hold(name, self._replays[name].progress or progress, FULL)
            return None
        self._set(name, after)
        self._kept[name].pace.enqueued(count, self._clock())
        if result.new < count:  # what waits or is dead is not sent again
            self._write(name, replace(after, enqueued=progress.enqueued + result.new))
        if count:
            self._observer.enqueued(arrivals, result)
        if after.ended:
            self._observer.replaying(name, describe(self._replays[name]))
        return True

    def _hold(self, name: str, progress: ReplayProgress, why: str) -> None:
        """Try a replay again after a while, and say why it waits."""
        self._kept[name].held_until = self._clock() + self._pause
        if progress.why != why:
            self._write(name, replace(progress, why=why))

    def _fail(self, name: str, progress: ReplayProgress, why: str) -> bool:
        self._write(name, replace(progress, phase=Phase.FAILED, why=why))
        self._observer.replaying(name, describe(self._replays[name]))
        return True

    def _write(self, name: str, progress: ReplayProgress) -> None:
        self._store.enqueue(EnqueueBatch((), {progress_row(name): progress.dump()}, 0.0))
        self._set(name, progress)

    def _set(self, name: str, progress: ReplayProgress) -> None:
        self._replays[name] = replace(self._replays[name], progress=progress)
