"""What the conditions of one webhook say: how it was judged, how its events are read, how they arrive. Pure."""

from dataclasses import dataclass

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
    spell_duration,
)
from kubectl_sew.resource.conditions import Status
from kubectl_sew.validation import Accepted
from sew_agent.base.log import redact
from sew_agent.ingest.progress import Fetched
from sew_agent.store.records import Books, Lane
from sew_agent.webhooks.validator import Unfit

FAILING = 2
"""Failures in a row from which on a receiver counts as down: a single one is often over by the next attempt."""
LONG_WAIT = 60.0
"""Seconds from which on a receiver that asks us to wait counts as down."""
BEHIND = 60.0
"""Seconds of sending, at the rate that is allowed, from which on what waits is told."""
_SOME, _OLD = 10, 300.0
"""So many events of which the oldest waits for so many seconds are no matter of one that failed."""
_NOT_RUN = "it is not run: see the condition Healthy"
_LATER = "what matches meanwhile is read when it runs"
_DISABLED = "the state is Disabled: nothing is fetched or sent, and what waits is kept"
_DEBUG = "the state is Debug: events are counted and logged, and nothing is sent"


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How the last test of a webhook went; `at` in epoch seconds."""

    at: float
    delivered: bool
    result: str
    requested: str = ""
    """Which request of a person it answers; "" where nobody asked but by the state."""
    repeated: bool = False
    """The state was set again, and nothing was sent again."""


@dataclass(frozen=True, slots=True)
class Standing:
    """All that is known of one webhook; None where nothing is known yet."""

    judged: Accepted | Unfit
    fetched: Fetched | None = None
    lane: Lane | None = None
    books: Books | None = None
    tested: TrialResult | None = None
    """Of its present content."""
    rate: float = 0.0
    """Requests a second that are allowed; 0.0 where that is not known."""
    checkpoint: float | None = None
    """What its condition EventsFetched says now: kept where nothing newer is known."""


def conditions(standing: Standing, *, generation: int, now: float) -> tuple[Condition, ...]:
    """The three of them, of this generation and without secrets; `now` in epoch seconds."""
    fetched = _fetching(standing)
    health, health_reason, health_message = healthy_now(standing, now)
    delivery, delivery_reason, delivery_message = _delivery(standing, now)
    return (
        healthy(health, health_reason, redact(health_message), generation),
        events_fetched(fetched.status, fetched.reason, redact(fetched.message), generation),
        delivering(delivery, delivery_reason, redact(delivery_message), generation),
    )


def healthy_now(standing: Standing, now: float) -> tuple[Status, HealthyReason, str]:
    """The condition Healthy: the one meaning of that word, in `sew-agent status`, too."""
    judged = standing.judged
    if isinstance(judged, Unfit):
        return "False", HealthyReason(judged.reason), judged.message
    if judged.webhook.state is State.DISABLED:
        return "False", HealthyReason.STATE, _DISABLED
    if standing.tested and _nothing_since(standing.tested, standing.books):
        return _truth(standing.tested.delivered), HealthyReason.TEST, standing.tested.result
    return _working(standing, judged, now)


def _working(standing: Standing, accepted: Accepted, now: float) -> tuple[Status, HealthyReason, str]:
    fetched = standing.fetched
    if fetched and fetched.status == "False":
        unanswerable = fetched.reason is FetchedReason.UNANSWERABLE
        reason = HealthyReason.QUERY_VALIDATION if unanswerable else HealthyReason.PROCESSING
        return "False", reason, fetched.message
    if failing(standing.lane, now):
        return "False", HealthyReason.PROCESSING, f"not delivered: {last_error(standing.lane)}"
    if standing.books and standing.books.last_delivered_at is not None:
        late = f", and late: {said}" if (said := falling_behind(standing.books, standing.rate, now)) else ""
        return (
            "True",
            HealthyReason.PROCESSING,
            _with_warnings(f"events are delivered{late}{_repeated(standing)}", accepted),
        )
    return "True", HealthyReason.VALIDATION, _with_warnings(f"accepted for {accepted.consumer.name}", accepted)


def _repeated(standing: Standing) -> str:
    """What a person must know who sets the state Test again and again."""
    return f"; state Test: {standing.tested.result}" if standing.tested and standing.tested.repeated else ""


def _fetching(standing: Standing) -> Fetched:
    kept = "" if standing.checkpoint is None else f"{read_to(standing.checkpoint)}; "
    if isinstance(standing.judged, Unfit):
        return Fetched("False", FetchedReason.NOT_ACCEPTED, kept + _NOT_RUN)
    if standing.judged.webhook.state is State.DISABLED:
        return Fetched("False", FetchedReason.STATE, _DISABLED)
    return standing.fetched or Fetched("Unknown", FetchedReason.READ, f"{kept}events have not been read yet")


def _delivery(standing: Standing, now: float) -> tuple[Status, DeliveringReason, str]:
    judged, lane = standing.judged, standing.lane
    backlog = _backlog(standing.books, now)
    if isinstance(judged, Unfit):
        return "False", DeliveringReason.NOT_ACCEPTED, f"{_NOT_RUN}; {backlog}; {_LATER}"
    if judged.webhook.state in (State.DISABLED, State.DEBUG):
        quiet = _DISABLED if judged.webhook.state is State.DISABLED else _DEBUG
        return "False", DeliveringReason.STATE, f"{quiet}; {backlog}"
    if not failing(lane, now):
        peers = f"; not taken by every peer: {lane.detail}" if lane and lane.detail and not lane.failures else ""
        behind = falling_behind(standing.books, standing.rate, now)
        reason = DeliveringReason.BEHIND if behind else DeliveringReason.DELIVERING
        return "True", reason, (behind or backlog) + peers
    error = last_error(lane)
    if lane and lane.parked:
        again = "tried again when the webhook, its Secret or its ConfigMap changes, and once an hour"
        return "False", DeliveringReason.PARKED, f"{error}; {backlog}; {again}"
    return "False", DeliveringReason.RETRYING, f"{error}; {backlog}"


def falling_behind(books: Books | None, rate: float, now: float) -> str:
    """What waits, and when the last of it will be sent, where that is more than can be sent soon; "" otherwise."""
    if books is None or books.oldest_pending is None:
        return ""
    lasts = books.pending / rate if rate else 0.0
    if lasts >= BEHIND:
        soonest = spell_duration(lasts)
        return f"{_backlog(books, now)}; {spell_rate(rate)} are sent, so the last goes in {soonest} at the earliest"
    if books.pending >= _SOME and now - books.oldest_pending >= _OLD:
        return f"{_backlog(books, now)}: the receiver takes them slower than they come"
    return ""


def spell_rate(rate: float) -> str:
    """A rate limit (requests a second) as people say it."""
    return f"at most {rate:g} a second" if rate >= 1.0 else f"at most {rate * 60:g} a minute"


def failing(lane: Lane | None, now: float) -> bool:
    """Whether a receiver refuses what is sent, or is down."""
    if lane is None:
        return False
    down = lane.failures >= FAILING and not lane.proven and not lane.waiting
    return lane.parked or down or _waits_long(lane, now)


def _waits_long(lane: Lane, now: float) -> bool:
    return lane.waiting and lane.held_until > now and lane.held_until - lane.since >= LONG_WAIT


def _nothing_since(tested: TrialResult, books: Books | None) -> bool:
    return books is None or books.last_delivered_at is None or books.last_delivered_at < tested.at


def _with_warnings(text: str, accepted: Accepted) -> str:
    return "; ".join([text, *(each.message for each in accepted.warnings)])


def last_error(lane: Lane | None) -> str:
    """Why a receiver did not take what was sent last."""
    if lane is None:
        return ""
    return f"{lane.reason}: {lane.detail}" if lane.detail else lane.reason


def _backlog(books: Books | None, now: float) -> str:
    if books is None:
        return describe_backlog(0, 0.0)
    dead = f"; {books.dead:,} dead letter{'' if books.dead == 1 else 's'}" if books.dead else ""
    if books.oldest_pending is None:
        return describe_backlog(0, 0.0) + dead
    return describe_backlog(books.pending, now - books.oldest_pending) + dead


def _truth(value: bool) -> Status:
    return "True" if value else "False"
