"""What is in flight of all webhooks, and which queue may have one more. Pure; no clock."""

from collections.abc import Collection, Mapping

from sew_agent.delivery.queue import Assignment, Queue
from sew_agent.delivery.retry import is_failing

MOST_BYTES = 16 * 2**20
"""Bytes of the large events in flight, about: as JSON. Read, an event of many short fields takes ten times as much."""
_MANY = 16
"""Requests in flight that one webhook may have however few there may be in all."""


class Room:
    """Room for what is in flight: `most` of it, of which one webhook may have `many` or a quarter.

    One whose receiver is not proven has one thing in flight; all failing ones together have at most half of the room. A
    proven one has at most an even part of three quarters where half of it is taken: one whose requests last long,
    failing or not, takes no other's share.
    """

    def __init__(self, most: int, many: int = 0) -> None:
        self._most = most
        self._many = max(many, most // 4)
        self._held: dict[str, int] = {}
        self.taken = 0

    @property
    def is_full(self) -> bool:
        return self.taken >= self._most

    def take(self, webhook: str, amount: int) -> None:
        """Count something as in flight."""
        self._held[webhook] = self._held.get(webhook, 0) + amount
        self.taken += amount

    def give_back(self, webhook: str, amount: int) -> None:
        """Count what was taken as in flight no more."""
        self.taken -= amount
        self._held[webhook] -= amount
        if not self._held[webhook]:
            del self._held[webhook]

    def admits(self, queue: Queue, queues: Mapping[str, Queue]) -> bool:
        """Return whether a queue, one of `queues` by webhook, may have more in flight where there is room."""
        held = self._held.get(queue.route.webhook, 0)
        if not held:
            return queue.receiver.proven or self._may_try_unproven(queue, queues)
        if not queue.receiver.proven or self._most - self.taken <= self._most // 4:
            return False
        return held < self._share()

    def _share(self) -> int:
        """Return how much one webhook may have: a quarter, and an even part where half of all is taken."""
        if self.taken < self._most // 2:
            return self._many
        even = (self._most - self._most // 4) // max(len(self._held), 1)
        return min(self._many, max(even, 1))

    def _may_try_unproven(self, queue: Queue, queues: Mapping[str, Queue]) -> bool:
        """Return whether one more of those that are not proven may be tried: of all, or of the failing ones alone."""
        failed = is_failing(queue.receiver)
        most = max(self._most // 2, 1) if failed else self._most - self._most // 4
        receivers = {name: queues[name].receiver for name in self._held if name in queues}
        return most > sum(
            self._held[name]
            for name, receiver in receivers.items()
            if not receiver.proven and (is_failing(receiver) or not failed)
        )


class InFlight:
    """Deliveries in flight: never more than `most`, and of large events no more than fit into their bytes.

    An event is large where `most` like it would need more bytes than that. Small ones never wait for large ones.
    """

    def __init__(self, most: int) -> None:
        self._large_from = MOST_BYTES // most + 1
        self._requests, self._large = Room(most, _MANY), Room(MOST_BYTES)
        self._of: dict[str, set[int]] = {}
        """Webhook -> its deliveries that are in flight, where there are any."""

    @property
    def count(self) -> int:
        return self._requests.taken

    @property
    def is_full(self) -> bool:
        return self._requests.is_full

    def of(self, webhook: str) -> set[int]:
        """Return what a webhook has in flight; the same set for as long as it has any."""
        return self._of.get(webhook, set())

    def among(self, webhooks: Collection[str]) -> Collection[str]:
        """Return those of the webhooks that have anything in flight."""
        return self._of.keys() & set(webhooks)

    def is_large(self, size: int) -> bool:
        """Return whether an event of so many bytes is large."""
        return size >= self._large_from

    def add(self, assignment: Assignment) -> None:
        """Count an assignment as in flight."""
        webhook = assignment.route.webhook
        assignment.queue.in_flight.add(assignment.delivery.seq)
        self._of[webhook] = assignment.queue.in_flight
        self._requests.take(webhook, 1)
        if self.is_large(assignment.size):
            self._large.take(webhook, assignment.size)

    def remove(self, assignment: Assignment) -> None:
        """Count an assignment as in flight no more."""
        webhook = assignment.route.webhook
        assignment.queue.in_flight.discard(assignment.delivery.seq)
        self._requests.give_back(webhook, 1)
        if self.is_large(assignment.size):
            self._large.give_back(webhook, assignment.size)
        if not assignment.queue.in_flight:
            del self._of[webhook]

    def admits(self, queue: Queue, queues: Mapping[str, Queue]) -> bool:
        """Return whether a queue, one of `queues` by webhook, may have one more in flight."""
        held = len(queue.in_flight)
        return self._requests.admits(queue, queues) and (not held or held < queue.limit.allowed)

    def admits_large(self, queue: Queue, queues: Mapping[str, Queue]) -> bool:
        """Return whether a queue may have one more large event in flight."""
        return not self._large.is_full and self._large.admits(queue, queues)
