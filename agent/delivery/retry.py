"""What an outcome changes: the delivery, and its webhook's lane. One pure function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.pauses import doubled
from agent.store.base import Delivery, Lane, Settlement, State
from kubectl_sew.consumers.base import Outcome, Verdict
from kubectl_sew.consumers.judge import LONGEST_WAIT

PROBE_EVERY = 3600.0
"""Seconds between two looks whether a parked webhook's receiver has changed its mind."""
TRIES_IN_FRONT = 3
"""Failures after which an event steps aside, in case that it alone is the trouble."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds: the first pause, the longest pause, and how long one delivery is tried.

    `chance` gives a number from 0 to 1: pauses are drawn from all of their range, so that a crowd spreads out.
    """

    initial: float
    longest: float
    horizon: float
    chance: Callable[[], float]

    @property
    def furthest(self) -> float:
        """Seconds ahead that nothing is ever held beyond."""
        return max(LONGEST_WAIT, self.longest) + self.longest


@dataclass(frozen=True, slots=True)
class Decision:
    """What is written."""

    settlement: Settlement
    lane: Lane


def decide(outcome: Outcome, delivery: Delivery, lane: Lane, policy: Policy, *, now: float) -> Decision:
    """What one attempt's outcome changes."""
    if outcome.verdict is Verdict.DELIVERED:
        settlement = Settlement(delivery, State.DELIVERED, now, delivery.attempts + 1, receipt=outcome.receipt)
        return Decision(settlement, recovered(lane))
    if outcome.verdict is Verdict.REJECTED:
        return Decision(_dead(outcome, delivery, outcome.detail, now), recovered(lane))
    held = _held(outcome, lane, policy, now)
    if outcome.verdict is not Verdict.PARKED and _overdue(delivery, lane, policy, now):
        detail = f"given up after {policy.horizon / 3600:g} h: {outcome.detail}"
        return Decision(_dead(outcome, delivery, detail, now), held)
    return Decision(_waiting(outcome, delivery, held, policy, now), held)


def joint(decisions: Sequence[Decision]) -> list[Decision]:
    """What several at once change, with one lane: their failures are one failure, which nothing that came with it ends,
    and the longest pause holds."""
    lanes = [each.lane for each in decisions]
    worst = max(lanes, key=lambda lane: (lane.failures > 0, lane.parked, lane.held_until))
    lane = replace(worst, held_until=max(each.held_until for each in lanes))
    return [replace(each, lane=lane) for each in decisions]


def recovered(lane: Lane) -> Lane:
    """The lane of a receiver that answers as it should."""
    return Lane(lane.webhook, proven=True, settings_digest=lane.settings_digest, endpoint_digest=lane.endpoint_digest)


def changed(lane: Lane, settings_digest: str, endpoint_digest: str) -> Lane:
    """The lane after a webhook's settings may have changed: backoff and parking end, a wait only for a new endpoint."""
    if (lane.settings_digest, lane.endpoint_digest) == (settings_digest, endpoint_digest):
        return lane
    same_endpoint = lane.endpoint_digest == endpoint_digest
    after = lane if lane.waiting and same_endpoint else Lane(lane.webhook, proven=lane.proven and same_endpoint)
    return replace(after, settings_digest=settings_digest, endpoint_digest=endpoint_digest)


def backoff(failures: int, policy: Policy) -> float:
    """Seconds to pause after so many failures in a row (from 1 on)."""
    return policy.chance() * doubled(policy.initial, failures - 1, policy.longest)


def left(until: float, furthest: float, now: float) -> float:
    """Seconds until a moment, 0.0 where it has passed. One that lies too far ahead is of a clock that was set back."""
    return until - now if now < until <= now + furthest else 0.0


def _overdue(delivery: Delivery, lane: Lane, policy: Policy, now: float) -> bool:
    """Time parked does not count."""
    until = lane.since if lane.parked else now
    return delivery.first_attempt is not None and until - delivery.first_attempt >= policy.horizon


def _in_doubt(outcome: Outcome, delivery: Delivery) -> bool:
    """Whether the receiver may have it; it stays so where the look-up got no answer."""
    return delivery.in_doubt or outcome.verdict is Verdict.RETRY


def _dead(outcome: Outcome, delivery: Delivery, detail: str, now: float) -> Settlement:
    attempts, doubt = delivery.attempts + 1, _in_doubt(outcome, delivery)
    return Settlement(delivery, State.DEAD, now, attempts, reason=outcome.reason.value, detail=detail, in_doubt=doubt)


def _waiting(outcome: Outcome, delivery: Delivery, held: Lane, policy: Policy, now: float) -> Settlement:
    """One that steps aside comes after the lane's own pause, so that another one goes first."""
    attempts = delivery.attempts + 1
    aside = outcome.verdict is Verdict.RETRY and attempts >= TRIES_IN_FRONT
    return Settlement(
        delivery,
        State.PENDING,
        now,
        attempts,
        due=held.held_until + backoff(attempts, policy) if aside else now,
        reason=outcome.reason.value,
        detail=outcome.detail,
        in_doubt=_in_doubt(outcome, delivery),
    )


def _held(outcome: Outcome, lane: Lane, policy: Policy, now: float) -> Lane:
    failures = lane.failures + 1
    parked, waiting = outcome.verdict is Verdict.PARKED, outcome.verdict is Verdict.WAIT
    if parked:
        pause = PROBE_EVERY
    elif waiting:
        pause = outcome.retry_after or policy.initial
    else:
        pause = backoff(failures, policy)
    return replace(
        lane,
        failures=failures,
        proven=False,
        parked=parked,
        waiting=waiting,
        held_until=now + max(pause, left(lane.held_until, policy.furthest, now) if lane.waiting else 0.0),
        reason=outcome.reason.value,
        detail=outcome.detail,
        since=lane.since if lane.failures and lane.parked == parked else now,
    )
