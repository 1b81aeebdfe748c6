"""What a queue with digests reads ahead, begins, and makes of an outcome; its I/O is the store's alone."""

from collections.abc import Sequence

from kubectl_sew.consumers.base import Outcome, Verdict
from sew_agent.delivery.digests import Bundle, bundle, decide_digest
from sew_agent.delivery.gathering import MOST, PAGE, Gathering, Message
from sew_agent.delivery.queue import Assignment, Queue
from sew_agent.delivery.retry import Decision, Policy, Staleness, decide
from sew_agent.store.contract import Store
from sew_agent.store.records import PAGE_BYTES, Delivery, DeliveryResult, ReceiverState

SCAN_PAUSE = 0.001
"""Seconds between two pages of what is to be gathered: others have their turn."""
_REST_FOR_EACH, _REST_FOR_BYTE = 0.001, 3e-7
"""Seconds that a webhook rests for each event of a digest, and for each byte: that takes a tenth of it to make."""


def look_ahead(
    store: Store, queue: Queue, gathering: Gathering, now: float, longest: float, *, retries: bool
) -> float | None:
    """Learn of one page more of what waits; return the seconds until something of it may go, None for nothing there.

    `longest`: seconds that a retry waits at most. `retries`: what was tried may go now. Raises StoreError.
    """
    name = queue.route.webhook
    if returned := gathering.returned[:MOST]:
        page = store.waiting(name, numbers=returned, limit=MOST)
        gathering.learn(page, longest, now)
        last = page[-1].seq if page else returned[-1]
        gathering.forget_returned([number for number in returned if number <= last])
    if more := queue.reads_ahead:
        page = store.waiting(name, after=gathering.after, limit=PAGE)
        gathering.scan(page, queue.in_flight, longest, now)
        queue.empty = not page
        if _is_full(page) and gathering.looks_on():
            return SCAN_PAUSE  # else a digest would hold what is known so far, although more is there
    found = gathering.next(now, longest, retries=retries)
    if isinstance(found, Message):
        return 0.0
    if more or gathering.returned:
        return SCAN_PAUSE
    if gathering.is_empty:
        return None
    return max(found, SCAN_PAUSE)


def _is_full(page: Sequence[Delivery]) -> bool:
    """Return whether more may follow a page. One that ends by its bytes holds a part of them, or one large event."""
    return len(page) == PAGE or _bytes(page) >= PAGE_BYTES // 4


def _bytes(deliveries: Sequence[Delivery]) -> int:
    return sum(delivery.size for delivery in deliveries)


def take_next(
    store: Store, queue: Queue, gathering: Gathering, now: float, longest: float, *, retries: bool
) -> tuple[Delivery, Message, Bundle | None] | None:
    """Take what begins now: the delivery that stands for it, and its digest; None where all of it has ended meanwhile.

    Raises StoreError, and takes nothing then.
    """
    found = gathering.next(now, longest, retries=retries)
    if not isinstance(found, Message):
        return None
    members = store.waiting(queue.route.webhook, numbers=found.numbers, digest=found.digest, limit=MOST)
    gathering.take(found, members)
    if not members:
        return None
    if not found.digest and len(members) == 1:
        return members[0], found, None
    queue.rests_until = now + _REST_FOR_EACH * len(members) + _REST_FOR_BYTE * _bytes(members)
    lead, together = bundle(members, gathering.settings, gathering.maps)
    return lead, found, together


def judge(
    assignment: Assignment, receiver: ReceiverState, outcome: Outcome, policy: Policy, now: float, staleness: Staleness
) -> tuple[Decision, Sequence[DeliveryResult]]:
    """Return the changes by an outcome, and the result of each delivery; tell what gathers them."""
    delivery, gathering, message = assignment.delivery, assignment.gathering, assignment.message
    if gathering and message and outcome.verdict is Verdict.DELIVERED:
        gathering.accepted(message, now)
    if assignment.bundle is None:
        made = decide(outcome, delivery, receiver, policy, now=now, staleness=staleness)
        return made, [made.result]
    members = assignment.bundle.members
    made, results, halved = decide_digest(outcome, delivery, members, receiver, policy, now=now, staleness=staleness)
    if halved and gathering and message:
        gathering.halve(message, [member.seq for member in members])
    return made, results
