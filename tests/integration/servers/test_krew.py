"""The krew under test is the real one."""

import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from testbed.servers.krew import Krew, find
from testbed.servers.kubernetes import kubectl
from testbed.servers.required import required

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def krew() -> Krew:
    with required():
        return find()


def packed(folder: Path) -> tuple[Path, Path]:
    """A plugin `said` that says a word: its archive, and its manifest."""
    plugin, archive, manifest = (folder / name for name in ("kubectl-said", "said.tar.gz", "said.yaml"))
    plugin.write_text("#!/bin/sh\necho the word\n")
    plugin.chmod(0o755)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(plugin, arcname=plugin.name)
    platform = {
        "uri": "https://example.com/said.tar.gz",
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "bin": plugin.name,
        "selector": {"matchLabels": {"os": "linux"}},
    }
    described = {"version": "v0.1.0", "shortDescription": "Says a word", "description": "Says a word."}
    head = {"apiVersion": "krew.googlecontainertools.github.com/v1alpha2", "kind": "Plugin"}
    spec = {**described, "homepage": "https://example.com", "platforms": [platform]}
    manifest.write_text(json.dumps({**head, "metadata": {"name": "said"}, "spec": spec}))
    return archive, manifest


def test_kubectl_runs_a_plugin_that_krew_installed(krew: Krew, tmp_path: Path) -> None:
    archive, manifest = packed(tmp_path)
    root = tmp_path / "krew"
    path = f"{root}/bin:{os.environ['PATH']}"
    environment = {**os.environ, "KREW_ROOT": str(root), "KREW_NO_UPGRADE_CHECK": "1", "PATH": path}
    install = [krew.krew, "install", f"--manifest={manifest}", f"--archive={archive}"]
    subprocess.run(install, env=environment, capture_output=True, check=True)
    done = subprocess.run([kubectl(), "said"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "the word\n"


def test_the_check_of_manifests_takes_a_good_one_and_names_what_is_wrong(krew: Krew, tmp_path: Path) -> None:
    _, manifest = packed(tmp_path)
    check = [krew.validate_manifest, "-skip-install", "-manifest", manifest]
    subprocess.run(check, capture_output=True, check=True)
    manifest.write_text(manifest.read_text().replace("v0.1.0", "newest"))
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "version" in done.stderr
