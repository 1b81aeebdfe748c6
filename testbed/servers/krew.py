"""The real krew, kubectl's plugin manager, and the check of its index on manifests. Free of pytest."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.servers.by_hand import serve
from testbed.servers.golang import go_program

VERSION = "0.5.0"


@dataclass(frozen=True)
class Krew:
    """The two programs of krew."""

    krew: Path
    validate_manifest: Path
    """Program of which `-manifest FILE -skip-install` ends with 0 for a manifest that the index would take."""


def find() -> Krew:
    """Build krew's programs where they are not there yet. Raises UnavailableError."""
    krew, check = (go_program("krew", f"sigs.k8s.io/krew/cmd/{name}", VERSION) for name in _PROGRAMS)
    return Krew(krew, check)


_PROGRAMS = ("krew", "validate-krew-manifest")


@contextmanager
def _by_hand() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="sew-krew-") as folder:
        programs = find()
        yield f"export KREW_ROOT={folder} KREW_NO_UPGRADE_CHECK=1 KREW={programs.krew}"


if __name__ == "__main__":
    serve(_by_hand())
