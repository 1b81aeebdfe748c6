"""The agent's pods: those with its container, of the service accounts that its rights are bound to."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from kubectl_sew.cluster.agent import CONTAINER
from kubectl_sew.event import read_time
from kubectl_sew.install.holders import Account
from kubectl_sew.kubectl import Kubectl, KubectlError, KubectlProblem
from kubectl_sew.text import plural

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AgentPod:
    """A pod with the agent's container. `problem`: why that does not run as it should, "" where it does."""

    namespace: str
    name: str
    account: Account
    selector: str = ""
    """The labels of the webhooks that this agent serves; "" for all."""
    beside_calico: bool = False
    """True where it leaves to Calico's processor what that delivers."""
    api_group: str = ""
    """The one that it is set to read, "" where it finds out by itself."""
    problem: str = ""
    ended: str = ""
    """The end of the container that ran before this one, "" where none did, or it ended as it should."""
    ended_at: float | None = None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def agent_pods(kubectl: Kubectl, accounts: Iterable[Account], active: tuple[str, str] | None) -> tuple[AgentPod, ...]:
    """The pods of some accounts that hold the agent's container, alone or as a sidecar, and the `active` one.

    `active`: namespace and name. Raises KubectlError.
    """
    pods = {str(pod): pod for account in accounts for pod in _pods(kubectl, account)}
    if active and "/".join(active) not in pods:
        pods |= {str(pod): pod for pod in _pod(kubectl, *active)}
    return tuple(pods.values())


def _pods(kubectl: Kubectl, account: Account) -> Iterator[AgentPod]:
    path = f"/api/v1/namespaces/{quote(account.namespace)}/pods"
    listed = kubectl.get(path, fieldSelector=f"spec.serviceAccountName={account.name}")
    for pod in listed.get("items") or ():
        if agent := read_pod(pod):
            yield agent


def _pod(kubectl: Kubectl, namespace: str, name: str) -> Iterator[AgentPod]:
    try:
        agent = read_pod(kubectl.get(f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(name)}"))
    except KubectlError as error:
        if error.problem is not KubectlProblem.NOT_FOUND:
            raise
    else:
        if agent:
            yield agent


def read_pod(pod: Object) -> AgentPod | None:
    """Return the agent's pod; None where it is none, has ended or is being deleted: another one takes its place."""
    metadata, spec = pod["metadata"], pod["spec"]
    containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
    ours = next((container for container in containers if container["name"] == CONTAINER), None)
    if ours is None or metadata.get("deletionTimestamp") or _phase(pod) in ("Succeeded", "Failed"):
        return None
    account = Account(metadata["namespace"], spec.get("serviceAccountName", "default"))
    selector, group = _setting(ours, "selector"), _setting(ours, "api-group")
    beside_calico = _setting(ours, "beside-calico") == "true"
    place, name = metadata["namespace"], metadata["name"]
    return AgentPod(place, name, account, selector, beside_calico, group, _trouble(pod), *_before(pod))


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def _setting(container: Object, name: str) -> str:
    """A setting of the agent's by its flag or its variable; "" where it is not set."""
    flag, variable = f"--{name}", f"SEW_{name.upper().replace('-', '_')}"
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    for word, following in pairwise([*words, ""]):
        if word.partition("=")[0] == flag:
            return str(word.partition("=")[2] or following)
    by_name = {entry["name"]: entry for entry in container.get("env") or ()}
    return str(by_name.get(variable, {}).get("value") or "")


def _ours(status: Object) -> Object | None:
    states = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return next((state for state in states if state["name"] == CONTAINER), None)


def _before(pod: Object) -> tuple[str, float | None]:
    """Return how the container that ran before ended, and when."""
    last = ((_ours(pod.get("status") or {}) or {}).get("lastState") or {}).get("terminated")
    if not last or last.get("exitCode") == 0:
        return "", None
    at = str(last.get("finishedAt") or "")
    ended = f"{last.get('reason') or 'it failed'}, exit code {last.get('exitCode')}" + (f", at {at}" if at else "")
    return ended, read_time(at)


def _trouble(pod: Object) -> str:
    status = pod.get("status") or {}
    ours = _ours(status)
    if ours is None:
        return _not_started(status)
    state = ours.get("state") or {}
    if "running" in state:
        return "" if ours.get("ready") else "it runs, but is not ready"
    ((kind, why),) = list(state.items())[:1] or [("waiting", {})]
    reason = ": ".join(filter(None, (why.get("reason"), why.get("message"))))
    times = ours.get("restartCount")
    restarts = f", restarted {times} {plural(times, 'time')}" if times else ""
    return f"its container is {kind}{restarts}" + (f" ({reason})" if reason else "")


def _not_started(status: Object) -> str:
    conditions = [condition for condition in status.get("conditions") or () if condition.get("status") == "False"]
    why = next((f" ({condition['message']})" for condition in conditions if condition.get("message")), "")
    return f"the pod is {status.get('phase', 'unknown')}{why}"
