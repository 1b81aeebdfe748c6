"""Log of deliveries: what is written of an attempt. Pure; nothing in it is a secret."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from kubectl_sew.consumers.base import Outcome, Request
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EventMaps, Heading
from kubectl_sew.json_text import line
from sew_agent.delivery.peers import address
from sew_agent.store.records import DeliveryResult, DeliveryState, LoggedAttempt, ReceiverState

EVENT_LIMIT = 128
"""Characters of an event's id and index."""
_TYPE_LIMIT = 64
_ADDRESS_LIMIT = 128
_DETAIL_LIMIT = 300
_RECEIPT_LIMIT = 64
_WORST = 10**6


class Sent(NamedTuple):
    """Destination of requests that went side by side, as it may be shown, the bytes of their bodies, and the method."""

    to: str = ""
    bytes: int = 0
    method: str = ""
    """"" where nothing was sent."""


NOTHING = Sent()


def sent(requests: Sequence[Request]) -> Sent:
    """Return what went where: scheme and host of each receiver."""
    if len(requests) == 1:
        return Sent(_shown(requests[0].url), len(requests[0].body), requests[0].method)
    to = ", ".join(dict.fromkeys(_shown(request.url) for request in requests))
    size, method = sum(len(request.body) for request in requests), next((request.method for request in requests), "")
    return Sent(short(to, _ADDRESS_LIMIT), size, method)


def logged(
    result: DeliveryResult, receiver: ReceiverState, started: float, outcome: Outcome, went: Sent, maps: EventMaps
) -> LoggedAttempt:
    """Return the entry of an attempt. `started`: its beginning. `maps`: by which its event is read."""
    delivery, event = result.delivery, result.delivery.event
    kind, severity, time = _heading(event, maps)
    waits = result.state is DeliveryState.PENDING
    return LoggedAttempt(  # without names: this is done for each delivery
        delivery.webhook,
        delivery.seq,
        delivery.delivery_id,
        short(event.id, EVENT_LIMIT),
        short(event.index, EVENT_LIMIT),
        time,
        short("" if kind is None else kind, _TYPE_LIMIT),
        _severity(severity),
        delivery.attempts + 1,
        round(result.at, 3),
        max(int((result.at - started) * 1000 + 0.5), 0),
        result.state.value,
        outcome.reason.value,
        short(result.detail or outcome.detail, _DETAIL_LIMIT),
        outcome.status,
        went.to,
        went.bytes,
        short(outcome.receipt, _RECEIPT_LIMIT),
        max(result.due, receiver.held_until, receiver.retry_until) if waits else None,
        delivery.again,
    )


def short(value: Any, limit: int) -> str:
    """Return one clean line of any JSON value."""
    if value.__class__ is str and len(value) <= limit and value.isascii() and value.isprintable():
        return value
    return line(value, limit)


def _heading(event: Event, maps: EventMaps) -> Heading:
    try:
        return maps.heading(event)
    except Exception:  # noqa: BLE001 - a mistake of ours costs words in the log, and not all that is to be delivered
        return Heading("", None, None)


def _severity(value: Any) -> int | None:
    return int(value) if value.__class__ in (int, float) and 0 <= value <= _WORST else None


@lru_cache(maxsize=1024)
def _shown(url: str) -> str:
    return short(address(url), _ADDRESS_LIMIT)
