"""The plugin that krew installs, with its own Python."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from kubectl_sew import __version__
from testbed.servers.building import run
from testbed.servers.krew import Krew, find
from testbed.servers.kubernetes import kubectl
from testbed.servers.required import required
from tests.documented import Example, examples

pytestmark = pytest.mark.server
ROOT = Path(__file__).parents[3]
DIST = ROOT / "dist"


@pytest.fixture(scope="module")
def krew() -> Krew:
    with required():
        return find()


@pytest.fixture(scope="module")
def archive() -> Path:
    """The archive as a person makes it; the manifest is beside it."""
    for old in DIST.glob("kubectl-sew-*.tar.gz"):
        old.unlink()
    with required():
        run("nice", "make", "krew-archive", f"PYTHON={sys.executable}", cwd=ROOT)
    (made,) = DIST.glob("kubectl-sew-*.tar.gz")
    return made


@pytest.fixture(scope="module")
def environment(krew: Krew, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a person who has installed it, and has neither Python nor anything else of ours."""
    root, tools = tmp_path_factory.mktemp("krew"), tmp_path_factory.mktemp("tools")
    (tools / "kubectl").symlink_to(kubectl())
    path = f"{root}/bin:{tools}"
    made = {"KREW_ROOT": str(root), "KREW_NO_UPGRADE_CHECK": "1", "PATH": path, "HOME": str(root)}
    (root / "index/default/.git").mkdir(parents=True)  # krew asks for an index, which tests have no network to fetch
    install, _ = examples("docs/install.md", section="The plugin")
    types(install, krew, archive, made)
    return made


def types(typed: Example, krew: Krew, archive: Path, environment: Mapping[str, str]) -> None:
    """Run a command of krew as a page has it, beside the files of a release; it prints what the page shows of it."""
    words = shlex.split(typed.line.replace("kubectl-sew-linux-amd64.tar.gz", archive.name))
    assert words[:2] == ["kubectl", "krew"]
    printed = manages(krew, environment, *words[2:]).splitlines()
    assert [line for line in typed.shown.splitlines() if line not in ("…", *printed)] == []


def manages(krew: Krew, environment: Mapping[str, str], *words: str) -> str:
    env = {**os.environ, **environment, "PATH": f"{environment['PATH']}:{os.environ['PATH']}"}
    done = subprocess.run([krew.krew, *words], cwd=DIST, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def prints(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run([kubectl(), *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_manifest_is_as_krew_s_index_asks(krew: Krew, archive: Path) -> None:
    subprocess.run([krew.validate_manifest, "-skip-install", "-manifest", DIST / "sew.yaml"], check=True)
    spec = yaml.safe_load((DIST / "sew.yaml").read_text())["spec"]
    assert spec["version"] == f"v{__version__}"
    assert [platform["uri"].rpartition("/")[2] for platform in spec["platforms"]] == [archive.name]


def test_kubectl_runs_what_krew_installed_on_a_machine_without_python(environment: dict[str, str]) -> None:
    _, asked = examples("docs/install.md", section="The plugin")
    assert prints(environment, *shlex.split(asked.line)[1:]) == asked.shown == f"kubectl-sew {__version__}\n"
    assert "severity" in prints(environment, "sew", "preview-query", "severity > 90")


def test_it_holds_the_manifests(environment: dict[str, str]) -> None:
    beside = Path(sys.executable).with_name("kubectl-sew")
    checkout = subprocess.run([beside, "install"], env=environment, capture_output=True, text=True, check=True)
    assert prints(environment, "sew", "install") == checkout.stdout


def test_it_holds_the_client_of_elasticsearch(environment: dict[str, str]) -> None:
    words = ("preview-query", "severity > 90", "--elasticsearch", "http://127.0.0.1:1")
    done = subprocess.run([kubectl(), "sew", *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr


def test_a_newer_version_takes_its_place_as_the_page_shows(
    krew: Krew, archive: Path, environment: dict[str, str]
) -> None:
    assert 'Skipping upgrade for "sew"' in manages(krew, environment, "upgrade", "sew", "--no-update-index")
    for typed in examples("docs/upgrade.md", section="The plugin"):
        types(typed, krew, archive, environment)
    assert prints(environment, "sew", "version", "--client") == f"kubectl-sew {__version__}\n"


def test_it_completes_once_it_was_asked_to(environment: dict[str, str]) -> None:
    (typed,) = examples("docs/commands.md", form="text", section="kubectl sew completion")
    printed = prints(environment, *shlex.split(typed.line)[1:])
    assert printed == typed.shown.replace("/home/me/.krew", environment["KREW_ROOT"])
    complete = Path(environment["KREW_ROOT"]) / "bin" / "kubectl_complete-sew"
    environment = {**environment, "PATH": f"{environment['PATH']}:/usr/bin:/bin"}
    done = subprocess.run([complete, "preview-"], env=environment, capture_output=True, text=True, check=True)
    assert [line.partition("\t")[0] for line in done.stdout.splitlines()][:2] == ["preview-query", "preview-payload"]
