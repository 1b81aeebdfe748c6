"""Conditions of one webhook: its validation, the reading of its events, and their delivery. Pure."""

from dataclasses import dataclass

from kubectl_sew.consumers.digest_settings import gathered_for
from kubectl_sew.redaction import redact_urls
from kubectl_sew.resource import (
    Condition,
    DeliveringReason,
    FetchedReason,
    HealthyReason,
    State,
    delivering,
    describe_backlog,
    events_fetched,
    healthy,
    read_to,
)
from kubectl_sew.resource.conditions import Status
from kubectl_sew.text import plural, spell_duration
from kubectl_sew.validation.webhook import Accepted, InvalidWebhook
from sew_agent.ingest.progress import Progress
from sew_agent.store.records import Counters, ReceiverState

FAILING = 2
"""Failures in a row from which a receiver counts as down: a single one is often over by the next attempt."""
LONG_WAIT = 60.0
"""Seconds of a Retry-After from which a receiver counts as down."""
BEHIND = 60.0
"""Seconds of sending, at the allowed rate, from which a backlog is reported."""
_SOME, _OLD = 10, 300.0
"""Pending events, and seconds that the oldest waits, from which it is not one event that failed."""
PARKED_UNTIL = "tried again when the webhook, its Secret or its ConfigMap changes, and once an hour"
_NOT_RUN = "it is not run: see the condition Healthy"
_LATER = "what matches meanwhile is read when it runs"
_DISABLED = "the state is Disabled: nothing is fetched or sent, and what waits is kept"
_TAKEN_OVER = "taken over: this agent delivers it, and Calico's processor sees it Disabled"
_DEBUG = "the state is Debug: events are counted and logged, and nothing is sent"


@dataclass(frozen=True, slots=True)
class DeliveryTestResult:
    """Result of a webhook's last test delivery; `at` in epoch seconds."""

    at: float
    delivered: bool
    result: str
    requested: str = ""
    """Request of a person that it answers; "" where only the state asked."""
    status: int = 0
    """HTTP status of the receiver's answer; 0 where none came."""
    repeated: bool = False
    """True where the state was set again, and nothing was sent again."""


@dataclass(frozen=True, slots=True)
class WebhookStatus:
    """Observations of one webhook; None where nothing is known yet."""

    validated: Accepted | InvalidWebhook
    progress: Progress | None = None
    receiver: ReceiverState | None = None
    counters: Counters | None = None
    tested: DeliveryTestResult | None = None
    """Test of its present content."""
    rate: float = 0.0
    """Allowed requests a second; 0.0 where that is not known."""
    checkpoint: float | None = None
    """Checkpoint in its present condition EventsFetched: kept where nothing newer is known."""


def conditions(known: WebhookStatus, *, generation: int, now: float) -> tuple[Condition, ...]:
    """Return the three conditions, of this generation and without secrets; `now` in epoch seconds."""
    progress = _fetching(known)
    health, health_reason, health_message = healthy_now(known, now)
    delivery, delivery_reason, delivery_message = _delivery(known, now)
    return (
        healthy(health, health_reason, redact_urls(health_message), generation),
        events_fetched(progress.status, progress.reason, redact_urls(progress.message), generation),
        delivering(delivery, delivery_reason, redact_urls(delivery_message), generation),
    )


def healthy_now(known: WebhookStatus, now: float) -> tuple[Status, HealthyReason, str]:
    """Return status, reason and message of the condition Healthy, which `sew-agent status` shows too."""
    validated = known.validated
    if isinstance(validated, InvalidWebhook):
        return "False", validated.reason, validated.message
    if validated.webhook.effective_state is State.DISABLED:
        return "False", HealthyReason.STATE, _DISABLED
    if known.tested and _nothing_since(known.tested, known.counters):
        return _truth(known.tested.delivered), HealthyReason.TEST, known.tested.result
    return _working(known, validated, now)


def _working(known: WebhookStatus, accepted: Accepted, now: float) -> tuple[Status, HealthyReason, str]:
    progress = known.progress
    if progress and progress.status == "False":
        unanswerable = progress.reason is FetchedReason.UNANSWERABLE
        reason = HealthyReason.QUERY_VALIDATION if unanswerable else HealthyReason.PROCESSING
        return "False", reason, progress.message
    if failing(known.receiver, now):
        return "False", HealthyReason.PROCESSING, not_delivered(last_error(known.receiver))
    if known.counters and known.counters.last_delivered_at is not None:
        lag = falling_behind(known.counters, known.rate, gathered_for(accepted.config), now)
        late = f", and late: {lag}" if lag else ""
        return (
            "True",
            HealthyReason.PROCESSING,
            _with_warnings(f"events are delivered{late}{_repeated(known)}", accepted),
        )
    return "True", HealthyReason.VALIDATION, _with_warnings(f"accepted for {accepted.consumer.name}", accepted)


def _repeated(known: WebhookStatus) -> str:
    """Return the note for a person who sets the state Test again and again."""
    return f"; state Test: {known.tested.result}" if known.tested and known.tested.repeated else ""


def _fetching(known: WebhookStatus) -> Progress:
    kept = "" if known.checkpoint is None else f"{read_to(known.checkpoint)}; "
    if isinstance(known.validated, InvalidWebhook):
        return Progress("False", FetchedReason.NOT_ACCEPTED, kept + _NOT_RUN)
    if known.validated.webhook.effective_state is State.DISABLED:
        return Progress("False", FetchedReason.STATE, _DISABLED)
    return known.progress or Progress("Unknown", FetchedReason.READ, f"{kept}events have not been read yet")


def _delivery(known: WebhookStatus, now: float) -> tuple[Status, DeliveringReason, str]:
    validated, receiver = known.validated, known.receiver
    backlog = _backlog(known.counters, now)
    if isinstance(validated, InvalidWebhook):
        return "False", DeliveringReason.NOT_ACCEPTED, f"{_NOT_RUN}; {backlog}; {_LATER}"
    if validated.webhook.effective_state in (State.DISABLED, State.DEBUG):
        quiet = _DISABLED if validated.webhook.effective_state is State.DISABLED else _DEBUG
        return "False", DeliveringReason.STATE, f"{quiet}; {backlog}"
    if not failing(receiver, now):
        peers = (
            f"; not taken by every peer: {receiver.detail}"
            if receiver and receiver.detail and not receiver.failures
            else ""
        )
        behind = falling_behind(known.counters, known.rate, gathered_for(validated.config), now)
        reason = DeliveringReason.BEHIND if behind else DeliveringReason.DELIVERING
        return "True", reason, (behind or backlog) + peers
    error = last_error(receiver)
    if receiver and receiver.parked:
        return "False", DeliveringReason.PARKED, f"{error}; {backlog}; {PARKED_UNTIL}"
    return "False", DeliveringReason.RETRYING, f"{error}; {backlog}"


def falling_behind(counters: Counters | None, rate: float, gathered: float, now: float) -> str:
    """Describe a backlog that cannot be sent soon, and when its last event goes; "" otherwise.

    `gathered`: seconds for which it may be gathered; then a message holds many, and nobody knows how many will go.
    """
    if counters is None or counters.oldest_pending is None:
        return ""
    lasts = counters.pending / rate if rate and not gathered else 0.0
    if lasts >= BEHIND:
        soonest = spell_duration(lasts)
        return (
            f"{_backlog(counters, now)}; {spell_rate(rate)} are sent, so the last is sent in {soonest} at the earliest"
        )
    if counters.pending >= _SOME and now - counters.oldest_pending >= gathered + _OLD:
        return f"{_backlog(counters, now)}: the receiver takes them more slowly than they come"
    return ""


def spell_rate(rate: float) -> str:
    """Return a rate limit (requests a second) in words."""
    return f"at most {rate:g} a second" if rate >= 1.0 else f"at most {rate * 60:g} a minute"


def failing(receiver: ReceiverState | None, now: float) -> bool:
    """Return whether a receiver refuses requests, or is down."""
    if receiver is None:
        return False
    down = receiver.failures >= FAILING and not receiver.proven and not receiver.waiting
    return receiver.parked or down or _waits_long(receiver, now)


def _waits_long(receiver: ReceiverState, now: float) -> bool:
    return receiver.waiting and receiver.held_until > now and receiver.held_until - receiver.since >= LONG_WAIT


def _nothing_since(tested: DeliveryTestResult, counters: Counters | None) -> bool:
    return counters is None or counters.last_delivered_at is None or counters.last_delivered_at < tested.at


def _with_warnings(text: str, accepted: Accepted) -> str:
    taken_over = [_TAKEN_OVER] if accepted.webhook.is_taken_over else []
    return "; ".join([text, *taken_over, *(warning.message for warning in accepted.warnings)])


def not_delivered(error: str) -> str:
    """Return the message of the condition Healthy while a receiver fails."""
    return f"not delivered: {error}"


def last_error(receiver: ReceiverState | None) -> str:
    """Return the reason of a receiver's last failure."""
    if receiver is None:
        return ""
    return f"{receiver.reason}: {receiver.detail}" if receiver.detail else receiver.reason


def _backlog(counters: Counters | None, now: float) -> str:
    if counters is None:
        return describe_backlog(0, 0.0)
    dead = f"; {counters.dead:,} {plural(counters.dead, 'dead letter')}" if counters.dead else ""
    if counters.oldest_pending is None:
        return describe_backlog(0, 0.0) + dead
    return describe_backlog(counters.pending, now - counters.oldest_pending) + dead


def _truth(value: bool) -> Status:
    return "True" if value else "False"
