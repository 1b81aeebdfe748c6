"""The log of a webhook's deliveries, as `deliveries` lists it, and one delivery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_ATTEMPTS = 200
"""Attempts on a page."""
AGAIN = ("pending", "dead")
"""States in which a delivery can be sent again: the event is still there."""


@dataclass(frozen=True, slots=True)
class LogView:
    """The attempts of a webhook, the newest first; `total` counts those that are left out, too."""

    name: str
    attempts: tuple[Mapping[str, Any], ...]
    total: int
    failed: bool
    event: str


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """One delivery: its facts, every attempt, and the event as text, "" where it is not kept."""

    name: str
    id: str
    facts: tuple[tuple[str, str], ...]
    attempts: tuple[Mapping[str, Any], ...]
    event: str
    again: bool


def log_view(name: str, attempts: Sequence[Mapping[str, Any]], *, failed: bool, event: str) -> LogView:
    """Return the page. `attempts` as `sew-agent deliveries list -o json` prints them, oldest first."""
    return LogView(name, tuple(reversed(attempts[-MOST_ATTEMPTS:])), len(attempts), failed, event)


def delivery_view(name: str, delivery: Mapping[str, Any], event: str) -> DeliveryView:
    """Return the page. `delivery` as `sew-agent deliveries show -o json` prints it; `event`: its document as text."""
    attempts = tuple(delivery.get("attempts") or ())
    sent = attempts[-1].get("sentTo") if attempts else None
    facts = {
        "State": delivery.get("state"),
        "Event": delivery.get("event"),
        "Index": delivery.get("index"),
        "Sent to": sent or "nothing was sent",
    }
    shown = tuple((label, str(value)) for label, value in facts.items() if value)
    state = str(delivery.get("state"))
    return DeliveryView(name, str(delivery.get("deliveryId")), shown, attempts, event, state in AGAIN)
