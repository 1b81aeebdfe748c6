"""The agent's state, read from its pod."""

from typing import Any

import pytest

from kubectl_sew.check.pods import read_pod

RUNNING = {"name": "sew-agent", "ready": True, "restartCount": 0, "state": {"running": {"startedAt": "x"}}}


def pod(*states: dict[str, Any], spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    containers = {"containers": [{"name": "sew-agent", "image": "x"}], "serviceAccountName": "host"}
    return {
        "metadata": {"namespace": "here", "name": "p"},
        "spec": spec or containers,
        "status": {"phase": "Running", "containerStatuses": list(states), **status},
    }


def test_a_pod_without_the_container_is_none_of_ours() -> None:
    assert read_pod(pod(spec={"containers": [{"name": "web"}]})) is None


def test_a_pod_that_is_over_is_none_either() -> None:
    leaving = pod(RUNNING)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert read_pod(leaving) is None
    assert read_pod(pod(phase="Failed", reason="Evicted")) is None


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (RUNNING, ""),
        ({**RUNNING, "ready": False}, "it runs, but is not ready"),
        (
            {"name": "sew-agent", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
            "its container is waiting (ImagePullBackOff: no such image)",
        ),
        (
            {"name": "sew-agent", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
            "its container is waiting, restarted 4 times (CrashLoopBackOff)",
        ),
        (
            {"name": "sew-agent", "restartCount": 1, "state": {"terminated": {"reason": "Error"}}},
            "its container is terminated, restarted 1 time (Error)",
        ),
        ({"name": "sew-agent", "state": {}}, "its container is waiting"),
    ],
)
def test_the_containers_state_is_reported(state: dict[str, Any], problem: str) -> None:
    agent_pod = read_pod(pod(state))
    assert agent_pod is not None
    assert agent_pod.problem == problem


def test_a_pod_that_has_no_node_says_why() -> None:
    conditions = [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]
    agent_pod = read_pod(pod(phase="Pending", conditions=conditions))
    assert agent_pod is not None
    assert agent_pod.problem == "the pod is Pending (0/3 nodes are available)"


def test_a_native_sidecar_is_found_among_the_init_containers() -> None:
    spec = {"containers": [{"name": "web"}], "initContainers": [{"name": "sew-agent"}], "serviceAccountName": "host"}
    agent_pod = read_pod(pod(spec=spec, initContainerStatuses=[RUNNING]))
    assert agent_pod is not None
    assert (agent_pod.problem, str(agent_pod.account)) == ("", "here/host")


@pytest.mark.parametrize(
    "container",
    [
        {"env": [{"name": "SEW_SELECTOR", "value": "team=a"}]},
        {"args": ["run", "--selector", "team=a"]},
        {"args": ["run", "--selector=team=a"]},
    ],
)
def test_a_selector_is_seen(container: dict[str, Any]) -> None:
    agent_pod = read_pod(pod(RUNNING, spec={"containers": [{"name": "sew-agent", **container}]}))
    assert agent_pod is not None
    assert agent_pod.selector == "team=a"
