"""The running agent: who it is, by its Lease, and what it says, by its own commands in its container."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kubectl_sew.errors import SewError
from kubectl_sew.event import read_time
from kubectl_sew.kubectl import Kubectl, KubectlError, KubectlProblem
from kubectl_sew.resource.effective import BESIDE_CALICO_ANNOTATION
from kubectl_sew.resource.structure import is_dns_name
from kubectl_sew.text import rfc3339, spell_seconds

CONTAINER = "sew-agent"
LEASE = "sew-agent"
OUTSIDE = "outside"
"""The namespace that an agent outside of the cluster writes."""
_INSTALL = "`kubectl sew check` says what is missing, `kubectl sew install` installs one"


class AgentError(SewError):
    """Raised where no agent can be asked: `said` is why, without advice."""

    def __init__(self, said: str, hint: str = "") -> None:
        super().__init__(f"{said}: {hint}" if hint else said)
        self.said = said


@dataclass(frozen=True, slots=True)
class Holder:
    """The pod that holds the Lease: the active agent. `renewed` in epoch seconds, `duration` in seconds.

    `beside_calico`: it leaves to Calico's processor what that delivers, as it has written there itself.
    """

    namespace: str
    pod: str
    renewed: float | None
    duration: float
    beside_calico: bool = False

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}"

    @property
    def outside(self) -> bool:
        """True where the holder runs in no pod of this cluster."""
        return self.namespace == OUTSIDE

    def expired(self, now: float) -> bool:
        """Return whether no agent has renewed it for so long that another would have taken over."""
        return self.renewed is not None and now - self.renewed > 2 * self.duration


def find_holder(kubectl: Kubectl, secrets_namespace: str) -> Holder:
    """Raises AgentError where nobody holds the Lease or it may not be read, KubectlError without a server."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{quote(secrets_namespace)}/leases/{LEASE}"
    try:
        lease = kubectl.get(path)
    except KubectlError as error:
        if error.problem is KubectlProblem.NOT_FOUND:
            message = f"no agent has ever held the Lease {LEASE} in the namespace {secrets_namespace}"
            raise AgentError(message, _INSTALL) from None
        if error.problem is KubectlProblem.FORBIDDEN:
            raise AgentError(error.said, error.hint) from None
        raise
    spec, annotations = lease.get("spec") or {}, (lease.get("metadata") or {}).get("annotations") or {}
    namespace, _, pod = str(spec.get("holderIdentity") or "").partition("/")
    if pod and not (is_dns_name(namespace) and is_dns_name(pod)):
        message = f"what holds the Lease {LEASE} in the namespace {secrets_namespace} is not NAMESPACE/POD"
        raise AgentError(message, "something other than an agent wrote it: who may change Leases there?")
    if not pod:
        raise AgentError(f"no agent holds the Lease {LEASE} in the namespace {secrets_namespace}", _INSTALL)
    duration, beside_calico = spec.get("leaseDurationSeconds") or 15, annotations.get(BESIDE_CALICO_ANNOTATION)
    return Holder(namespace, pod, read_time(spec.get("renewTime")), float(duration), beside_calico == "true")


def is_beside_calico(kubectl: Kubectl, secrets_namespace: str) -> bool | None:
    """Return whether the active agent leaves to Calico's processor what that delivers; None where nobody can say."""
    try:
        return find_holder(kubectl, secrets_namespace).beside_calico
    except (AgentError, KubectlError):
        return None


def silence(kubectl: Kubectl, holder: Holder, clock: Callable[[], float]) -> str:
    """Return for how long the Lease was not renewed, where that is too long, and what that means; "" otherwise.

    `clock`: this machine's (epoch seconds), which is asked first; what it says is believed where the server says so.
    """
    if not holder.expired(clock()):
        return ""
    try:
        now = clock() - clock_ahead(kubectl, clock)
    except KubectlError:
        now = clock()
    if holder.renewed is None or not holder.expired(now):
        return ""
    silent = spell_seconds(now - holder.renewed)
    return f"the agent {holder} has been silent for {silent}: what follows is what it last wrote"


def clock_ahead(kubectl: Kubectl, clock: Callable[[], float]) -> float:
    """Seconds by which this machine's clock is ahead of the API server's. Raises KubectlError.

    A review of who asks carries the server's time, in whole seconds, and anybody may make one.
    """
    before = clock()
    review = kubectl.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", _REVIEW)
    here, there = (before + clock()) / 2, read_time(review["metadata"].get("creationTimestamp"))
    if there is None:
        raise KubectlError(KubectlProblem.OTHER, "the API server's answer has no time in it")
    return here - (there + 0.5)


_REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


def ask(kubectl: Kubectl, holder: Holder, *command: str) -> str:
    """Return the output of `sew-agent …` in the agent's container. Raises AgentError."""
    if holder.outside:
        message = f"the agent runs outside of the cluster ({holder.pod}), where kubectl cannot ask it"
        raise AgentError(message, f"run `sew-agent {command[0]} --state DIR` there")
    try:
        return kubectl.execute(holder.namespace, holder.pod, CONTAINER, ["sew-agent", *command])
    except KubectlError as error:
        if error.problem is KubectlProblem.COMMAND:
            raise AgentError(f"{holder}: {error.said}") from None
        if error.problem is KubectlProblem.NOT_FOUND:
            last = "" if holder.renewed is None else f" since {rfc3339(holder.renewed)}"
            message = f"the pod {holder}, which holds the Lease, is gone, and no other agent has taken over{last}"
            raise AgentError(message, _INSTALL) from None
        raise AgentError(f"{holder} cannot be asked: {error.said}", error.hint) from None


def ask_status(kubectl: Kubectl, holder: Holder) -> dict[str, Any]:
    """Return what the agent reports of itself and of all webhooks, as `sew-agent status -o json` writes it."""
    return read_status(ask(kubectl, holder, "status", "-o", "json"))


def read_status(text: str) -> dict[str, Any]:
    """Raises AgentError where it is not what an agent of this kind prints."""
    try:
        report = json.loads(text)
    except ValueError:
        report = None
    if not isinstance(report, dict) or not isinstance(report.get("agent"), dict):
        raise AgentError("the agent's status cannot be read", "is it of another version than `kubectl sew version`?")
    rows: Sequence[Any] = report.get("webhooks") or ()
    return {**report, "webhooks": [row for row in rows if isinstance(row, dict) and row.get("name")]}
