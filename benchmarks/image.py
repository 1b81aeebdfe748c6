"""Measure the agent's image: what a registry keeps of it, and how long the agent takes to start in it.

    python -m benchmarks.image [ROUNDS]

As root: the image is built over the tests' base, unpacked, and entered by chroot. ROUNDS (default 20) go in turns. Each
start is beside that of the image's Python, which does nothing.
"""

import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.processes import in_turns, least
from testbed.servers.images import agent_image
from tests.integration.install.test_image import manifest

PYTHON = "python3 -c pass"
WEBHOOK = """
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata: {name: w}
spec: {consumer: Generic, state: Enabled, query: severity > 0, config: [{name: url, value: "https://r.example/"}]}
"""


def main() -> None:
    """Print the figures."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory(prefix="sew-image-") as folder:
        archive = agent_image(Path(folder) / "image.tar")
        root = Path(folder) / "root"
        with tarfile.open(archive) as image:
            layers = manifest(image)["layers"]
            *base, agent = (layer["size"] / 2**20 for layer in layers)
            print(f"compressed, as a registry keeps it: {agent:.1f} MiB over a base of {sum(base):.1f} MiB")
            for layer in unpacked(image, layers):
                layer.extractall(root, filter="tar")
        measure(root, rounds)


def unpacked(image: tarfile.TarFile, layers: list[Mapping[str, Any]]) -> Iterator[tarfile.TarFile]:
    for layer in layers:
        with tarfile.open(fileobj=image.extractfile(f"blobs/{layer['digest'].replace(':', '/')}")) as files:
            yield files


def measure(root: Path, rounds: int) -> None:
    (root / "in" / "webhooks").mkdir(parents=True)
    (root / "in" / "webhooks" / "w.yaml").write_text(WEBHOOK)
    (root / "in" / "events").write_text("")
    agent = "/opt/sew/bin/sew-agent"
    commands = {
        PYTHON: PYTHON.split(),
        "sew-agent version": [agent, "version"],
        "sew-agent run --once": [
            *(agent, "run", "--once", "--state", "/in/state", "--webhooks", "/in/webhooks", "--events", "/in/events"),
        ],
    }
    inside = {name: ["chroot", str(root), *command] for name, command in commands.items()}
    measured = {name: least(times) for name, times in in_turns(inside, rounds).items()}
    print(f"least of {rounds} starts, in turns")
    for name, times in measured.items():
        print(f"  {name:22} {times.wall * 1e3:6.0f} ms, processor {times.cpu * 1e3:6.0f} ms")


if __name__ == "__main__":
    main()
