"""The effective state of a webhook, and who delivers for it: the agent, or Calico's own processor beside it. Pure.

Calico's processor serves every webhook whose `spec.state` is not Disabled. So an annotation says what the agent does
with one that is Disabled there: the webhook is taken over.
"""

from enum import Enum

STATE_ANNOTATION = "kubectl-sew/state"
"""The annotation with the state of a webhook that was taken over: `spec.state` is Disabled, and Calico's processor
leaves it alone."""
BEGIN_ANNOTATION = "kubectl-sew/begin"
"""The annotation with the time from which on events belong to the agent, of a webhook that was taken over."""
END_ANNOTATION = "kubectl-sew/end"
"""The annotation with the time before which events belong to the agent still, of a webhook that was handed back."""
CONDITIONS_ANNOTATION = "kubectl-sew/conditions"
"""The annotation with the agent's conditions of a webhook that was taken over: Calico's processor overwrites those in
the status, again and again."""
BESIDE_CALICO_ANNOTATION = "sew-agent/beside-calico"
"""The annotation of the agent's Lease that says, by `true`, that it leaves to Calico's processor what that delivers."""

MARGIN = 30.0
"""Seconds for which both deliver at a change of hands, so that nothing is lost: events come late, and a processor
takes its time to begin."""
CONTESTED = (
    "it was taken over, but its `spec.state` was set since, so Calico's processor delivers it: "
    "`kubectl sew takeover {name}` takes it over again, `kubectl sew handback {name}` leaves it there"
)
"""What is wrong with a webhook that is meant for both."""


class State(Enum):
    """The states of a webhook: what is done with its events."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"
    DEBUG = "Debug"
    TEST = "Test"


class Deliverer(Enum):
    """Who reads a webhook's events, and sends them."""

    AGENT = "sew-agent"
    CALICO = "Calico"
    NOBODY = "-"


def read_state(text: str) -> State | None:
    """Return the state of this name; None where there is none."""
    return next((state for state in State if state.value == text), None)


def effective_state(state: State, annotation: str) -> State:
    """Return what the agent does with a webhook: what the annotation says where `spec.state` is Disabled.

    An annotation that cannot be read changes nothing, so nothing is ever sent for it.
    """
    return (read_state(annotation) or state) if state is State.DISABLED else state


def is_taken_over(state: State, annotation: str) -> bool:
    """Return whether the webhook is the agent's, also beside Calico's processor."""
    return state is State.DISABLED and bool(annotation)


def delivered_by(state: State, annotation: str, *, beside_calico: bool) -> Deliverer:
    """Return who delivers for a webhook. `beside_calico`: the agent leaves to Calico's processor what that serves."""
    if beside_calico and not is_taken_over(state, annotation):
        return Deliverer.NOBODY if state is State.DISABLED else Deliverer.CALICO
    return Deliverer.NOBODY if effective_state(state, annotation) is State.DISABLED else Deliverer.AGENT
