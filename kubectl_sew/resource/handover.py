"""Changes of hands between Calico's processor and the agent: where each begins and ends, and the patch for it. Pure.

A webhook is taken over where Calico's processor has read to, by its condition Healthy, less a margin. It is handed back
a margin ahead: that processor begins with the events of the moment at which it sees the change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubectl_sew.event import read_time
from kubectl_sew.resource.conditions import OURS, Condition, HealthyReason, checkpoint
from kubectl_sew.resource.effective import (
    BEGIN_ANNOTATION,
    CONDITIONS_ANNOTATION,
    END_ANNOTATION,
    MARGIN,
    STATE_ANNOTATION,
    State,
)
from kubectl_sew.resource.model import Webhook
from kubectl_sew.text import rfc3339

Patch = dict[str, Any]

_READING = (HealthyReason.PROCESSING.value, HealthyReason.VALIDATION.value, HealthyReason.TEST.value)
"""The reasons with which Calico's processor writes how far it has read; with any other it does not deliver."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """The moment (epoch seconds) from which on events belong to the agent.

    `cursor`: how far Calico's processor has read; None where it says nothing of that, and `why`.
    """

    begin: float
    cursor: float | None = None
    why: str = ""


def beginning(webhook: Webhook, now: float) -> Beginning:
    """Return where the agent begins with a webhook that Calico's processor has delivered; `now` in epoch seconds."""
    healthy = webhook.condition("Healthy")
    if webhook.end is not None and not _has_begun(healthy, webhook.end):
        why = "Calico's processor has written nothing since it was handed back, so that nobody delivered it"
        return Beginning(min(webhook.end, now) - MARGIN, why=why)
    if healthy is None:
        return Beginning(now - MARGIN, why="Calico's processor has written no condition yet")
    if healthy.observed_generation or any(webhook.condition(kind) for kind in OURS):
        read = checkpoint(webhook.conditions)
        why = "its condition is an agent's, and not of Calico's processor"
        return Beginning(now - MARGIN if read is None else min(read, now), why=why)
    if healthy.reason not in _READING:
        return Beginning(now - MARGIN, why=f"Calico's processor does not deliver it ({healthy.reason})")
    cursor = read_time(healthy.last_transition_time)
    if cursor is None or cursor <= 0.0:  # Go writes a time that was never set as one of the year 1
        return Beginning(now - MARGIN, why="the time of Calico's condition cannot be read")
    return Beginning(min(cursor, now) - MARGIN, cursor)


def _has_begun(healthy: Condition | None, end: float) -> bool:
    """Return whether Calico's processor has seen that the webhook was handed back: whose end that is, a margin later.

    It may write once more that the webhook is Disabled just when that ends.
    """
    if healthy is None:
        return False
    at = read_time(healthy.last_transition_time)
    is_off = healthy.reason == HealthyReason.STATE.value
    return at is None or at > (end if is_off else end - MARGIN)


def takeover_patch(webhook: Webhook, begin: float) -> Patch:
    """Return the patch that takes a webhook over; {} for one that is taken over. Its state stays what it was.

    One that is Disabled begins when it is enabled.
    """
    if webhook.is_taken_over:
        return {}
    annotations = {
        STATE_ANNOTATION: webhook.state.value,
        BEGIN_ANNOTATION: None if webhook.state is State.DISABLED else rfc3339(begin),
        END_ANNOTATION: None,
        CONDITIONS_ANNOTATION: None,
    }
    return {"metadata": {"annotations": annotations}, "spec": {"state": State.DISABLED.value}}


def handback_patch(webhook: Webhook, now: float, *, with_status: bool) -> Patch:
    """Return the patch that hands a webhook back; {} for one that is not taken over. Its state stays what it was.

    One that was contested is with Calico's processor already, and loses the annotations alone. `with_status`: write
    the condition, too, from whose time a processor might go on.
    """
    if not webhook.state_text:
        return {}
    taken = [STATE_ANNOTATION, BEGIN_ANNOTATION, CONDITIONS_ANNOTATION]
    annotations: Patch = {**dict.fromkeys(taken), END_ANNOTATION: rfc3339(now + MARGIN)}
    if webhook.is_contested:
        return {"metadata": {"annotations": annotations}}
    state = webhook.effective_state
    patch: Patch = {"metadata": {"annotations": annotations}, "spec": {"state": state.value}}
    if with_status and state is not State.DISABLED:
        patch["status"] = [_cursor(now)]
    return patch


def _cursor(now: float) -> Mapping[str, Any]:
    """Return a condition as Calico's processor writes it: everything is read up to now."""
    moment = {"lastTransitionTime": rfc3339(now), "message": "handed back by kubectl sew"}
    return {"type": "Healthy", "status": "True", "reason": HealthyReason.PROCESSING.value, **moment}


def state_patch(webhook: Webhook, state: State) -> Patch:
    """Return the patch that sets the effective state, where that stands; {} where it is so already."""
    if webhook.effective_state is state:
        return {}
    if webhook.is_taken_over:
        return {"metadata": {"annotations": {STATE_ANNOTATION: state.value}}}
    return {"spec": {"state": state.value}}
