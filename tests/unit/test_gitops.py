"""Files for others' tools: Argo CD's health check, the pre-commit hook, the GitHub Action, the GitLab template."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from kubectl_sew import __version__
from tests.health_cases import HealthCase, cases

ROOT = Path(__file__).parents[2]
GOOD, BROKEN = ROOT / "examples/webhooks", ROOT / "docs/examples/broken.yaml"


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text("utf-8"))


@pytest.mark.parametrize("case", [*cases()], ids=lambda case: case.name)
def test_argo_cd_shows_a_webhook_as_the_agent_reports_it(case: HealthCase) -> None:
    """Argo CD runs Lua 5.1, with the object as `obj`."""
    script = read("manifests/gitops/argocd-cm.yaml")["data"][
        "resource.customizations.health.projectcalico.org_SecurityEventWebhook"
    ]
    lua = LuaRuntime(unpack_returned_tuples=True)
    judge = lua.eval(f"function(obj) {script} end")
    health = judge(lua.table_from(case.object, recursive=True))
    assert health["status"] == case.argo_cd
    assert health["message"]


def run(words: list[str], **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in the checkout, with the plugin on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **env}
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("path", "code"), [(GOOD, 0), (BROKEN, 1)])
def test_the_pre_commit_hook_checks_the_files_that_its_arguments_name(path: Path, code: int) -> None:
    (hook,) = read(".pre-commit-hooks.yaml")
    assert not hook["pass_filenames"]  # a folder as a whole: names may clash, and Secrets are in other files
    assert run([*hook["entry"].split(), "-f", str(path)]).returncode == code


@pytest.mark.parametrize(("path", "code"), [(GOOD, 0), (BROKEN, 1)])
def test_the_github_action_fails_where_there_are_errors_and_marks_their_lines(path: Path, code: int) -> None:
    action = read("action.yml")
    *_, step = action["runs"]["steps"]
    given = {"FILES": str(path), "ARGUMENTS": "--strict", "GITHUB_ACTION_PATH": str(ROOT), "VENV": sys.prefix}
    done = run(["bash", "-euo", "pipefail", "-c", step["run"]], **given)
    assert done.returncode == code, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first == f"::add-matcher::{ROOT}/.github/kubectl-sew.json"
    matcher = json.loads((ROOT / ".github/kubectl-sew.json").read_text("utf-8"))
    pattern = re.compile(matcher["problemMatcher"][0]["pattern"][0]["regexp"])
    marked = [match.groups() for match in map(pattern.match, rest) if match]
    assert [place[0] for place in marked] == [str(path)] * len(marked)
    assert bool(marked) == (code != 0)


def test_no_input_of_the_github_action_is_written_into_a_script() -> None:
    assert not any("${{" in step["run"] for step in read("action.yml")["runs"]["steps"])


def test_what_the_github_action_installs_is_pinned_by_hash() -> None:
    install, _ = read("action.yml")["runs"]["steps"]
    lines = [line for line in install["run"].splitlines() if line.startswith('"${pip[@]}" ')]
    assert len(lines) == 2
    assert all("--require-hashes" in line or "--no-deps --no-index" in line for line in lines)


def test_actions_of_others_are_shown_by_the_commit_that_ours_use() -> None:
    workflows = "".join(path.read_text() for path in (ROOT / ".github/workflows").iterdir())
    ours = set(re.findall(r"uses: (actions/\S+ # v\S+)", workflows))
    shown = re.findall(r"uses: (actions/.*)", (ROOT / "docs/gitops.md").read_text("utf-8"))
    assert shown
    assert set(shown) <= ours


@pytest.mark.parametrize(("path", "code"), [(GOOD, 0), (BROKEN, 1)])
def test_the_gitlab_template_writes_a_report_and_fails_where_there_are_errors(
    path: Path, code: int, tmp_path: Path
) -> None:
    job = read("docs/examples/gitlab-ci.yml")["kubectl-sew-validate"]
    *_, command = job["script"]
    report = tmp_path / "report.xml"
    script = command.replace(job["artifacts"]["reports"]["junit"], str(report))
    assert run(["bash", "-euo", "pipefail", "-c", script], SEW_FILES=str(path)).returncode == code
    cases = ET.parse(report).iter("testcase")
    assert any(case.find("failure") is not None for case in cases) == (code != 0)


def test_what_others_pin_is_this_version() -> None:
    pinned = re.findall(r"(?<!# )v(\d+\.\d+\.\d+)", (ROOT / "docs/gitops.md").read_text("utf-8"))
    pinned += re.findall(r"@v(\d+\.\d+\.\d+)", (ROOT / "docs/examples/gitlab-ci.yml").read_text("utf-8"))
    assert set(pinned) == {__version__}
