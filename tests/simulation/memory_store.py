"""A store in memory that holds what a dispatcher needs, as sew_agent.store.records.Store says."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Any

from kubectl_sew.event import Event
from sew_agent.store.records import PAGE_BYTES, Delivery, DeliveryResult, DeliveryState, LoggedAttempt, ReceiverState


class MemoryStore:
    """A store whose `pending`, `dead` and `delivered` are deliveries by `seq`."""

    def __init__(self) -> None:
        self.pending: dict[int, Delivery] = {}
        self.dead: dict[int, Delivery] = {}
        self.delivered: dict[int, Delivery] = {}
        self.attempts: list[LoggedAttempt] = []
        self._queues: dict[str, ReceiverState] = {}
        self._count = 0

    def enqueue(self, webhook: str, now: float, document: Mapping[str, Any], size: int) -> int:
        """Enqueue one more delivery, as if its event had so many bytes, and return its `seq`."""
        self._count += 1
        event = Event("", str(self._count), document)
        self.pending[self._count] = Delivery(self._count, webhook, str(self._count), event, now, size=size)
        return self._count

    def due(
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
        mine = [
            delivery for delivery in self.pending.values() if delivery.webhook == webhook and delivery.seq not in skip
        ]
        untried = [delivery for delivery in mine if not delivery.attempts]
        fresh = _within(sorted(untried, key=lambda delivery: delivery.seq)[:limit], most_bytes)
        crowded = len(fresh) == limit or len(fresh) < len(untried)
        until, far = (now - longest, float("inf")) if crowded else (now, now + longest)
        tried = sorted((delivery for delivery in mine if delivery.attempts), key=lambda delivery: delivery.due)
        due = [delivery for delivery in tried if delivery.due <= until or delivery.due > far] if retries else []
        if crowded:
            return [*fresh, *due[:1]]
        page = _within([*fresh, *due[: limit - len(fresh)]], most_bytes)
        late = [delivery for delivery in due[:1] if delivery.due <= now - longest and len(page) == len(fresh)]
        return [*page, *late]

    def waiting(
        self, webhook: str, *, limit: int, after: int = 0, numbers: Sequence[int] | None = None, digest: str = ""
    ) -> Sequence[Delivery]:
        mine = sorted(self.pending.values(), key=lambda delivery: delivery.seq)
        return [
            one
            for one in mine
            if one.webhook == webhook
            and (one.digest == digest if digest else one.seq > after if numbers is None else one.seq in numbers)
        ][:limit]

    def next_due(self, webhook: str) -> float | None:
        mine = [delivery for delivery in self.pending.values() if delivery.webhook == webhook]
        return min((delivery.due if delivery.attempts else 0.0 for delivery in mine), default=None)

    def pending_counts(self) -> Mapping[str, int]:
        return Counter(delivery.webhook for delivery in self.pending.values())

    def sharing(self) -> None:
        """Return that nobody shares it."""

    def version(self) -> int:
        return 0

    def begin_attempts(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.pending[delivery.seq] = self.pending[delivery.seq]._replace(in_doubt=True, digest=delivery.digest)

    def record_results(
        self,
        results: Sequence[DeliveryResult],
        queues: Sequence[ReceiverState],
        shifts: Sequence[tuple[str, float]] = (),
        revived: Sequence[int] = (),
        attempts: Sequence[LoggedAttempt] = (),
    ) -> None:
        self.attempts += attempts
        for name, seconds in shifts:
            mine = [delivery for delivery in self.pending.values() if delivery.webhook == name and delivery.attempts]
            for delivery in mine:
                self.pending[delivery.seq] = delivery._replace(first_attempt=(delivery.first_attempt or 0.0) + seconds)
        for made in results:
            self._record_results(made)
        for seq in revived:
            if seq in self.dead:
                self.pending[seq] = self.dead.pop(seq)
        self._queues |= {receiver.webhook: receiver for receiver in queues}

    def _record_results(self, made: DeliveryResult) -> None:
        before = self.pending.pop(made.delivery.seq)
        first = made.at if before.first_attempt is None else before.first_attempt
        after = before._replace(attempts=made.attempts, first_attempt=first, due=made.due, in_doubt=made.in_doubt)
        after = after._replace(digest=made.digest)
        {DeliveryState.PENDING: self.pending, DeliveryState.DEAD: self.dead, DeliveryState.DELIVERED: self.delivered}[
            made.state
        ][after.seq] = after

    def receivers(self) -> Mapping[str, ReceiverState]:
        return dict(self._queues)


def _within(deliveries: Sequence[Delivery], most_bytes: int) -> Sequence[Delivery]:
    """Return as many as fit into so many bytes, one at least."""
    sizes = accumulate(delivery.size for delivery in deliveries)
    return [
        delivery
        for place, (delivery, size) in enumerate(zip(deliveries, sizes, strict=True))
        if not place or size <= most_bytes
    ]
