"""Attempts to deliver: render, send, classify. Every attempt ends with an outcome that holds no secret."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256

from kubectl_sew.consumers.base import (
    Config,
    Consumer,
    Failed,
    FailureReason,
    FindsEarlier,
    Found,
    JoinsOpen,
    LookupResult,
    MarksAgain,
    Outcome,
    RenderError,
    Request,
    Response,
    Unavailable,
    Verdict,
)
from kubectl_sew.consumers.classification import (
    DETAIL_LIMIT,
    classify_response,
    completed,
    redact_outcome,
    with_retry_after,
)
from kubectl_sew.consumers.digest import Digest, SendsDigests, group_id
from kubectl_sew.json_text import line
from sew_agent.delivery.http.errors import SendError
from sew_agent.delivery.peers import Peers, named
from sew_agent.store.records import Delivery

Send = Callable[[Sequence[Request]], Sequence[Response | SendError]]
"""Sends requests side by side, all within one deadline; returns an answer or an error for each, in their order."""

MOST_REQUESTS = 10
"""Requests of one event at most, one to each peer, side by side. A consumer that first asks its receiver for the event
sends one request after the other, and no more of them."""

Clock = Callable[[], float]
"""Returns the time in seconds since the epoch."""

Answer = Response | SendError
Steps = Generator[Sequence[Request], Sequence[Answer], Outcome]
"""An attempt: yields requests that go side by side, and receives their answers."""

_NO_SEARCH = "this receiver has no search"

_PREFERENCE = (Verdict.DELIVERED, Verdict.WAIT, Verdict.RETRY, Verdict.REJECTED, Verdict.PARKED)
"""Verdicts in their order of hope: of several peers' answers the first one counts, so nothing is given up too early.

Of several times to wait, the shortest: each peer's own is kept beside.
"""


@dataclass(frozen=True)
class Route:
    """The destination of a webhook's deliveries."""

    webhook: str
    consumer: Consumer
    config: Config = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    settings_digest: str = ""
    endpoint_digest: str = ""
    peers: Peers = field(default_factory=Peers, repr=False, compare=False)

    @cached_property
    def finder(self) -> FindsEarlier | None:
        """Return the consumer if its receiver can be searched for an earlier delivery."""
        return self.consumer if isinstance(self.consumer, FindsEarlier) else None


def attempt(route: Route, delivery: Delivery, send: Send, *, clock: Clock) -> Outcome:
    """Deliver an event, and wait for the outcome. Raises nothing."""
    steps = steps_of(route, delivery, clock)
    try:
        requests = next(steps)
        while True:
            requests = steps.send(_send_all(send, requests))
    except StopIteration as ended:
        outcome: Outcome = ended.value
        return outcome


def _send_all(send: Send, requests: Sequence[Request]) -> Sequence[Answer]:
    try:
        return send(requests)
    except Exception as error:  # noqa: BLE001 - as below; any of them may have arrived
        return [SendError(FailureReason.INTERNAL, internal_error(error))] * len(requests)


def steps_of(
    route: Route, delivery: Delivery, clock: Clock, digest: Digest | Exception | None = None, group: str | None = None
) -> Steps:
    """Deliver; search the receiver first where an earlier attempt may have arrived already.

    `clock` is asked again at each answer: what a receiver asks for by Retry-After begins then.

    Of a `digest`, `delivery` stands for all that it holds. `group` stands for its values, or for those of the one event
    that is gathered by groups; None where there are none.
    """
    if isinstance(digest, Exception):
        return Outcome(Verdict.REJECTED, FailureReason.INTERNAL, internal_error(digest))
    try:
        if delivery.in_doubt and route.finder:
            return (yield from _search_first(route, route.finder, delivery, clock, digest, group))
        return (yield from _deliver(route, delivery, clock, digest, group))
    except Exception as error:  # noqa: BLE001 - a mistake of ours costs one event, which is kept
        return Outcome(Verdict.REJECTED, FailureReason.INTERNAL, internal_error(error))


def _deliver(route: Route, delivery: Delivery, clock: Clock, digest: Digest | None, group: str | None) -> Steps:
    try:
        requests = _rendered(route, delivery, clock(), digest)
    except RenderError as error:
        return Outcome(Verdict.REJECTED, FailureReason.RENDERING, str(error))
    if delivery.again and isinstance(route.consumer, MarksAgain):
        requests = tuple(map(route.consumer.mark_again, requests))
    if len(requests) > MOST_REQUESTS:
        detail = f"an event takes {len(requests)} requests, and may take {MOST_REQUESTS}"
        return Outcome(Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED, detail)
    if group is not None and isinstance(route.consumer, JoinsOpen):
        return (yield from _join(route, route.consumer, requests, group_id(route.webhook, group), clock))
    return (yield from _send(route, requests, clock))


def _send(route: Route, requests: Sequence[Request], clock: Clock) -> Steps:
    awake = route.peers.awake(requests, clock())
    if not awake:
        wait, why = route.peers.next_free(requests, clock())
        return Outcome(Verdict.WAIT, FailureReason.RATE_LIMITED, why, retry_after=wait)
    answers = yield awake
    now = clock()
    outcomes = [_classify(route, answer, now) for answer in answers]
    if len(requests) == 1:
        return outcomes[0]
    route.peers.record(awake, outcomes, now)
    best = min(outcomes, key=lambda outcome: (_PREFERENCE.index(outcome.verdict), outcome.retry_after or 0.0))
    return _name_failed_peers(best, awake, outcomes)


def _join(route: Route, joiner: JoinsOpen, requests: Sequence[Request], group: str, clock: Clock) -> Steps:
    """Write into the open entry of the group; create one where there is none, or where it takes no more."""
    searches = joiner.find_open(route.config, group=group)
    if not searches:
        return (yield from _send(route, requests, clock))
    found = yield from _search(route, joiner, searches, clock)
    if isinstance(found, Failed):
        return replace(found.outcome, detail=f"looking for the open one of its group: {found.outcome.detail}")
    if isinstance(found, Found):
        (answer,) = yield [joiner.added(request, entry=found.receipt) for request in requests]
        if isinstance(answer, SendError):
            return _send_failure(answer, clock())
        outcome = joiner.read_added(answer, entry=found.receipt)
        if outcome:
            return completed(outcome, route.consumer, answer, clock(), route.config)
    outcome = yield from _send(route, [joiner.in_group(request, group=group) for request in requests], clock)
    return _without_search(outcome, "the open one of its group") if isinstance(found, Unavailable) else outcome


def _rendered(route: Route, delivery: Delivery, now: float, digest: Digest | None) -> tuple[Request, ...]:
    consumer, identity = route.consumer, _written_id(route, delivery)
    if digest and isinstance(consumer, SendsDigests):
        return consumer.render_digest(digest, route.labels, route.config, now=now, delivery_id=identity)
    return consumer.render(delivery.event, route.labels, route.config, now=now, delivery_id=identity)


def _classify(route: Route, answer: Answer, now: float) -> Outcome:
    if isinstance(answer, SendError):
        return _send_failure(answer, now)
    return classify_response(route.consumer, answer, now, route.config)


def _name_failed_peers(best: Outcome, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> Outcome:
    """Name the peers that failed although another one accepted the event."""
    if best.verdict is not Verdict.DELIVERED or all(outcome.verdict is Verdict.DELIVERED for outcome in outcomes):
        return best
    failed = [
        f"{named(request)}: {outcome.detail.removeprefix(f'{named(request)}: ')}"
        for request, outcome in zip(requests, outcomes, strict=True)
        if outcome.verdict is not Verdict.DELIVERED
    ]
    return replace(best, detail=line(f"{best.detail}; not taken by {'; '.join(failed)}", DETAIL_LIMIT))


def _search_first(
    route: Route, finder: FindsEarlier, delivery: Delivery, clock: Clock, digest: Digest | None, group: str | None
) -> Steps:
    """Send only where the receiver does not have the delivery, or has no search at all."""
    searches = finder.lookup(route.config, delivery_id=_searched_id(delivery))
    found = yield from _search(route, finder, searches, clock)
    if isinstance(found, Found):
        outcome = Outcome(Verdict.DELIVERED, detail="found at the receiver", receipt=found.receipt)
        return redact_outcome(outcome, route.consumer, route.config)
    if isinstance(found, Failed):
        return replace(found.outcome, detail=f"looking for an earlier delivery: {found.outcome.detail}")
    outcome = yield from _deliver(route, delivery, clock, digest, group)
    return _without_search(outcome, "an earlier one") if isinstance(found, Unavailable) else outcome


def _search(
    route: Route, finder: FindsEarlier, searches: Sequence[Request], clock: Clock
) -> Generator[Sequence[Request], Sequence[Answer], LookupResult]:
    """Ask one search after the other until one is there, and return its result; what failed holds no secret."""
    for request in searches:
        (answer,) = yield [request]
        if isinstance(answer, SendError):
            return Failed(_send_failure(answer, clock()))
        result = finder.read_lookup(answer, now=clock())
        if isinstance(result, Failed):
            return Failed(redact_outcome(result.outcome, route.consumer, route.config))
        if not isinstance(result, Unavailable):
            return result
    return Unavailable()


def _without_search(outcome: Outcome, of: str) -> Outcome:
    return replace(outcome, detail=f"{outcome.detail} (without looking for {of}: {_NO_SEARCH})")


def _searched_id(delivery: Delivery) -> str:
    """Return the one word by which a receiver that is searched finds this delivery, and no earlier one of the event."""
    if not delivery.again:
        return delivery.delivery_id
    return sha256(f"{delivery.delivery_id} {delivery.seq}".encode()).hexdigest()[:32]


def _written_id(route: Route, delivery: Delivery) -> str:
    """Return the id for the receiver; one that is searched gets a second word of what is sent once more."""
    if delivery.again and route.finder:
        return f"{delivery.delivery_id} again {_searched_id(delivery)}"
    return delivery.delivery_id


def internal_error(error: Exception) -> str:
    return f"a mistake of this program, please report it: {type(error).__name__}"


def _send_failure(error: SendError, now: float) -> Outcome:
    outcome = Outcome(Verdict.PARKED if error.parked else Verdict.RETRY, error.reason, error.detail)
    return with_retry_after(outcome, error.answer, now) if error.answer else outcome
