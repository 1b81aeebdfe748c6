"""What is in flight of all webhooks, and which queue may have one more. Pure; no clock."""

from collections.abc import Collection, Mapping

from sew_agent.delivery.queue import Assignment, Queue
from sew_agent.delivery.retry import is_failing

_MANY = 16
"""Requests in flight that one webhook may have however few there may be in all."""


class InFlight:
    """Deliveries in flight, never more than `most`.

    A queue whose receiver is not proven has at most one; all failing ones together have at most half of all. A proven
    one has as many as its receiver takes without becoming slower, at most sixteen (or a quarter of many), and an even
    part of three quarters where half of all are taken: a queue whose requests last long, failing or not, takes no
    other's share.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[str, set[int]] = {}
        """Webhook -> its deliveries that are in flight, where there are any."""
        self.count = 0

    @property
    def is_full(self) -> bool:
        return self.count >= self._most

    def of(self, webhook: str) -> set[int]:
        """Return what a webhook has in flight; the same set for as long as it has any."""
        return self._of.get(webhook, set())

    def among(self, webhooks: Collection[str]) -> Collection[str]:
        """Return those of the webhooks that have anything in flight."""
        return self._of.keys() & set(webhooks)

    def add(self, queue: Queue, seq: int) -> None:
        """Count a delivery of a queue as in flight."""
        queue.in_flight.add(seq)
        self._of[queue.route.webhook] = queue.in_flight
        self.count += 1

    def remove(self, assignment: Assignment) -> None:
        """Count an assignment's delivery as in flight no more."""
        in_flight = assignment.queue.in_flight
        in_flight.discard(assignment.delivery.seq)
        self.count -= 1
        if not in_flight:
            del self._of[assignment.route.webhook]

    def admits(self, queue: Queue, queues: Mapping[str, Queue]) -> bool:
        """Return whether a queue, one of `queues` by webhook, may have one more in flight."""
        held = len(queue.in_flight)
        if not held:
            return queue.receiver.proven or self._may_try_unproven(queue, queues)
        if not queue.receiver.proven or self._most - self.count <= self._most // 4:
            return False
        return held < min(queue.limit.allowed, self._share())

    def _share(self) -> int:
        """Return how many one webhook may have in flight: a quarter, and an even part where half of all are taken."""
        many = max(_MANY, self._most // 4)
        if self.count < self._most // 2:
            return many
        even = (self._most - self._most // 4) // max(len(self._of), 1)
        return min(many, max(even, 1))

    def _may_try_unproven(self, queue: Queue, queues: Mapping[str, Queue]) -> bool:
        """Return whether one more of those that are not proven may be tried: of all, or of the failing ones alone."""
        failed = is_failing(queue.receiver)
        most = max(self._most // 2, 1) if failed else self._most - self._most // 4
        receivers = {name: queues[name].receiver for name in self._of if name in queues}
        return most > sum(
            len(self._of[name])
            for name, receiver in receivers.items()
            if not receiver.proven and (is_failing(receiver) or not failed)
        )
