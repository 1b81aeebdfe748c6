"""Makes what krew installs: `dist/kubectl-sew-OS-ARCH.tar.gz` for this machine, and `dist/sew.yaml`.

Usage: archive.py build      where the plugin and PyInstaller are installed
       archive.py manifest   over all archives in dist/, of this machine or of others

An archive depends on what goes into it and on nothing else: whoever builds it again, gets the same bytes.
"""

import gzip
import os
import platform
import subprocess
import sys
import tarfile
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from kubectl_sew.pages import HOMEPAGE

HERE = Path(__file__).parent
ROOT = HERE.parent
DIST, WORK = ROOT / "dist", ROOT / "build" / "krew"
SYSTEMS = {"Linux": "linux", "Darwin": "darwin", "Windows": "windows"}
_EPOCH = 315_532_800
"""The time of all files: 1980, as early as a zip file can say."""
_REPEATABLE = {"SOURCE_DATE_EPOCH": str(_EPOCH), "PYTHONHASHSEED": "0"}
MACHINES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def build() -> Path:
    """The archive for this machine."""
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=WARN", str(HERE / "kubectl-sew.spec")]
    WORK.mkdir(parents=True, exist_ok=True)
    # Elsewhere than in the checkout, which would be found before what is installed.
    subprocess.run(
        [*command, f"--distpath={WORK}", f"--workpath={WORK / 'work'}"],
        cwd=WORK,
        env=os.environ | _REPEATABLE,
        check=True,
    )
    archive = DIST / archive_name(SYSTEMS[platform.system()], MACHINES[platform.machine()])
    DIST.mkdir(exist_ok=True)
    with (
        archive.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=_EPOCH) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        tar.add(ROOT / "LICENSE", "LICENSE", filter=_anonymous)
        for part in sorted((WORK / "kubectl-sew").iterdir()):
            tar.add(part, part.name, filter=_anonymous)
    return archive


def manifest() -> Path:
    """The template with what is known of the archives in dist/."""
    plugin: dict[str, Any] = yaml.safe_load((HERE / "sew.yaml").read_text(encoding="utf-8"))
    spec = plugin["spec"]
    spec["version"] = f"v{version('kubectl-sew')}"
    spec["homepage"] = HOMEPAGE
    spec["platforms"] = [_released(platform, spec) for platform in spec["platforms"] if _archive_of(platform).exists()]
    written = DIST / "sew.yaml"
    written.write_text(yaml.dump(plugin, Dumper=_Dumper, sort_keys=False, width=120), encoding="utf-8")
    return written


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as people do."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def archive_name(system: str, machine: str) -> str:
    return f"kubectl-sew-{system}-{machine}.tar.gz"


def _archive_of(entry: dict[str, Any]) -> Path:
    labels = entry["selector"]["matchLabels"]
    return DIST / archive_name(labels["os"], labels["arch"])


def _released(entry: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    archive = _archive_of(entry)
    uri = f"{spec['homepage']}/releases/download/{spec['version']}/{archive.name}"
    return {**entry, "uri": uri, "sha256": sha256(archive.read_bytes()).hexdigest()}


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Take off what tells who built it, when, and under which umask."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = _EPOCH
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


if __name__ == "__main__":
    print({"build": build, "manifest": manifest}[sys.argv[1]]())
