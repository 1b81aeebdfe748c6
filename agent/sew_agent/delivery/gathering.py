"""Gathering of one webhook's events into digests: what goes next, and what waits for what. No clock, and no I/O.

A group that had no message within the webhook's duration sends what waits: one event as any other webhook does, several
as a digest. What follows waits until the duration after that message is over, or until it fills a digest. A group has
one message in flight. What may have arrived is sent again as it was, before the group sends anything new.

All is known from the store's rows, so a restart reads them and goes on; only when a group last had a message is not
kept. After a restart each group may have one message sooner.
"""

import heapq
from bisect import insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from kubectl_sew.consumers.digest_settings import DigestSettings, group_key
from kubectl_sew.event_maps.readable import EventMaps
from sew_agent.store.records import Delivery

MOST = 1_000
"""Events in one digest: so many cost the one thread that delivers about a tenth of a second."""
PAGE = 100
"""Deliveries that are read at once to see which groups they belong to."""
AHEAD = 20_000
"""Deliveries of one webhook that are known ahead."""
STUCK = 5
"""Failed attempts after which a digest is sent in halves, and a group no longer waits for one event."""
_NEVER = float("-inf")
_ALONE = "alone-"
"""Begins the name of a group of one delivery that is not gathered."""


@dataclass(frozen=True, slots=True)
class Message:
    """Deliveries that go together, by `seq`, as the digest of this id; "" for what was never sent as one.

    Of a digest only its id counts: not all of its deliveries may be known yet.
    """

    group: str
    numbers: tuple[int, ...]
    digest: str = ""
    attempts: int = 0
    due: float = 0.0

    @property
    def alone(self) -> bool:
        """Return whether it is one delivery that is not gathered, in a group of its own."""
        return self.group.startswith(_ALONE)


@dataclass(slots=True)
class _Group:
    waiting: list[tuple[int, int]] = field(default_factory=list)
    """Attempts and `seq` of what is free to go with any others: what failed most often comes last."""
    resends: list[Message] = field(default_factory=list)
    """What may have arrived, or goes alone, by when it is due."""
    most: int = MOST
    """Events in its next digest: fewer as long as any of one that was refused wait."""
    halves: set[int] = field(default_factory=set)
    """What waits of a digest that was refused, by `seq`: digests with any of them do not wait for the duration."""
    accepted_at: float = _NEVER
    in_flight: bool = False
    not_before: float = _NEVER
    """Time before which what was tried does not go."""
    queued_at: float | None = None
    """Time under which it is queued."""
    resends_queued_at: float | None = None
    """Time under which its resends are queued."""

    @property
    def blocked(self) -> bool:
        stuck = all(message.attempts >= STUCK for message in self.resends)
        return self.in_flight or not self.waiting or not stuck

    def ready_at(self, within: float) -> float:
        """Return when it may send: halves do not wait for its time."""
        tried = [attempts for attempts, number in self.waiting[: self.most] if number in self.halves]
        if not tried or len(self.waiting) < self.most:
            return self.in_time(within)
        halves_at = self.not_before if min(tried) else _NEVER
        return min(self.in_time(within), max(self.accepted_at, halves_at))

    def in_time(self, within: float) -> float:
        """Return when it may send what holds no half: a whole digest at once, else after its time."""
        full = len(self.waiting) >= self.most == MOST
        return max(self.accepted_at if full else self.accepted_at + within, _NEVER if self.fresh else self.not_before)

    @property
    def fresh(self) -> bool:
        """Return whether any of what waits was never tried."""
        return bool(self.waiting) and not self.waiting[0][0]

    def first(self, now: float, *, retries: bool) -> tuple[int, ...]:
        """Return what may go next."""
        retries = retries and self.not_before <= now
        return tuple(number for attempts, number in self.waiting[: self.most] if retries or not attempts)

    @property
    def is_idle(self) -> bool:
        """Return whether it holds nothing but the time of its last message."""
        return not (self.waiting or self.resends or self.in_flight or self.halves)


class Gathering:
    """Groups of one webhook. `in_flight`: deliveries that are in flight, of this and of an earlier one."""

    def __init__(self, settings: DigestSettings, maps: EventMaps, in_flight: set[int]) -> None:
        self.settings = settings
        self.maps = maps
        self.in_flight = in_flight
        self._within = settings.within
        self._groups: dict[str, _Group] = {}
        self._queue: list[tuple[float, int, str]] = []
        """Groups by the time at which they may send."""
        self._resends: list[tuple[float, str]] = []
        """Groups by the time at which the first of their resends is due."""
        self._known: set[int] = set()
        self._scanned = 0
        self._returned: set[int] = set()
        """What failed, and is to be read again."""
        self._resent = False
        """True where the last message was such a one: then it is the turn of a group, if any may send."""
        self.pages = 0
        """Full pages that were read."""
        self._tidy_at = 0.0

    @property
    def after(self) -> int:
        """Return the `seq` behind which deliveries are not known."""
        if not self._known and not self.in_flight:
            self._scanned = 0
        return self._scanned

    @property
    def has_room(self) -> bool:
        return len(self._known) < AHEAD

    def looks_on(self) -> bool:
        """Return whether another full page is read before anything begins: as many as fill two digests."""
        self.pages += 1
        return self.has_room and self.pages % (2 * MOST // PAGE) != 0

    @property
    def is_empty(self) -> bool:
        return not (self._known or self._returned or self.in_flight)

    @property
    def returned(self) -> Sequence[int]:
        """Return what failed, and is to be read again now."""
        return sorted(self._returned - self.in_flight)

    def scan(self, page: Sequence[Delivery], skip: Collection[int], longest: float, now: float) -> None:
        """Learn of the deliveries behind `after`."""
        if page:
            self._scanned = max(self._scanned, page[-1].seq)
        self.learn([delivery for delivery in page if delivery.seq not in skip], longest, now)

    def learn(self, deliveries: Sequence[Delivery], longest: float, now: float) -> None:
        """Learn of deliveries as the store has them. `longest`: seconds that one waits at most."""
        digests: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            self._returned.discard(delivery.seq)
            if delivery.seq in self._known or delivery.seq in self.in_flight:
                continue
            self._known.add(delivery.seq)
            if delivery.digest:
                digests.setdefault(delivery.digest, []).append(delivery)
            elif delivery.again:
                self._resend(f"{_ALONE}{delivery.seq}", [delivery], longest, now)
            elif delivery.in_doubt:
                self._resend(self._group_of(delivery), [delivery], longest, now)
            else:
                self._wait(self._group_of(delivery), delivery, longest, now)
        for members in digests.values():
            self._resend(self._group_of(members[0]), members, longest, now)

    def forget_returned(self, numbers: Collection[int]) -> None:
        """Take it that these were read again: those that were not there have ended."""
        self._returned.difference_update(numbers)

    def next(self, now: float, longest: float, *, retries: bool) -> Message | float:
        """Return what goes next, or the seconds until something may. `retries`: what was tried may go now."""
        first = self._first_resend(now) if retries else float("inf")
        fresh = self._ready(now, retries=retries)
        if isinstance(fresh, Message):
            late = isinstance(first, Message) and first.due <= now - longest
            return first if isinstance(first, Message) and late and not self._resent else fresh
        return first if isinstance(first, Message) else min(first, fresh)

    def take(self, message: Message, members: Sequence[Delivery]) -> None:
        """Let a message begin. `members`: those of it that the store still has, and that go now."""
        group, last = self._groups[message.group], members[-1].seq if members else max(message.numbers)
        self._resent = message in group.resends
        if self._resent:
            group.resends.remove(message)
            gone = (*message.numbers, *(member.seq for member in members))
        else:
            gone = tuple(number for number in message.numbers if number <= last)
            left = set(gone)
            group.waiting = [each for each in group.waiting if each[1] not in left]
        self._known.difference_update(gone)
        group.halves.difference_update(gone)
        if not group.halves:
            group.most = MOST
        if members:
            group.in_flight = True
            self.in_flight.update(member.seq for member in members)
        else:
            self._put(message.group)

    def accepted(self, message: Message, now: float) -> None:
        """Note that a message was accepted: its group is not quiet from now on."""
        group = self._groups.setdefault(message.group, _Group())
        group.accepted_at = now
        group.most = min(2 * group.most, MOST)
        if group.most == MOST:
            group.halves.clear()  # a person may have dropped the rest of them

    def halve(self, message: Message, numbers: Collection[int]) -> None:
        """Let what is in this digest go in digests of half the size: the receiver has refused it for good."""
        group = self._groups.setdefault(message.group, _Group())
        group.most = max(len(numbers) // 2, 1)
        group.halves.update(numbers)

    def read_again(self, numbers: Collection[int]) -> None:
        """Note that these are pending again."""
        self._returned.update(numbers)

    def end(self, message: Message, numbers: Collection[int], now: float) -> None:
        """Let a message's group go on: its result is in the store."""
        self.in_flight.difference_update(numbers)
        if group := self._groups.get(message.group):
            group.in_flight = False
            self._put(message.group)
            if message.alone and group.is_idle:
                del self._groups[message.group]
        if now >= self._tidy_at:
            self._tidy_at, quiet = now + self._within, now - self._within
            idle = [key for key, each in self._groups.items() if each.is_idle and each.accepted_at <= quiet]
            for key in idle:
                del self._groups[key]

    def wait_no_longer(self) -> None:
        """Let each group send what waits as soon as it may: no event follows."""
        self._within = 0.0
        for key in self._groups:
            self._put(key)

    def reset(self) -> None:
        """Forget what waits: the store is read anew."""
        for group in self._groups.values():
            group.waiting, group.resends, group.not_before = [], [], _NEVER
            group.queued_at = group.resends_queued_at = None
        self._queue, self._resends, self._scanned = [], [], 0
        self._known.clear()
        self._returned.clear()

    def shift(self, seconds: float) -> None:
        """Move its moments with a clock that was set."""
        for key, group in self._groups.items():
            group.accepted_at += seconds
            group.not_before += seconds
            group.resends = [replace(message, due=message.due + seconds) for message in group.resends]
            self._put(key)

    def _group_of(self, delivery: Delivery) -> str:
        if not self.settings.group_by:
            return ""
        try:
            return group_key(self.maps.read(delivery.event), self.settings.group_by)
        except Exception:  # noqa: BLE001 - a mistake of ours costs an event its group, and ends no thread
            return ""

    def _wait(self, key: str, delivery: Delivery, longest: float, now: float) -> None:
        group = self._groups.setdefault(key, _Group())
        insort(group.waiting, (delivery.attempts, delivery.seq))
        if delivery.attempts:
            group.not_before = max(group.not_before, _due(delivery, longest, now))
        self._put(key)

    def _resend(self, key: str, members: Sequence[Delivery], longest: float, now: float) -> None:
        first = members[0]
        group = self._groups.setdefault(key, _Group())
        for known in [message for message in group.resends if first.digest and message.digest == first.digest]:
            group.resends.remove(known)  # the rest of it was on another page
            members = [*members, *[first._replace(seq=number) for number in known.numbers]]
        numbers = tuple(sorted(member.seq for member in members))
        due = min(_due(member, longest, now) for member in members)
        message = Message(key, numbers, first.digest, max(member.attempts for member in members), due)
        insort(group.resends, message, key=lambda each: each.due)
        self._put(key)

    def _first_resend(self, now: float) -> Message | float:
        """Return what is due for the longest time, or the seconds until something is."""
        while self._resends:
            due, key = self._resends[0]
            group = self._groups.get(key)
            if group and group.resends_queued_at == due:
                if group.resends and not group.in_flight:
                    return group.resends[0] if due <= now else due - now
                group.resends_queued_at = None  # the end of what is in flight queues it again
            heapq.heappop(self._resends)
        return float("inf")

    def _ready(self, now: float, *, retries: bool) -> Message | float:
        """Return the group that may send for the longest time, or the seconds until one may.

        Where no more can be known ahead, nothing waits for its time: else a quiet group's first event would.
        """
        held, found = list[str](), None
        while self._queue and (self._queue[0][0] <= now or not self.has_room):
            at, _, key = heapq.heappop(self._queue)
            group = self._groups.get(key)
            if group is None or group.queued_at != at:
                continue
            group.queued_at = None
            if group.blocked:
                continue
            held.append(key)
            numbers = group.first(now, retries=retries)
            early = self.has_room and now < group.in_time(self._within) and group.halves.isdisjoint(numbers)
            if numbers and not early:
                found = Message(key, numbers)
                break
        wait = self._queue[0][0] - now if self._queue else float("inf")
        for key in held:
            self._put(key)
        return found or max(wait, 0.0)

    def _put(self, key: str) -> None:
        """Queue a group under the times at which it may send, where it has anything to send."""
        group = self._groups[key]
        if group.resends and not group.in_flight and (due := group.resends[0].due) != group.resends_queued_at:
            group.resends_queued_at = due
            heapq.heappush(self._resends, (due, key))
        if not group.blocked and (at := group.ready_at(self._within)) != group.queued_at:
            group.queued_at = at
            heapq.heappush(self._queue, (at, group.waiting[0][1], key))


def _due(delivery: Delivery, longest: float, now: float) -> float:
    """Return when a delivery is due. What is due far ahead was written by a clock that was ahead."""
    if delivery.again and not delivery.attempts:
        return now  # behind what waits already
    return delivery.due if delivery.due <= now + longest else now
