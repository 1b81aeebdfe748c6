"""A digest under way: what is sent of its members, and what its outcome means for each of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from kubectl_sew.consumers.base import Outcome, Verdict
from kubectl_sew.consumers.digest import Digest, digest_id, make_digest
from kubectl_sew.consumers.digest_settings import DigestSettings
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EventMaps
from sew_agent.delivery.gathering import STUCK
from sew_agent.delivery.retry import Decision, Policy, Staleness, backoff, decide
from sew_agent.store.records import Delivery, DeliveryResult, DeliveryState, ReceiverState


@dataclass(frozen=True, slots=True)
class Bundle:
    """A digest that goes now. `members`: its deliveries, of whose events only the headings are left."""

    members: tuple[Delivery, ...]
    digest: Digest | Exception
    """The mistake of this program by which there is none: it is an outcome as any other, and ends no thread."""


def bundle(members: Sequence[Delivery], settings: DigestSettings, maps: EventMaps) -> tuple[Delivery, Bundle]:
    """Return the delivery that stands for a digest of these, and the digest.

    The id that the members have from an earlier attempt stays, even if a person has dropped some of them since.
    """
    first = members[0]
    identity = first.digest or digest_id(first.webhook, [member.delivery_id for member in members])
    begun = [member.first_attempt for member in members]
    known = [time for time in begun if time is not None]
    lead = first._replace(
        delivery_id=identity,
        digest=identity,
        attempts=max(member.attempts for member in members),
        first_attempt=max(known) if len(known) == len(begun) else None,  # given up once all of it is old
        in_doubt=any(member.in_doubt for member in members),
    )
    made = _made([member.event for member in members], settings, maps)
    kept = tuple(member._replace(digest=identity, event=_heading(member.event, maps)) for member in members)
    return lead._replace(event=kept[0].event), Bundle(kept, made)


def decide_digest(  # noqa: PLR0913 - as `retry.decide`
    outcome: Outcome,
    lead: Delivery,
    members: Sequence[Delivery],
    receiver: ReceiverState,
    policy: Policy,
    *,
    now: float,
    staleness: Staleness,
) -> tuple[Decision, Sequence[DeliveryResult], bool]:
    """Return the changes by a digest's outcome, the result of each member, and whether the next ones hold half as much.

    A digest that is refused for good says little of its events: one of them may be the reason, or the digest itself. So
    its members are pending again as if they had not been tried, and go in digests of half the size; what is refused
    alone is judged as any other event is. So do those of one that fails again and again, although it may have arrived
    after all: else one event that a receiver cannot take would hold up a thousand.
    """
    current = staleness in (Staleness.NOTHING, Staleness.RECEIVER)
    if outcome.verdict is Verdict.REJECTED and current and len(members) > 1:
        refused = DeliveryResult(
            lead,
            DeliveryState.PENDING,
            now,
            lead.attempts,
            due=now,
            reason=outcome.reason.value,
            detail=outcome.detail,
        )
        return Decision(refused, receiver), [_unsent(refused, member) for member in members], True
    made = decide(outcome, lead, receiver, policy, now=now, staleness=staleness)
    result = made.result
    if result.state is DeliveryState.DEAD and outcome.verdict is Verdict.PARKED and len(members) > 1:
        pending = result._replace(state=DeliveryState.PENDING, due=now)
        if not result.in_doubt:
            pending = pending._replace(attempts=lead.attempts)
            return made._replace(result=pending), [_unsent(pending, member) for member in members], True
        result = pending._replace(due=now + backoff(result.attempts, policy))  # it may have arrived before
    tried = result.attempts - lead.attempts
    failed = result.state is DeliveryState.PENDING and tried > 0 and len(members) > 1
    stuck = failed and result.attempts >= STUCK
    held = result.in_doubt and result.state is DeliveryState.PENDING and not stuck
    digest = lead.digest if held else ""
    doubt = bool(digest)  # what died as a part of a digest was never sent by its own id
    results = [
        result._replace(delivery=member, attempts=member.attempts + tried, in_doubt=doubt, digest=digest)
        for member in members
    ]
    halved = failed and not held and (stuck or outcome.verdict is Verdict.PARKED)
    return made._replace(result=result._replace(digest=digest, in_doubt=doubt)), results, halved


def _unsent(refused: DeliveryResult, member: Delivery) -> DeliveryResult:
    return refused._replace(delivery=member, attempts=member.attempts)


def _made(events: Sequence[Event], settings: DigestSettings, maps: EventMaps) -> Digest | Exception:
    try:
        return make_digest(events, settings, maps)
    except Exception as error:  # noqa: BLE001 - a mistake of ours costs a digest, whose events go in smaller ones
        return error


def _heading(event: Event, maps: EventMaps) -> Event:
    """Return the event with what the log of deliveries shows of it: a thousand whole ones would fill memory."""
    try:
        kind, severity, time = maps.heading(event)
    except Exception:  # noqa: BLE001 - a mistake of ours costs words in the log
        return Event(event.index, event.id, {})
    return Event(event.index, event.id, {"type": kind, "severity": severity, "time": time})
