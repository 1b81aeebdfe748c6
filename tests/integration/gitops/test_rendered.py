"""What is rendered by the real kubectl and the real Helm is checked, as docs/gitops.md pipes it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.servers import helm
from testbed.servers.kubernetes import kubectl
from testbed.servers.required import required
from tests.documented import Example, examples

pytestmark = pytest.mark.server
PAGE = "docs/gitops.md"
WEBHOOK = Path("docs/examples/broken.yaml")


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both programs."""
    folder = tmp_path_factory.mktemp("tools")
    with required():
        (folder / "kubectl").symlink_to(kubectl())
        (folder / "helm").symlink_to(helm.find(helm.V4))
    return folder


PIPED = examples(PAGE, form="text", section="Checks before a merge")


@pytest.mark.parametrize("typed", PIPED, ids=lambda typed: typed.line)
def test_what_is_rendered_is_piped_and_checked(typed: Example, tools: Path, tmp_path: Path) -> None:
    chart, overlay = tmp_path / "charts/webhooks", tmp_path / "overlay"
    (chart / "templates").mkdir(parents=True)
    overlay.mkdir()
    for folder in (chart / "templates", overlay):
        shutil.copy(WEBHOOK, folder / "webhook.yaml")
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: webhooks, version: 0.1.0}")
    (overlay / "kustomization.yaml").write_text("resources: [webhook.yaml]")
    path = os.pathsep.join((str(tools), str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "HELM_CACHE_HOME": str(tmp_path), "HELM_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run(
        typed.line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "1 webhook checked: 3 errors, 0 warnings\n")
