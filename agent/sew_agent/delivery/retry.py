"""Retry: how an outcome changes its delivery and its receiver's state. Pure.

The two are kept apart. Different events that fail show the state of a receiver, which pauses as a whole. An event that
fails again although others were accepted since is the problem itself: it has pauses of its own, and the receiver's
state stays.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from kubectl_sew.consumers.base import Outcome, Verdict
from kubectl_sew.consumers.classification import LONGEST_WAIT
from sew_agent.base.backoff import doubled
from sew_agent.store.records import Delivery, DeliveryResult, DeliveryState, ReceiverState

PROBE_EVERY = 3600.0
"""Seconds between two probes of a parked webhook's receiver."""
DOWN_AFTER = 5
"""Different events in a row that may fail before a receiver counts as down. Until then pauses are short, so that a few
bad events delay a good one by little. So many rejected events in a row park the webhook."""
MAX_TRIES = 3
"""Tries of an event that is refused as a wrong configuration is, by a receiver that accepts others."""


class Staleness(Enum):
    """Changes since an attempt began: its outcome counts only against what was known then."""

    NOTHING = "nothing"
    RECEIVER = "the receiver has shown what it does now"
    SETTINGS = "the webhook's settings have changed"
    ENDPOINT = "its receiver is another one"


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds of the first pause and of the longest, and how long one delivery is tried.

    `chance` gives a number from 0 to 1 (full jitter): pauses are drawn from all of their range.
    """

    initial: float
    longest: float
    horizon: float
    chance: Callable[[], float]

    @property
    def furthest(self) -> float:
        """Seconds that any pause lasts at most."""
        return max(LONGEST_WAIT, self.longest) + self.longest


class Decision(NamedTuple):
    """Changes to write. `revived`: the `seq` of dead letters that are pending after all."""

    result: DeliveryResult
    receiver: ReceiverState
    revived: tuple[int, ...] = ()


def decide(
    outcome: Outcome,
    delivery: Delivery,
    receiver: ReceiverState,
    policy: Policy,
    *,
    now: float,
    staleness: Staleness = Staleness.NOTHING,
) -> Decision:
    """Return the changes by one attempt's outcome. `receiver`: its present state."""
    if outcome.verdict is Verdict.DELIVERED:
        result = DeliveryResult(delivery, DeliveryState.DELIVERED, now, delivery.attempts + 1, receipt=outcome.receipt)
        return Decision(result, recovered(receiver) if staleness is Staleness.NOTHING else receiver)
    if staleness is Staleness.ENDPOINT:
        return Decision(_unchanged(outcome, delivery, now), receiver)
    if staleness is Staleness.SETTINGS:
        return Decision(_unchanged(outcome, delivery, now), _hold_for_retry_after(outcome, receiver, policy, now))
    if outcome.verdict is Verdict.REJECTED:
        return _rejected(outcome, delivery, receiver, policy, now, late=staleness is Staleness.RECEIVER)
    if staleness is Staleness.RECEIVER:
        held = _hold_for_retry_after(outcome, receiver, policy, now)
    else:
        held = _failed(outcome, delivery, receiver, policy, now)
    return Decision(_after_failure(outcome, delivery, receiver, held, policy, now), held)


def recovered(receiver: ReceiverState) -> ReceiverState:
    """Return the state of a receiver that accepts what is sent: the same one as long as it does."""
    return _accepting(receiver.webhook, receiver.settings_digest, receiver.endpoint_digest)


def with_settings(receiver: ReceiverState, settings_digest: str, endpoint_digest: str) -> ReceiverState:
    """Return the state under new settings: backoff and parking end, a Retry-After only for a new endpoint."""
    if (receiver.settings_digest, receiver.endpoint_digest) == (settings_digest, endpoint_digest):
        return receiver
    same_endpoint = receiver.endpoint_digest == endpoint_digest
    after = ReceiverState(receiver.webhook, proven=receiver.proven and same_endpoint)
    if receiver.waiting and same_endpoint:
        after = replace(receiver, different=0, parked=False, refused=(), retry_until=receiver.held_until)
    return replace(after, settings_digest=settings_digest, endpoint_digest=endpoint_digest)


def to_probe(receiver: ReceiverState) -> ReceiverState:
    """Return the state of a parked webhook that is probed now, with different events, instead of at its hour.

    A Retry-After still holds.
    """
    until = receiver.held_until if receiver.waiting else 0.0
    return replace(receiver, failures=0, different=0, held_until=until, retry_until=until)


def is_probed(receiver: ReceiverState) -> bool:
    """Return whether a parked webhook was probed enough: its receiver is left alone for an hour."""
    return receiver.parked and receiver.failures > DOWN_AFTER


def is_failing(receiver: ReceiverState) -> bool:
    """Return whether a receiver fails; a receiver that accepts other events does not."""
    return receiver.parked or (receiver.failures > 0 and not receiver.proven)


def backoff(failures: int, policy: Policy) -> float:
    """Return the seconds to pause after so many failures in a row (from 1 on)."""
    return policy.chance() * doubled(policy.initial, failures - 1, policy.longest)


def remaining(until: float, furthest: float, now: float) -> float:
    """Return the seconds until a moment; 0.0 where it has passed, or lies too far ahead: the clock was set back."""
    return until - now if now < until <= now + furthest else 0.0


def within_clock(receiver: ReceiverState, now: float) -> ReceiverState:
    """Return the state by a clock that may have been set back since: no pause becomes longer than it was."""
    back = receiver.held_at - now
    return shifted(receiver, -back) if back > 0 else receiver


def lengthened(receiver: ReceiverState, seconds: float) -> ReceiverState:
    """Return the state with pauses that are longer by so many seconds."""
    return replace(receiver, held_until=receiver.held_until + seconds, retry_until=receiver.retry_until + seconds)


def shifted(receiver: ReceiverState, seconds: float) -> ReceiverState:
    """Return the state with all its moments moved by so many seconds."""
    return replace(
        receiver,
        held_at=receiver.held_at + seconds,
        held_until=receiver.held_until + seconds,
        retry_until=receiver.retry_until + seconds,
        since=receiver.since + seconds,
    )


@lru_cache(maxsize=4096)
def _accepting(webhook: str, settings_digest: str, endpoint_digest: str) -> ReceiverState:
    return ReceiverState(webhook, proven=True, settings_digest=settings_digest, endpoint_digest=endpoint_digest)


def _is_suspect(delivery: Delivery, receiver: ReceiverState) -> bool:
    """Return whether the event failed before, and the receiver has accepted another one since."""
    return receiver.proven and delivery.attempts > 0


def _is_overdue(delivery: Delivery, receiver: ReceiverState, policy: Policy, now: float) -> bool:
    """Return whether a delivery was tried for too long; time parked does not count."""
    until = receiver.since if receiver.parked else now
    return delivery.first_attempt is not None and until - delivery.first_attempt >= policy.horizon


def _is_in_doubt(outcome: Outcome, delivery: Delivery) -> bool:
    """Return whether the receiver may have the delivery; a search without an answer leaves that open."""
    return delivery.in_doubt or outcome.verdict is Verdict.RETRY


def _dead(outcome: Outcome, delivery: Delivery, detail: str, now: float) -> DeliveryResult:
    attempts, doubt = delivery.attempts + 1, _is_in_doubt(outcome, delivery)
    return DeliveryResult(
        delivery, DeliveryState.DEAD, now, attempts, reason=outcome.reason.value, detail=detail, in_doubt=doubt
    )


def _pending(outcome: Outcome, delivery: Delivery, attempts: int, now: float, due: float) -> DeliveryResult:
    reason, detail, doubt = outcome.reason.value, outcome.detail, _is_in_doubt(outcome, delivery)
    return DeliveryResult(
        delivery, DeliveryState.PENDING, now, attempts, due=due, reason=reason, detail=detail, in_doubt=doubt
    )


def _unchanged(outcome: Outcome, delivery: Delivery, now: float) -> DeliveryResult:
    """Return a delivery as it was: an outcome under old settings says nothing of the event."""
    return _pending(outcome, delivery, delivery.attempts, now, delivery.due)


def _after_failure(
    outcome: Outcome, delivery: Delivery, receiver: ReceiverState, held: ReceiverState, policy: Policy, now: float
) -> DeliveryResult:
    """Return the result of a failure: the event waits for its receiver, or by itself where it is the problem."""
    attempts, parked = delivery.attempts + 1, outcome.verdict is Verdict.PARKED
    if not parked and _is_overdue(delivery, receiver, policy, now):
        return _dead(outcome, delivery, f"given up after {policy.horizon / 3600:g} h: {outcome.detail}", now)
    if not _is_suspect(delivery, receiver):
        return _pending(outcome, delivery, attempts, now, now)
    if parked and attempts >= MAX_TRIES:
        return _dead(outcome, delivery, outcome.detail, now)
    return _pending(outcome, delivery, attempts, now, max(now, held.held_until) + backoff(attempts, policy))


def _rejected(
    outcome: Outcome, delivery: Delivery, receiver: ReceiverState, policy: Policy, now: float, *, late: bool
) -> Decision:
    """Make a dead letter; park a receiver that rejects one event after the other and accepts none.

    What cannot be rendered counts as well: it is more likely the template than five events.
    """
    dead = _dead(outcome, delivery, outcome.detail, now)
    if _is_suspect(delivery, receiver):
        return Decision(dead, receiver)
    pending = _pending(outcome, delivery, delivery.attempts + 1, now, now)
    if late and receiver.parked:
        return Decision(pending, receiver)
    refused = receiver.refused if delivery.seq in receiver.refused else (*receiver.refused, delivery.seq)
    if len(refused) >= DOWN_AFTER:
        revived = receiver.refused if len(receiver.refused) < DOWN_AFTER else ()
        return Decision(pending, _parked_by_rejections(outcome, receiver, refused[:DOWN_AFTER], policy, now), revived)
    if late:
        return Decision(dead, replace(receiver, refused=refused))
    return Decision(dead, replace(recovered(receiver), proven=receiver.proven, refused=refused))


def _parked_by_rejections(
    outcome: Outcome, receiver: ReceiverState, refused: tuple[int, ...], policy: Policy, now: float
) -> ReceiverState:
    """Park a receiver; probe it sooner than for other reasons, since the events may be the problem."""
    different = receiver.different + 1 if receiver.parked else DOWN_AFTER
    wait = remaining(receiver.held_until, policy.furthest, now) if receiver.waiting else 0.0
    held_until = now + max(backoff(max(different - DOWN_AFTER, 0) + 1, policy), wait)
    return replace(
        receiver,
        failures=receiver.failures + 1 if receiver.parked else DOWN_AFTER,
        proven=False,
        parked=True,
        waiting=wait > 0,
        held_until=held_until,
        retry_until=held_until,
        held_at=now,
        reason=outcome.reason.value,
        detail=outcome.detail,
        since=receiver.since if receiver.parked else now,
        different=different,
        refused=refused,
    )


def _hold_for_retry_after(outcome: Outcome, receiver: ReceiverState, policy: Policy, now: float) -> ReceiverState:
    """Honour a Retry-After, whatever has happened since the request began; the longest of several counts."""
    if outcome.verdict is not Verdict.WAIT:
        return receiver
    until = max(now + _wait(outcome, policy), now + remaining(receiver.held_until, policy.furthest, now))
    return replace(
        receiver,
        failures=max(receiver.failures, 1),
        proven=False,
        waiting=True,
        held_until=until,
        retry_until=max(until, now + remaining(receiver.retry_until, policy.furthest, now)),
        held_at=now,
        reason=outcome.reason.value,
        detail=outcome.detail,
        since=receiver.since if is_failing(receiver) else now,
    )


def _failed(outcome: Outcome, delivery: Delivery, receiver: ReceiverState, policy: Policy, now: float) -> ReceiverState:
    """Count a failure. After the first one of a receiver that accepted the last event another event goes at once."""
    fresh, suspect = delivery.attempts == 0, _is_suspect(delivery, receiver)
    failures = receiver.failures + 1
    different = receiver.different + (1 if fresh and not receiver.proven else 0)
    parked = outcome.verdict is Verdict.PARKED and not receiver.proven
    held_until = min(receiver.held_until, now + remaining(receiver.held_until, policy.furthest, now))
    if fresh or (different > DOWN_AFTER and not suspect):
        pause = now + _backoff_for_all(different, policy, parked=parked)
        held_until = max(pause, held_until) if receiver.waiting else pause
    if outcome.verdict is Verdict.WAIT:
        held_until = max(held_until, now + _wait(outcome, policy))
    return replace(
        receiver,
        failures=failures,
        proven=suspect and failures < DOWN_AFTER,
        parked=parked,
        waiting=outcome.verdict is Verdict.WAIT,
        held_until=held_until,
        retry_until=max(held_until, now + _backoff_for_retries(failures, policy, parked=parked)),
        held_at=now,
        reason=outcome.reason.value,
        detail=outcome.detail,
        since=receiver.since if is_failing(receiver) and receiver.parked == parked else now,
        different=different,
    )


def _backoff_for_all(different: int, policy: Policy, *, parked: bool) -> float:
    if different == 0:
        return 0.0
    if parked and different > DOWN_AFTER:
        return PROBE_EVERY
    return backoff(max(different - DOWN_AFTER, 0) + 1, policy)


def _backoff_for_retries(failures: int, policy: Policy, *, parked: bool) -> float:
    if parked:
        return PROBE_EVERY if failures > DOWN_AFTER else backoff(1, policy)
    return backoff(failures, policy)


def _wait(outcome: Outcome, policy: Policy) -> float:
    return outcome.retry_after or policy.initial
