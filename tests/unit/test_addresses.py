"""All text of the project has one address of it, one version, and one way to install it."""

import re
from collections.abc import Iterator
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from kubectl_sew import __version__
from kubectl_sew.pages import HOMEPAGE, IMAGE, PACKAGE, pip_install

pytestmark = pytest.mark.documentation
ROOT = Path(__file__).parents[2]
MADE = {"build", "dist", "mutants", "src"}
HIDDEN = {".ci", ".github", ".pre-commit-hooks.yaml"}
PLACE = HOMEPAGE.removeprefix("https://")
OWNER, REGISTRY = PLACE.rpartition("/")[0], IMAGE.rpartition("/")[0]
INSTALL = r"pip install (?:-\S+ )*"


def is_ours(top: Path) -> bool:
    """Return whether what stands at the top of the checkout belongs to the project, and was not made there."""
    hidden = top.name.startswith(".") and top.name not in HIDDEN
    return not hidden and top.name not in MADE and top.suffix != ".egg-info"


@cache
def texts() -> dict[str, str]:
    tops = (top for top in ROOT.iterdir() if is_ours(top))
    paths = (path for top in tops for path in ([top] if top.is_file() else top.rglob("*")))
    files = (path for path in paths if path.is_file() and path.suffix not in (".png", ".pyc"))
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in files}


def found(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield each match, or what its group has, after the name of its file."""
    for name, text in texts().items():
        yield from ((name, match[match.lastindex or 0]) for match in re.finditer(pattern, text))


def test_each_address_of_the_project_is_below_its_home_or_beside_its_image() -> None:
    named = set(found(r"\b(?:github\.com|ghcr\.io)/[\w./-]*\b(?:kubectl-sew|sew-agent)\b[\w./-]*"))
    below = re.compile(rf"{PLACE}(?![\w-])|{REGISTRY}/|{OWNER}$")
    assert {name for name, _ in named} >= {"charts/kubectl-sew/Chart.yaml", "docs/gitops.md", "setup.cfg"}
    assert [one for one in named if not below.match(one[1])] == []


def test_each_tag_of_the_project_is_that_of_this_version() -> None:
    project = re.escape(PLACE.partition("/")[2])
    tags = set(found(rf"\b{project}[\w/-]*(?:@|\?ref=)([\w.]*\w)"))
    assert {name for name, _ in tags} >= {"action.yml", "docs/gitops.md", "docs/install.md", "docs/monitoring.md"}
    assert [one for one in tags if one[1] != f"v{__version__}"] == []
    images = set(found(rf"{re.escape(IMAGE)}:([\w.]*\w)"))
    assert {name for name, _ in images} >= {"docs/upgrade.md", "manifests/overlays/standalone/agent.yaml"}
    assert [one for one in images if one[1] != __version__] == []


def test_pip_is_told_where_the_project_is() -> None:
    """No registry of Python packages has it: its name alone installs nothing, or what somebody else put there."""
    asked = [one for one in found(rf"{INSTALL}['\"]?(kubectl-sew[^'\"`\n]*)") if not one[0].startswith("tests/")]
    named = [(name, Requirement(text)) for name, text in asked if name != "kubectl_sew/pages.py"]
    assert {name for name, _ in named} >= {"docs/dashboard.md", "docs/install.md", "docs/examples/gitlab-ci.yml"}
    assert [(name, str(asked)) for name, asked in named if asked.url != PACKAGE] == []
    assert Requirement(pip_install("agent", "postgresql").split("'")[1]).url == PACKAGE


def test_each_extra_that_is_named_is_there() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    patterns = (rf"{INSTALL}'\.\[([\w,]+)\]", r"pip_install\(['\"](\w+)", r"kubectl-sew\[([\w,]+)\]", r"extra\s`(\w+)`")
    named = {(name, extra) for pattern in patterns for name, listed in found(pattern) for extra in listed.split(",")}
    assert {"agent/sew_agent/status/tracing.py", "kubectl_sew/dashboard/serving.py"} <= {name for name, _ in named}
    assert [one for one in named if one[1] not in config["options.extras_require"]] == []
