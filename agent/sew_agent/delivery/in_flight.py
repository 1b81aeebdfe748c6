"""What is in flight of all webhooks, and which queue may have one more. Pure; no clock."""

from collections.abc import Collection, Mapping

from sew_agent.delivery.queue import Assignment, Queue
from sew_agent.delivery.retry import is_failing

MOST_BYTES = 32 * 2**20
"""Bytes of the events that are in flight, about. Each is in memory twice at least: read, and as the request's body."""
_MANY = 16
"""Requests in flight that one webhook may have however few there may be in all."""


class InFlight:
    """Deliveries in flight, never more than `most`, each in one slot; a large event takes as many as its bytes fill.

    A queue whose receiver is not proven has at most one; all failing ones together have at most half of the slots. A
    proven one has as many as its receiver takes without becoming slower, at most sixteen slots (or a quarter of many),
    and an even part of three quarters where half of all are taken: a queue whose requests last long, failing or not,
    takes no other's share.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._slot = max(MOST_BYTES // most, 1)
        self._of: dict[str, set[int]] = {}
        """Webhook -> its deliveries that are in flight, where there are any."""
        self._slots: dict[str, int] = {}
        """Webhook -> the slots that those take."""
        self._taken = 0
        self.count = 0

    @property
    def is_full(self) -> bool:
        return self._taken >= self._most

    def of(self, webhook: str) -> set[int]:
        """Return what a webhook has in flight; the same set for as long as it has any."""
        return self._of.get(webhook, set())

    def among(self, webhooks: Collection[str]) -> Collection[str]:
        """Return those of the webhooks that have anything in flight."""
        return self._of.keys() & set(webhooks)

    def add(self, assignment: Assignment) -> None:
        """Count an assignment's delivery as in flight."""
        webhook, slots = assignment.route.webhook, self._slots_of(assignment)
        assignment.queue.in_flight.add(assignment.delivery.seq)
        self._of[webhook] = assignment.queue.in_flight
        self._slots[webhook] = self._slots.get(webhook, 0) + slots
        self._taken += slots
        self.count += 1

    def remove(self, assignment: Assignment) -> None:
        """Count an assignment's delivery as in flight no more."""
        webhook, slots = assignment.route.webhook, self._slots_of(assignment)
        assignment.queue.in_flight.discard(assignment.delivery.seq)
        self._slots[webhook] -= slots
        self._taken -= slots
        self.count -= 1
        if not assignment.queue.in_flight:
            del self._of[webhook], self._slots[webhook]

    def admits(self, queue: Queue, queues: Mapping[str, Queue]) -> bool:
        """Return whether a queue, one of `queues` by webhook, may have one more in flight."""
        held = len(queue.in_flight)
        if not held:
            return queue.receiver.proven or self._may_try_unproven(queue, queues)
        if not queue.receiver.proven or self._most - self._taken <= self._most // 4:
            return False
        return held < queue.limit.allowed and self._slots[queue.route.webhook] < self._share()

    def _slots_of(self, assignment: Assignment) -> int:
        """Return the slots that an assignment takes; no event is so large that it takes more than a quarter."""
        return min(1 + sum(one.size for one in assignment.deliveries) // self._slot, max(self._most // 4, 1))

    def _share(self) -> int:
        """Return the slots that one webhook may take: a quarter, and an even part where half of all are taken."""
        many = max(_MANY, self._most // 4)
        if self._taken < self._most // 2:
            return many
        even = (self._most - self._most // 4) // max(len(self._of), 1)
        return min(many, max(even, 1))

    def _may_try_unproven(self, queue: Queue, queues: Mapping[str, Queue]) -> bool:
        """Return whether one more of those that are not proven may be tried: of all, or of the failing ones alone."""
        failed = is_failing(queue.receiver)
        most = max(self._most // 2, 1) if failed else self._most - self._most // 4
        receivers = {name: queues[name].receiver for name in self._of if name in queues}
        return most > sum(
            self._slots[name]
            for name, receiver in receivers.items()
            if not receiver.proven and (is_failing(receiver) or not failed)
        )
