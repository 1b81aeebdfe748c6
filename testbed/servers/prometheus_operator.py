"""The kinds of the Prometheus operator, for an API server to judge objects by; no operator is run. Free of pytest."""

from pathlib import Path

from testbed.servers.building import built
from testbed.servers.golang import go

VERSION = "0.95.2"
_TYPES = "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"


def find() -> Path:
    """Return the folder with a definition of each kind, `monitoring.coreos.com_KINDS.yaml`. Raises UnavailableError.

    They are generated from the operator's Go types, as its own are, where they are not there yet; without descriptions.
    """

    def generate(folder: Path) -> None:
        words = ("crd:maxDescLen=0", f"paths={_TYPES}", f"output:crd:dir={folder}")
        go("prometheus-operator", "tool", "controller-gen", *words)

    return built("prometheus-operator", VERSION, generate)
