"""A real Kubernetes API server with its etcd on loopback: empty, RBAC, no nodes, no controllers. Free of pytest.

Built from Kubernetes' own source, etcd from Debian; `KUBEBUILDER_ASSETS`, a folder with kube-apiserver, etcd and
kubectl as envtest has it, comes first, unless a version is chosen: nobody knows which one it holds.
"""

import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from testbed.servers.building import program
from testbed.servers.by_hand import serve
from testbed.servers.golang import go_program
from testbed.servers.running import Server, free_port

VERSIONS = {"1.32": "1.32.4", "1.36": "1.36.3"}
"""A minor version -> what is built of it, from the module go/kubernetes-MINOR."""
CHOSEN = os.environ.get("KUBERNETES_VERSION", "")
"""One of them, which `make test-matrix` chooses for the tests in a cluster; else the first."""
READY_WITHIN = 60.0
_STAMP = "k8s.io/component-base/version"
_ADMIN = "admin-of-the-tests"


@dataclass(frozen=True)
class ControlPlanePrograms:
    """The programs of an API server, and kubectl."""

    apiserver: Path
    etcd: Path
    kubectl: Path


def find() -> ControlPlanePrograms:
    """Find or build the programs. Raises UnavailableError."""
    return ControlPlanePrograms(
        apiserver=_given("kube-apiserver") or kubernetes_program("kube-apiserver"),
        etcd=_given("etcd") or program("etcd", "etcd-server"),
        kubectl=kubectl(),
    )


def kubectl() -> Path:
    """Find or build kubectl alone: one of your own, unless a version is chosen. Raises UnavailableError."""
    own = None if CHOSEN else shutil.which("kubectl")
    return _given("kubectl") or Path(own or kubernetes_program("kubectl"))


def kubernetes_program(name: str) -> Path:
    """Build one of Kubernetes' own programs, such as `kubelet`, from source. Raises UnavailableError."""
    chosen = CHOSEN or next(iter(VERSIONS))
    version = VERSIONS[chosen]
    major, minor, _ = version.split(".")
    stamps = {f"{_STAMP}.gitVersion": f"v{version}", f"{_STAMP}.gitMajor": major, f"{_STAMP}.gitMinor": minor}
    return go_program(f"kubernetes-{chosen}", f"k8s.io/kubernetes/cmd/{name}", version, stamps=stamps)


def _given(name: str) -> Path | None:
    folder = None if CHOSEN else os.environ.get("KUBEBUILDER_ASSETS")
    return Path(folder) / name if folder and (Path(folder) / name).exists() else None


@dataclass
class Kubernetes:
    """A running API server whose data and port outlive `stop` and `start`."""

    programs: ControlPlanePrograms
    folder: Path
    arguments: Sequence[str]
    port: int = field(default_factory=free_port)
    _server: Server | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        """Certificate by which clients know the server."""
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def account_key(self) -> Path:
        """Private key that service accounts' tokens are signed with."""
        return self.folder / "service-accounts.key"

    @property
    def log(self) -> Path:
        return self.folder / "kube-apiserver.log"

    @cached_property
    def admin(self) -> Path:
        """Kubeconfig of the admin, who may do everything."""
        return self.kubeconfig("admin", _ADMIN)

    @cached_property
    def environment(self) -> dict[str, str]:
        """Environment in which kubectl and the plugin talk to this server as the admin."""
        return {
            "KUBECONFIG": str(self.admin),
            "KUBECACHEDIR": str(self.folder / "kubectl-cache"),
            "KUBECTL_PATH": str(self.programs.kubectl),
        }

    def kubeconfig(self, name: str, token: str, namespace: str = "default") -> Path:
        """Write the kubeconfig of whoever has the token, and return its path. Context and user are called `name`."""
        config = self.folder / f"{name}.kubeconfig"
        config.write_text(json.dumps(_kubeconfig(self.url, self.ca, name, token, namespace)))
        return config

    def token(self, account: str, namespace: str = "default", duration: str = "24h") -> str:
        """Return a token of an existing service account, as a pod of it would have."""
        return self.kubectl("create", "token", account, "--namespace", namespace, "--duration", duration).strip()

    def as_account(self, account: str, namespace: str = "default") -> Path:
        """Return the kubeconfig of a service account, made where it is missing. It may do what RBAC grants it."""
        arguments = ("serviceaccount", account, "--namespace", namespace)
        if not self.kubectl("get", *arguments, "--ignore-not-found"):
            self.kubectl("create", *arguments)
        return self.kubeconfig(f"{namespace}-{account}", self.token(account, namespace), namespace)

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run kubectl as the admin, and return its standard output. Raises AssertionError with its error."""
        done = self.try_kubectl(*arguments, stdin=stdin, env=env)
        assert done.returncode == 0, f"kubectl {' '.join(map(str, arguments))}: {done.stderr}{done.stdout}"
        return done.stdout

    def try_kubectl(
        self, *arguments: str | Path, stdin: str | None = None, env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run kubectl, which may fail, as the admin or as whoever `KUBECONFIG` in `env` says."""
        environment = {**os.environ, **self.environment, **(env or {})}
        command = [self.programs.kubectl, *arguments]
        return subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, check=False)

    def apply(self, *objects: Mapping[str, Any] | Path) -> None:
        """Apply manifests in files, folders, or memory."""
        for item in objects:
            if isinstance(item, Path):
                self.kubectl("apply", "-f", item)
            else:
                self.kubectl("apply", "-f", "-", stdin=json.dumps(item))

    def define(self, definition: Path) -> None:
        """Apply a custom resource definition, and wait until it is served."""
        self.apply(definition)
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", definition)

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get … -o json` prints, read."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def start(self) -> None:
        """Start the server on its port, and wait until it is ready."""
        self._server = Server([self.programs.apiserver, *self.arguments, "--secure-port", str(self.port)], self.log)
        self._server.wait_until(self._ready, READY_WITHIN)

    def stop(self) -> None:
        """Kill the server: connections are refused from now on."""
        if self._server is not None:
            self._server.stop()

    def restart(self) -> None:
        self.stop()
        self.start()

    def hang(self) -> None:
        """Let the server accept connections and answer nothing, until `resume`."""
        assert self._server is not None
        self._server.signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._server is not None
        self._server.signal(signal.SIGCONT)

    def _ready(self) -> bool:
        return self.ca.exists() and all(self._answers(path) for path in ("/readyz", "/api/v1/namespaces/default"))

    def _answers(self, path: str) -> bool:
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
            request = Request(self.url + path, headers={"Authorization": f"Bearer {_ADMIN}"})
            with opener.open(request, timeout=5):
                return True
        except (URLError, OSError, ssl.SSLError):
            return False


WITHOUT_CONTROLLERS = ("--disable-admission-plugins=ServiceAccount",)
"""Arguments without the admission of service accounts, since no controller manager makes those."""


@contextmanager
def kubernetes(
    programs: ControlPlanePrograms, *, arguments: Sequence[str] = WITHOUT_CONTROLLERS
) -> Iterator[Kubernetes]:
    """Run an API server, ready, and keep nothing of it. `arguments` go to kube-apiserver beside what it needs."""
    with tempfile.TemporaryDirectory(prefix="sew-kubernetes-") as name, ExitStack() as stack:
        folder = Path(name)
        etcd, command = _etcd(programs.etcd, folder)
        stack.enter_context(Server(command, folder / "etcd.log"))
        server = Kubernetes(programs, folder, [*_arguments(folder, etcd), *arguments])
        stack.callback(server.stop)
        server.start()
        yield server


def _etcd(binary: Path, folder: Path) -> tuple[str, list[str | Path]]:
    url, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    urls = ("--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", peers)
    joined = ("--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}")
    return url, [binary, "--data-dir", folder / "etcd", *urls, *joined, "--unsafe-no-fsync"]


def _arguments(folder: Path, etcd: str) -> list[str]:
    key, tokens = folder / "service-accounts.key", folder / "tokens.csv"
    openssl = program("openssl", "openssl")
    subprocess.run([openssl, "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key], check=True)
    tokens.write_text(f'{_ADMIN},admin,1,"system:masters"\n')
    options = {
        "etcd-servers": etcd,
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "endpoint-reconciler-type": "none",
        "cert-dir": folder / "certificates",
        "service-account-key-file": key,
        "service-account-signing-key-file": key,
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-cluster-ip-range": "10.0.0.0/24",
        "authorization-mode": "RBAC",
        "token-auth-file": tokens,
        "allow-privileged": "true",
    }
    return [f"--{name}={value}" for name, value in options.items()]


def _kubeconfig(url: str, ca: Path, name: str, token: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": "tests", "user": name, "namespace": namespace}}],
        "current-context": name,
    }


def exports(server: Kubernetes) -> str:
    """Return what a shell runs to make kubectl and the plugin talk to the server as the admin."""
    return "\n".join(f"export {name}={value}" for name, value in server.environment.items())


@contextmanager
def _by_hand() -> Iterator[str]:
    with kubernetes(find()) as server:
        yield exports(server)


if __name__ == "__main__":
    serve(_by_hand())
