"""The real Helm, in the two major versions that people run. Free of pytest."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.servers.by_hand import serve
from testbed.servers.golang import go_program
from testbed.servers.matrix import WHOLE_MATRIX

V3, V4 = "3.22.0", "4.3.1"
VERSIONS = {"Helm 4": V4} | ({"Helm 3": V3} if WHOLE_MATRIX else {})
"""What is tested, by name."""
_KUBERNETES_OF_V3 = {
    f"{package}.k8sVersion{part}": value
    for package in ("pkg/chartutil", "pkg/lint/rules")
    for part, value in (("Major", "1"), ("Minor", "34"))
}
"""Variables of Helm 3 with the version of Kubernetes that it renders for without a cluster; 4 has its client's."""


@dataclass(frozen=True)
class Helm:
    """A program of Helm, whose files are in a folder of its own."""

    program: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        names = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
        return {name: str(self.folder / name.lower()) for name in names}

    def tries(self, *words: str | Path, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Run Helm, which may fail. `env` says which cluster it talks to, if any."""
        environment = {**os.environ, **self.environment, **(env or {})}
        return subprocess.run(
            [self.program, *words], env=environment, capture_output=True, text=True, check=False, cwd=self.folder
        )


def find(version: str) -> Path:
    """Build Helm where it is not there yet, and return its program. Raises UnavailableError."""
    major = version.partition(".")[0]
    package = f"helm.sh/helm/v{major}"
    stamps = {f"{package}/internal/version.version": f"v{version}"}
    if version == V3:
        stamps |= {f"{package}/{variable}": value for variable, value in _KUBERNETES_OF_V3.items()}
    return go_program(f"helm{major}", f"{package}/cmd/helm", version, stamps=stamps)


@contextmanager
def _by_hand() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="sew-helm-") as folder:
        made = Helm(find(V4), Path(folder))
        exports = [f"export {name}={value}" for name, value in made.environment.items()]
        yield "\n".join([*exports, f"export HELM={made.program}"])


if __name__ == "__main__":
    serve(_by_hand())
