"""The files that `pip install` gets."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[3]
SHIPPED = ("LICENSE", "README.md", "agent", "kubectl_sew", "manifests", "pyproject.toml", "setup.cfg")


def test_the_wheel_holds_every_manifest_that_install_renders_as_it_is(tmp_path: Path) -> None:
    for name in SHIPPED:  # a copy of them, since pip writes beside what it reads, where other tests read
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, tmp_path]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as shipped:
        for path in (path for top in ("base", "overlays") for path in (ROOT / "manifests" / top).rglob("*.yaml")):
            name = f"kubectl_sew/manifests/{path.relative_to(ROOT / 'manifests').as_posix()}"
            assert shipped.read(name) == path.read_bytes()
