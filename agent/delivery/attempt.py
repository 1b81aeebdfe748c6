"""One attempt to deliver: render, send, judge. Whatever happens, an outcome without a secret."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from agent.delivery.http import SendError
from agent.store.base import Delivery
from kubectl_sew.consumers.base import (
    Config,
    Consumer,
    Failed,
    FailureReason,
    FindsEarlier,
    Found,
    NotFound,
    Outcome,
    RenderError,
    Request,
    Response,
    Verdict,
)
from kubectl_sew.consumers.judge import judge, secrets_of, without_secrets

Send = Callable[[Request], Response]
"""Raises SendError."""

MOST_REQUESTS = 10
"""Requests that one attempt takes at most: one for each peer, or a look-up before it."""
_NO_SEARCH = "this receiver has no search"

_HOPE = (Verdict.DELIVERED, Verdict.WAIT, Verdict.RETRY, Verdict.REJECTED, Verdict.PARKED)
"""Of several peers' answers the first of these counts: what one of them may still take is not given up."""


@dataclass(frozen=True)
class Route:
    """Where a webhook's deliveries go."""

    webhook: str
    consumer: Consumer
    config: Config = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    settings_digest: str = ""
    endpoint_digest: str = ""

    @cached_property
    def finder(self) -> FindsEarlier | None:
        """The consumer, if its receiver can be asked whether it has a delivery already."""
        return self.consumer if isinstance(self.consumer, FindsEarlier) else None


def attempt(route: Route, delivery: Delivery, send: Send, *, now: float) -> Outcome:
    """Deliver, after a look whether an earlier attempt of unknown outcome has done so already. Raises nothing."""
    try:
        if delivery.in_doubt and route.finder:
            return _look_first(route, route.finder, delivery, send, now)
        return _deliver(route, delivery, send, now)
    except Exception as error:  # noqa: BLE001 - a mistake of ours costs one event, which is kept, and no worker
        detail = f"a mistake of this program, please report it: {type(error).__name__}"
        return Outcome(Verdict.REJECTED, FailureReason.INTERNAL, detail)


def _deliver(route: Route, delivery: Delivery, send: Send, now: float) -> Outcome:
    try:
        requests = route.consumer.render(
            delivery.event, route.labels, route.config, now=now, delivery_id=delivery.delivery_id
        )
    except RenderError as error:
        return Outcome(Verdict.REJECTED, FailureReason.RENDERING, str(error))
    outcomes = [_ask(route, request, send, now) for request in requests]
    return min(outcomes, key=lambda outcome: _HOPE.index(outcome.verdict))


def _ask(route: Route, request: Request, send: Send, now: float) -> Outcome:
    try:
        return judge(route.consumer, send(request), now, route.config)
    except SendError as error:
        return _unsent(error)


def _look_first(route: Route, finder: FindsEarlier, delivery: Delivery, send: Send, now: float) -> Outcome:
    """Sends it only where the receiver does not have it, or has no search at all."""
    for request in finder.lookup(route.config, delivery_id=delivery.delivery_id):
        try:
            result = finder.read_lookup(send(request), now=now)
        except SendError as error:
            return _unsent(error)
        if isinstance(result, Found):
            return Outcome(Verdict.DELIVERED, detail="found at the receiver", receipt=result.receipt)
        if isinstance(result, Failed):
            detail = without_secrets(result.outcome.detail, secrets_of(route.consumer, route.config))
            return replace(result.outcome, detail=f"looking for an earlier delivery: {detail}")
        if isinstance(result, NotFound):
            return _deliver(route, delivery, send, now)
    outcome = _deliver(route, delivery, send, now)
    return replace(outcome, detail=f"{outcome.detail or 'sent'} (without a look for an earlier one: {_NO_SEARCH})")


def _unsent(error: SendError) -> Outcome:
    return Outcome(Verdict.PARKED if error.parked else Verdict.RETRY, error.reason, error.detail)
