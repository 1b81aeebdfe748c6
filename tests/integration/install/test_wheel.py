"""The files that `pip install` gets."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[3]


def test_the_wheel_holds_every_manifest_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.cfg").write_text(f"[build]\nbuild_base = {tmp_path}/build\n")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT]
    subprocess.run(command, env={**os.environ, "DIST_EXTRA_CONFIG": str(tmp_path / "elsewhere.cfg")}, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as shipped:
        for path in (ROOT / "manifests").glob("*/**/*.yaml"):
            name = f"kubectl_sew/manifests/{path.relative_to(ROOT / 'manifests').as_posix()}"
            assert shipped.read(name) == path.read_bytes()
