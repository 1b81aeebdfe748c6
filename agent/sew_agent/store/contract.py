"""The contract of every store: all that the agent promises is a row in it before anything is sent.

Tests for it are in tests/contract/test_store.py. These hold for every method:

- Transactions: a method changes all or nothing, also where the process is killed within it. Methods whose docstring
  says "in batches" commit after each batch, so that other callers have their turn; a batch is all or nothing.
- Durability: a transaction survives the end of the process. After a power failure the last ones may be missing, but
  only in their order: where one is there, all before it are. `begin_attempts` is on disk when it returns.
- Threads: every method may be called from any thread. One agent has the store, or several share it: then the one that
  owns reading writes all but results, and those of a webhook are written by the one that owns its deliveries; the
  store refuses the writes of any other one. Commands in other processes read, drop, replay and purge at the same time,
  and write and drop the rows that ask for replays, beside the readers' positions.
- Errors: StoreError where the store cannot be used, StoreFullError where there is no room; nothing is changed then.
  Room is kept for what makes room: after `enqueue` had none, results, drops, purges and housekeeping still have.
- Time: seconds since the epoch, given by the caller, who has them from `clock`.
- Webhooks are known by name. A name that no method has written yet has no rows: reads answer as for none.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from sew_agent.base.health import Heartbeat
from sew_agent.store.balance import Owned, Shares
from sew_agent.store.records import (
    PAGE_BYTES,
    Counters,
    DeadLetter,
    Delivery,
    DeliveryResult,
    DropReason,
    EnqueueBatch,
    EnqueueResult,
    KeptDelivery,
    LoggedAttempt,
    ManualAction,
    Member,
    Ownership,
    ReceiverState,
    WebhookRecord,
)


class Sharing(Protocol):
    """Part of one agent in a store that several share. Thread-safe."""

    @property
    def me(self) -> int:
        """The agent's number."""

    @property
    def reads(self) -> bool:
        """True while this agent owns reading; it keeps it until its end, or until it releases it."""

    @property
    def held(self) -> Collection[str]:
        """Names of what this agent owns."""

    def shares(self) -> Shares:
        """Return who is alive, and what there is to own."""

    def want(self, webhooks: Collection[str]) -> None:
        """Let these webhooks' deliveries, and no others, be owned from now on. For the agent that reads."""

    def claim(self, wanted: Sequence[Owned]) -> None:
        """Take those of them that nobody alive owns."""

    def release(self, names: Collection[str]) -> None:
        """Give up what this agent owns. Nothing of it may be in flight, and nothing of it is written any more."""

    def say(self, text: str) -> None:
        """Let the others read this."""

    def back_off(self, seconds: float) -> None:
        """Let the others read for so long, if any of them can: this agent could not."""

    def leave(self) -> None:
        """Let the others know that this agent is about to end, and gets nothing more."""


class Store(Protocol):
    """Thread-safe, transactional, durable: see above."""

    # Reading: seen events and positions

    def enqueue(self, batch: EnqueueBatch) -> EnqueueResult:
        """Write new deliveries and the readers' positions in one transaction.

        A delivery is new where its webhook has not seen the event: `(webhook, Event.key)` is unique. What was seen is
        counted and skipped. Debug and suppressed deliveries count as seen and as dropped, and are not kept. Where a
        webhook's share is full (`room` is 1.0 or more), nothing is written and the result names it; debug and
        suppressed deliveries need no room.

        What is enqueued `again` for a replay is new once for it, unless it is pending or dead; it counts as seen once
        more.

        An event stays seen until `known_for` seconds after it was read, or after its own time where that is later (of
        a time in the future, 30 days count at most). See `forget`.
        """

    def seen_by(self, keys: Sequence[bytes]) -> Mapping[bytes, frozenset[str]]:
        """Return for each event's key the webhooks that have seen it; keys that no webhook has seen are left out."""

    def first_used(self, now: float) -> float:
        """Return when this store was first used: `now` at the first call, the same ever after."""

    def positions(self) -> Mapping[str, str]:
        """Return each reader's position."""

    def drop_readers(self, readers: Collection[str]) -> None:
        """Delete readers' positions: they joined another reader."""

    # Delivering

    def due(  # noqa: PLR0913 - one for each bound
        self,
        webhook: str,
        *,
        now: float,
        limit: int,
        skip: Collection[int] = (),
        retries: bool = True,
        longest: float = float("inf"),
        most_bytes: int = PAGE_BYTES,
    ) -> Sequence[Delivery]:
        """Return pending deliveries of a webhook that are due, without those whose `seq` is in `skip`.

        First come deliveries without an attempt, by `seq`, at most `limit` and as many as fit into `most_bytes` of
        payloads, but one at least. Retries follow, by `due`, in the room that is left. Where none is left, one retry
        comes all the same if it is due for at least `longest` seconds. A retry that is due more than `longest` seconds
        ahead is due at once: the clock was ahead when it was written. `retries=False` leaves retries out.
        """

    def next_due(self, webhook: str) -> float | None:
        """Return when a webhook's earliest delivery is due: 0.0 without an attempt, None where nothing is pending."""

    def version(self) -> int:
        """Return a number that differs after another process has changed what was enqueued; own changes leave it."""

    def pending_counts(self) -> Mapping[str, int]:
        """Return the number of pending deliveries of each webhook that has any."""

    def oldest_times(self) -> Mapping[str, float]:
        """Return the oldest event time among each webhook's pending deliveries, where any of them has a time."""

    def waiting(
        self, webhook: str, *, limit: int, after: int = 0, numbers: Sequence[int] | None = None, digest: str = ""
    ) -> Sequence[Delivery]:
        """Return pending deliveries of a webhook by `seq`, whether or not they are due, at most `limit`.

        Those with a `seq` above `after`, or with one of `numbers`, as many as fit into 4 MiB of payloads, but one at
        least; or all that are in a `digest`.
        """

    def begin_attempts(self, deliveries: Sequence[Delivery]) -> None:
        """Mark deliveries as in doubt, on disk before this returns: after a crash their receivers can be asked.

        Each is in its `digest` from then on, until a result says otherwise.
        """

    def record_results(
        self,
        results: Sequence[DeliveryResult],
        receivers: Sequence[ReceiverState],
        shifts: Sequence[tuple[str, float]] = (),
        revived: Sequence[int] = (),
        attempts: Sequence[LoggedAttempt] = (),
    ) -> None:
        """Write results of attempts, and the receivers' states after them, in one transaction.

        A result for a delivery that is no longer pending changes no count: a person dropped it during the attempt.
        `shifts` are webhooks with the seconds during which they were parked: the first attempts of all that was tried
        before move forward by them, since that time does not count against the retry horizon. `revived` are the `seq`
        of dead letters that become pending again with their attempts; one that is not a dead letter is skipped.
        `attempts` are for the log of deliveries, of the same webhooks: they are left out where there is no room.
        """

    def receivers(self) -> Mapping[str, ReceiverState]:
        """Return the state of every receiver that was recorded."""

    # Webhooks

    def webhook_records(self) -> Mapping[str, WebhookRecord]:
        """Return the record of every webhook that is not yet removed by `forget`."""

    def save_webhook(self, record: WebhookRecord, *, shift: float = 0.0) -> None:
        """Insert or replace a record, and move the webhook's first attempts forward by `shift` seconds."""

    def drop(
        self, webhook: str, reason: DropReason, *, older_than: float | None = None, most: int | None = None
    ) -> int:
        """Drop a webhook's pending deliveries, in batches, and return how many.

        Only those read before `older_than`. It ends with those that were there when it began, or with the batch that
        reaches `most`.
        """

    # By hand

    def dead_letters(self, webhook: str | None = None) -> Iterator[DeadLetter]:
        """Iterate over dead letters, oldest delivery first, in batches; nothing is held between two batches."""

    def replay(self, numbers: Sequence[int] | None, webhook: str | None = None) -> int:
        """Make dead letters pending again, in batches, and return how many: same id, no attempts, due at once.

        `numbers=None`: all of them; `webhook`: only that webhook's. Numbers that are no dead letters are skipped. An
        attempt in doubt stays in doubt.
        """

    def purge(self, numbers: Sequence[int] | None, webhook: str | None = None) -> int:
        """Drop dead letters as `purged`, chosen as for `replay`, in batches, and return how many."""

    def hasten(self, numbers: Sequence[int]) -> int:
        """Make pending deliveries due at once that failed before, and return how many there were."""

    # The log of deliveries

    def attempts(self, webhook: str | None = None, *, event: str = "") -> Sequence[LoggedAttempt]:
        """Return attempts of a webhook, or of all, by webhook and then in their order. `event`: of its id alone.

        Each webhook has its newest ones, `attempts_kept` of them and somewhat more: they are kept in rows. The log has
        a tenth of the store: it holds fewer where webhooks are many, and none where all is needed for deliveries or the
        disk is full.
        """

    def kept_deliveries(self, *, number: int | None = None, event: str = "") -> Sequence[KeptDelivery]:
        """Return the delivery with this `seq`, or those of the event with this id, that are pending or dead.

        By event all payloads are looked through.
        """

    def record_action(self, action: ManualAction) -> None:
        """Append what a person did; its number is the next one. The last hundred stay."""

    def manual_actions(self, after: int = 0) -> Sequence[ManualAction]:
        """Return actions whose number is greater than `after`, oldest first."""

    # Counters and room

    def counters(self) -> Sequence[Counters]:
        """Return every webhook's counts, by name, from one consistent read."""

    def room(self) -> Mapping[str, float]:
        """Return how full each webhook's share of the store is; from 1.0 on nothing is enqueued for it.

        A delivery fills its event's payload and 300 bytes, pending or dead; a seen event 64 bytes, of the whole. The
        share is an even part of what the others leave, at least 5 % of the store while it is less than 96 % full; the
        last 4 % are divided evenly, whatever others fill. A webhook that is gone for good has no share, unless it
        still fills some bytes.
        """

    # Housekeeping

    def forget(self, now: float) -> int:
        """Remove, in batches, what is no longer needed, and return how many seen events were forgotten.

        - Seen events whose time is over, but not while the event is pending or dead for any webhook. Where the store is
          more than 80 % full, and seen events fill more than 25 % of it, those that are older than ten minutes.
        - Webhooks that are gone for good (`state` is "") for more than ten minutes and hold no delivery, once their
          attempts are trimmed. One that comes back under the same name still has what it has seen.
        - Payloads of deliveries that ended.

        One call does a bounded amount of work; the next call goes on.
        """

    def expire(self, before: float) -> int:
        """Drop dead letters that died before this moment as `expired`, in batches, and return how many at this call."""

    def trim_attempts(self, now: float, kept_for: float) -> int:
        """Remove, in batches, what is too much in the log of deliveries; return 0 where nothing was.

        That is what is older than `kept_for` seconds, what is more than it may hold, and all of a webhook that is gone
        for good for ten minutes.
        """

    def shrink(self) -> None:
        """Return free room to the disk, in batches, where there is much of it."""

    def ownership(self) -> Ownership:
        """Return whether this process, which opened the store as the agent, may still send. It never waits."""

    def sharing(self) -> Sharing | None:
        """Return this agent's part where several share the store; None where all is this process' own."""

    def members(self) -> Sequence[Member]:
        """Return the agents that are alive, by name; none where a store cannot be shared."""

    def clock(self) -> float:
        """Return seconds since the epoch, the same for all agents that share the store. It never waits."""

    def heartbeats(self) -> Mapping[str, Heartbeat]:
        """Return the heartbeats of the store's own threads, by their names."""

    def close(self) -> None:
        """Flush and release everything. Later calls raise StoreError; another process may open the store."""
