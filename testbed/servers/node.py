"""A whole node on loopback: API server, controllers, scheduler, kubelet and containerd; its pods are real containers.

As root on Debian; free of pytest. kubelet and containerd, and so every container, run in namespaces of their own for
processes and mounts: with those they end, whatever happens, and nothing stays mounted. Pods use the host's network
(`hostNetwork: true`), images that were loaded (`imagePullPolicy: Never`), and find the API server at
`KUBERNETES_SERVICE_HOST` and `_PORT`, which they are to be given, since no proxy serves its usual address.
"""

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from glob import glob
from itertools import chain
from pathlib import Path

from testbed.servers import kubernetes as control_plane
from testbed.servers.building import UnavailableError, program, run
from testbed.servers.by_hand import serve
from testbed.servers.images import PAUSE, base_image, pause_image
from testbed.servers.kubernetes import Kubernetes, exports, kubernetes, kubernetes_program
from testbed.servers.running import Server, free_port

READY_WITHIN = 120.0
NAME = "localhost"
_CGROUPS = ("/sys/fs/cgroup/*/k8s.io", "/sys/fs/cgroup/k8s.io")  # version 1 and 2
_NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_RUNTIME_THEN_KUBELET = """
for folder in /run/containerd /var/lib/kubelet /var/log/containers; do
  mkdir -p $folder && mount -t tmpfs none $folder
done
"$1" --config "$2" >>"$3/containerd.log" 2>&1 &
until [ -S "$3/containerd.sock" ]; do sleep 0.05; done
"$4" --config "$5" --kubeconfig "$6" --hostname-override localhost --root-dir "$3/kubelet" --cert-dir "$3/pki" &
wait -n
"""


@dataclass(frozen=True)
class NodePrograms:
    """The programs of a node."""

    control_plane: control_plane.ControlPlanePrograms
    controllers: Path
    scheduler: Path
    kubelet: Path
    containerd: Path
    ctr: Path
    pause: Path


def find() -> NodePrograms:
    """Find, build or install the programs. Raises UnavailableError."""
    if os.geteuid() != 0:
        raise UnavailableError("a node needs root")
    program("runc", "runc")
    return NodePrograms(
        control_plane=control_plane.find(),
        controllers=kubernetes_program("kube-controller-manager"),
        scheduler=kubernetes_program("kube-scheduler"),
        kubelet=kubernetes_program("kubelet"),
        containerd=program("containerd", "containerd"),
        ctr=program("ctr", "containerd"),
        pause=pause_image(),
    )


@dataclass(frozen=True)
class KubernetesNode:
    """A running node, with the API server that it belongs to."""

    kubernetes: Kubernetes
    programs: NodePrograms
    folder: Path
    server: Server

    @property
    def api_environment(self) -> list[dict[str, str]]:
        """The `env` of containers that use the API server."""
        address = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.kubernetes.port)}
        return [{"name": name, "value": value} for name, value in address.items()]

    def load(self, archive: Path) -> None:
        """Load the image of an OCI archive into the node."""
        address = ("--address", self.folder / "containerd.sock", "--namespace", "k8s.io")
        run(self.programs.ctr, *address, "images", "import", archive)

    def ready(self) -> bool:
        conditions = self.kubernetes.try_kubectl(
            "get", "node", NAME, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        )
        return conditions.stdout == "True"


@contextmanager
def node(programs: NodePrograms) -> Iterator[KubernetesNode]:
    """Run a node, ready for pods, and keep nothing of it."""
    by_name = ("--kubelet-preferred-address-types=Hostname",)
    with ExitStack() as stack:
        server = stack.enter_context(kubernetes(programs.control_plane, arguments=by_name))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sew-node-", ignore_cleanup_errors=True)))
        for name, command in _controllers(programs, server).items():
            stack.enter_context(Server(command, folder / f"{name}.log"))
        runs = stack.enter_context(Server(_runtime(programs, server, folder), folder / "kubelet.log"))
        stack.callback(_end, runs)
        made = KubernetesNode(server, programs, folder, runs)
        runs.wait_until(made.ready, READY_WITHIN)
        made.load(programs.pause)
        yield made


def _controllers(programs: NodePrograms, server: Kubernetes) -> dict[str, list[str | Path]]:
    common: list[str | Path] = ["--leader-elect=false", "--bind-address=127.0.0.1"]
    common += [f"--{kind}kubeconfig={server.admin}" for kind in ("", "authentication-", "authorization-")]
    keys = [f"--service-account-private-key-file={server.account_key}", f"--root-ca-file={server.ca}"]
    return {
        "controllers": [programs.controllers, *common, *keys, f"--secure-port={free_port()}"],
        "scheduler": [programs.scheduler, *common, f"--secure-port={free_port()}"],
    }


def _runtime(programs: NodePrograms, server: Kubernetes, folder: Path) -> list[str | Path]:
    config, kubelet = folder / "containerd.toml", folder / "kubelet.json"
    config.write_text(_CONTAINERD.format(folder=folder, pause=PAUSE))
    (folder / "cni").mkdir()
    (folder / "cni" / "loopback.conflist").write_text(json.dumps(_LOOPBACK))
    kubelet.write_text(json.dumps(_kubelet(folder)))
    script = ("bash", "-c", _RUNTIME_THEN_KUBELET, "node")
    return [*_NAMESPACES, *script, programs.containerd, config, folder, programs.kubelet, kubelet, server.admin]


def _kubelet(folder: Path) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "127.0.0.1",
        "port": free_port(),
        "readOnlyPort": 0,
        "healthzPort": 0,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        "localStorageCapacityIsolation": False,
        "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
        "volumePluginDir": f"{folder}/volume-plugins",
        "podLogsDir": f"{folder}/pod-logs",
        "evictionHard": {"imagefs.available": "0%", "nodefs.available": "0%", "memory.available": "50Mi"},
    }


def _end(server: Server) -> None:
    """Kill the first process of the namespaces: when it is gone, all the others are."""
    for child in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    server.wait()
    _remove_cgroups()


def _remove_cgroups() -> None:
    """Remove the cgroups that ended nodes left. One that still has a process stays."""
    for root in chain.from_iterable(map(glob, _CGROUPS)):
        for folder, _, _ in os.walk(root, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


_LOOPBACK = {"cniVersion": "0.4.0", "name": "loopback", "plugins": [{"type": "loopback"}]}
_CONTAINERD = """
version = 2
root = "{folder}/containerd"
state = "{folder}/run"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
"""


@contextmanager
def _by_hand() -> Iterator[str]:
    with node(find()) as made:
        made.load(base_image())
        yield exports(made.kubernetes)


if __name__ == "__main__":
    serve(_by_hand())
