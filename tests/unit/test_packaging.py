"""What is shipped, where it is built, and from what."""

import re
from collections.abc import Mapping
from configparser import ConfigParser
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from krew import archive, check_release
from kubectl_sew import __version__
from kubectl_sew.pages import CHART, HOMEPAGE, IMAGE

ROOT = Path(__file__).parents[2]


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_every_package_is_shipped() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    roots = {ROOT / "agent": "sew_agent", ROOT: "kubectl_sew"}
    packages = {
        ".".join(path.relative_to(root).parent.parts)
        for root, top in roots.items()
        for path in (root / top).rglob("__init__.py")
    } | {"kubectl_sew.manifests"}
    assert set(config["options"]["packages"].split()) == packages


def test_a_release_builds_the_archive_of_each_platform_that_krew_knows() -> None:
    known = [platform["selector"]["matchLabels"] for platform in read("krew/sew.yaml")["spec"]["platforms"]]
    built = read(".github/workflows/release.yml")["jobs"]["archive"]["strategy"]["matrix"]["include"]
    assert [(platform["os"], platform["arch"]) for platform in known] == [
        (platform["system"], platform["machine"]) for platform in built
    ]


def test_the_manifest_of_a_release_names_each_archive_and_holds_no_placeholder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platforms = [entry["selector"]["matchLabels"] for entry in read("krew/sew.yaml")["spec"]["platforms"]]
    names = [archive.archive_name(platform["os"], platform["arch"]) for platform in platforms]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.setattr(archive, "DIST", tmp_path)
    text = archive.manifest().read_text()
    spec = yaml.safe_load(text)["spec"]
    assert re.findall(r"\b(?:VERSION|HOMEPAGE|TODO|FIXME)\b|\bexample\.(?:com|org)\b|\b0{8,}\b", text) == []
    assert (spec["version"], spec["homepage"]) == (f"v{__version__}", HOMEPAGE)
    assert {entry["uri"]: entry["sha256"] for entry in spec["platforms"]} == {
        f"{HOMEPAGE}/releases/download/v{__version__}/{name}": sha256(name.encode()).hexdigest() for name in names
    }


CI, RELEASE = ".github/workflows/ci.yml", ".github/workflows/release.yml"


def needed(jobs: Mapping[str, Any], name: str) -> set[str]:
    """Return the jobs that must have succeeded before this one begins."""
    needs = jobs[name].get("needs", [])
    first = {needs} if isinstance(needs, str) else set(needs)
    return first.union(*(needed(jobs, other) for other in first))


def test_a_release_builds_and_pushes_nothing_before_its_tag_is_checked_and_its_tests_have_passed() -> None:
    jobs = read(RELEASE)["jobs"]
    assert any("check_release.py" in step.get("run", "") for step in jobs["version"]["steps"])
    assert jobs["test"]["uses"] == f"./{CI}"
    assert [name for name in jobs if name != "version" and "version" not in needed(jobs, name)] == []
    assert [name for name in jobs if name not in ("version", "test") and "test" not in needed(jobs, name)] == []
    assert needed(jobs, "release") == jobs.keys() - {"release"}


def test_each_push_and_each_release_is_tested_and_audited_and_what_people_install_is_built_and_started() -> None:
    workflow = read(CI)
    assert {"push", "pull_request", "workflow_call"} == set(workflow[True])  # YAML 1.1 reads `on` so
    lines = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    ran = "\n".join(lines)
    for command in (
        "make lint test-unit",
        "make audit",
        "helm lint --strict charts/kubectl-sew",
        "helm template ",
        "make krew-twice",
        "kubectl-sew version --client",
        "docker build --file agent/Dockerfile",
        "docker run --rm --read-only sew-agent version",
    ):
        assert command in ran
    assert workflow["permissions"] == {}
    assert all(job["permissions"] == {"contents": "read"} for job in workflow["jobs"].values())


def test_each_archive_is_started_where_it_was_built() -> None:
    *_, build, starts, upload = read(RELEASE)["jobs"]["archive"]["steps"]
    assert "archive.py build" in build["run"]
    assert "kubectl-sew version --client" in starts["run"]
    assert "upload-artifact" in upload["uses"]


def test_a_release_runs_actions_by_commit_and_gives_no_job_more_than_it_needs() -> None:
    workflow = read(RELEASE)
    jobs = [*workflow["jobs"].values(), *read(CI)["jobs"].values()]
    used = [step["uses"] for job in jobs for step in job.get("steps", []) if "uses" in step]
    assert [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)] == []
    assert workflow["permissions"] == {}
    writers = {name for name, job in workflow["jobs"].items() if "write" in job["permissions"].values()}
    assert writers == {"image", "chart", "release"}
    assert not any("checkout" in step.get("uses", "") for step in workflow["jobs"]["release"]["steps"])


def test_a_release_builds_the_image_from_a_base_by_its_digest() -> None:
    """It is in the Dockerfile by then: see test_what_would_be_untrue_is_not_released."""
    (run,) = [step["run"] for step in read(RELEASE)["jobs"]["image"]["steps"] if step.get("id") == "base"]
    assert "exit 1" in run
    assert re.search(r"^ARG BASE=\S+$", (ROOT / "agent/Dockerfile").read_text(), re.MULTILINE)


def test_a_release_pushes_image_and_chart_where_the_project_says_that_they_are() -> None:
    jobs = read(RELEASE)["jobs"]
    assert "image" in needed(jobs, "chart")  # which the chart names
    owner = HOMEPAGE.rsplit("/", 2)[1]
    pushed = [*jobs["image"]["env"].values(), *jobs["chart"]["env"].values()]
    image, charts = (address.replace("${{ github.repository_owner }}", owner) for address in pushed)
    assert (image, f"oci://{charts}/{read('charts/kubectl-sew/Chart.yaml')['name']}") == (IMAGE, CHART)


@pytest.mark.parametrize("page", ["docs/helm.md", "docs/upgrade.md", "charts/kubectl-sew/README.md"])
def test_a_page_names_the_chart_where_it_is_pushed_in_this_version(page: str) -> None:
    named = set(re.findall(r"oci://[^\s`]+/charts/[^\s`]+(?: --version [^\s`]+)?", (ROOT / page).read_text()))
    assert named
    assert named <= {CHART, f"{CHART} --version {__version__}", f"{CHART}:{__version__}"}


@pytest.fixture
def releasable(tmp_path: Path) -> Path:
    """A folder in which all is as it must be for a release of this version."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent/Dockerfile").write_text(f"ARG BASE=python:3.13@sha256:{'0' * 64}\n")
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/agent.yaml").write_text(f"- image: {IMAGE}:{__version__}\n")
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {__version__}\n")
    chart = tmp_path / "charts/kubectl-sew"
    chart.mkdir(parents=True)
    (chart / "Chart.yaml").write_text(f'version: {__version__}\nappVersion: "{__version__}"\nhome: {HOMEPAGE}\n')
    (chart / "values.yaml").write_text(f"image:\n  repository: {IMAGE}\n")
    return tmp_path


def test_what_is_as_it_must_be_may_be_released(releasable: Path) -> None:
    assert list(check_release.problems(f"v{__version__}", HOMEPAGE, releasable)) == []


@pytest.mark.parametrize(
    ("tag", "repository", "changed", "said"),
    [
        ("v9.9.9", HOMEPAGE, {}, "the tag is v9.9.9"),
        (f"v{__version__}", HOMEPAGE, {"agent/Dockerfile": "ARG BASE=python:3.13\n"}, "without a digest"),
        (f"v{__version__}", "https://github.com/someone/fork", {}, "and this is https://github.com/someone/fork"),
        (f"v{__version__}", HOMEPAGE, {"CHANGELOG.md": f"## {__version__} (unreleased)\n"}, "CHANGELOG.md has no"),
        (
            f"v{__version__}",
            HOMEPAGE,
            {"manifests/agent.yaml": "  image: sew-agent:0.1.0\n"},
            "has the image sew-agent",
        ),
        (
            f"v{__version__}",
            HOMEPAGE,
            {"manifests/agent.yaml": "app.kubernetes.io/version: 0.0.1\n"},
            "labelled as version 0.0.1",
        ),
        (
            f"v{__version__}",
            HOMEPAGE,
            {"charts/kubectl-sew/Chart.yaml": f'version: 0.0.1\nappVersion: "{__version__}"\nhome: {HOMEPAGE}\n'},
            f"Chart.yaml has not the line `version: {__version__}`",
        ),
        (
            f"v{__version__}",
            HOMEPAGE,
            {"charts/kubectl-sew/Chart.yaml": f'version: {__version__}\nappVersion: "0.0.1"\nhome: {HOMEPAGE}\n'},
            f'Chart.yaml has not the line `appVersion: "{__version__}"`',
        ),
        (
            f"v{__version__}",
            HOMEPAGE,
            {
                "charts/kubectl-sew/Chart.yaml": f'version: {__version__}\nappVersion: "{__version__}"\nhome: https://a\n'
            },
            f"Chart.yaml has not the line `home: {HOMEPAGE}`",
        ),
        (
            f"v{__version__}",
            HOMEPAGE,
            {"charts/kubectl-sew/values.yaml": "image:\n  repository: sew-agent\n"},
            f"values.yaml has not the line `repository: {IMAGE}`",
        ),
    ],
)
def test_what_would_be_untrue_is_not_released(
    releasable: Path, tag: str, repository: str, changed: Mapping[str, str], said: str
) -> None:
    for name, text in changed.items():
        (releasable / name).write_text(text)
    (problem,) = check_release.problems(tag, repository, releasable)
    assert said in problem


def test_only_the_changelog_and_the_image_s_base_keep_this_checkout_from_a_release() -> None:
    problems = list(check_release.problems(f"v{__version__}", HOMEPAGE))
    assert [problem for problem in problems if not problem.startswith(("CHANGELOG.md", "agent/Dockerfile"))] == []


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("agent/requirements.txt", ("agent", "opentelemetry", "postgresql", "build")),
        ("krew/requirements.txt", ("archive", "build")),
        ("krew/sbom-requirements.txt", ("sbom",)),
    ],
)
def test_what_is_pinned_is_what_the_package_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    asked = [config["options"]["install_requires"], *(config["options.extras_require"][extra] for extra in extras)]
    requirements = [Requirement(line) for text in asked for line in text.splitlines() if line and line[0] != "#"]
    text = (ROOT / lock).read_text()
    pinned = dict(re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==([^\s;]+)", text, re.MULTILINE))
    for requirement in requirements:
        assert requirement.specifier.contains(pinned[requirement.name]), requirement
    entries = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_package_is_built_with_what_is_pinned() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    asked = re.search(r"^requires = \[\"(.+)\"\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert asked
    assert config["options.extras_require"]["build"].split() == [asked[1]]
