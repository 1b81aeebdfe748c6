"""Build images of containers without a registry, from Debian's packages by buildah. As root; free of pytest."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from testbed.servers.building import UnavailableError, built, program, run

PAUSE = "localhost/pause:1"
BASE = "localhost/base:bookworm"
AGENT = "localhost/sew-agent:tests"
_CHECKOUT = Path(__file__).parents[2]
_PAUSE_SOURCE = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n"
_NOT_NEEDED = ("usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache/apt", "var/lib/apt/lists")
_CERTIFICATES = "/etc/ssl/certs"


def pause_image() -> Path:
    """Return the archive of `PAUSE`: a program that waits to be ended, and nothing else. Raises UnavailableError."""

    def build(folder: Path) -> None:
        (folder / "pause.c").write_text(_PAUSE_SOURCE)
        run(program("gcc", "gcc"), "-static", "-Os", "-s", "-o", folder / "pause", folder / "pause.c")
        (folder / "Dockerfile").write_text('FROM scratch\nCOPY pause /\nENTRYPOINT ["/pause"]\n')
        with buildah() as tool:
            tool.build(folder / "Dockerfile", folder, PAUSE, folder / "image.tar")

    return built("image-pause", "1", build) / "image.tar"


def base_image() -> Path:
    """Return the archive of `BASE`: Debian 12 with Python, certificates and little else. Raises UnavailableError."""

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="sew-debian-") as context, buildah() as tool:
            debootstrap = (program("debootstrap", "debootstrap"), "--variant=minbase")
            packages = "--include=python3,python3-venv,ca-certificates"
            run("nice", *debootstrap, packages, "bookworm", Path(context) / "root")
            for part in _NOT_NEEDED:
                shutil.rmtree(Path(context) / "root" / part)
            (Path(context) / "Dockerfile").write_text("FROM scratch\nCOPY root /\n")
            tool.build(Path(context) / "Dockerfile", Path(context), BASE, folder / "image.tar")

    return built("image-base", "bookworm", build) / "image.tar"


def agent_image(archive: Path) -> Path:
    """Build `AGENT`, the agent's image of this checkout, over `BASE` into an archive. Raises UnavailableError."""
    with buildah() as tool:
        tool.pull(base_image())
        tool.build(_CHECKOUT / "agent" / "Dockerfile", _CHECKOUT, AGENT, archive, {"BASE": BASE})
    return archive


class Buildah:
    """A buildah with a store of its own, and with the network and the certificates of this machine."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._command = (binary, "--storage-driver", "vfs", "--root", folder / "root", "--runroot", folder / "run")

    def build(
        self, dockerfile: Path, context: Path, name: str, archive: Path, arguments: Mapping[str, str] | None = None
    ) -> None:
        """Build an image and write it as OCI archive. Build arguments may name a base `oci-archive:FILE`."""
        given = [word for item in (arguments or {}).items() for word in ("--build-arg", "=".join(item))]
        volume = ("--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro") if given else ()
        options = ("--isolation", "chroot", "--pull=false", "--file", dockerfile, "--tag", name)
        run("nice", *self._command, "bud", *options, *volume, *given, context)
        run(*self._command, "push", "--disable-compression", name, f"oci-archive:{archive}:{name}")

    def pull(self, archive: Path) -> None:
        """Load an archive's image under its name, to build from."""
        run(*self._command, "pull", f"oci-archive:{archive}")


@contextmanager
def buildah() -> Iterator[Buildah]:
    """Yield a buildah whose store is deleted afterwards. Raises UnavailableError."""
    if os.geteuid() != 0:
        raise UnavailableError("building images needs root")
    with tempfile.TemporaryDirectory(prefix="sew-buildah-") as folder:
        yield Buildah(program("buildah", "buildah"), Path(folder))
