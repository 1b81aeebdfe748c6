"""Refuses a release that would say something untrue: `check_release.py TAG REPOSITORY`, before anything is built.

REPOSITORY is the address of the repository that releases. Ends with 1, and a line for each problem.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from kubectl_sew import __version__
from kubectl_sew.pages import HOMEPAGE, IMAGE

ROOT = Path(__file__).parents[1]


def problems(tag: str, repository: str, root: Path = ROOT) -> Iterator[str]:
    """Yield what is not as a release must be; `repository`: its address."""
    if tag != f"v{__version__}":
        yield f"the tag is {tag}, and kubectl_sew/__init__.py says {__version__}: tag v{__version__}, or change it"
    if repository != HOMEPAGE:
        yield f"kubectl_sew/pages.py names {HOMEPAGE} as the project's home, and this is {repository}"
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    if not re.search(rf"^## {re.escape(__version__)}$", changelog, re.MULTILINE):
        yield f"CHANGELOG.md has no heading `## {__version__}`: a version that is released is not `(unreleased)`"
    for path in sorted((root / "manifests").rglob("*.yaml")):
        for image in re.findall(r"^\s*(?:- )?image: (\S+)$", path.read_text("utf-8"), re.MULTILINE):
            if image != f"{IMAGE}:{__version__}":
                yield f"{path.relative_to(root)} has the image {image}: the release pushes {IMAGE}:{__version__}"
        for version in re.findall(r"app\.kubernetes\.io/version: (\S+)", path.read_text("utf-8")):
            if version != __version__:
                yield f"{path.relative_to(root)} is labelled as version {version}, not {__version__}"
    yield from _problems_of_the_image((root / "agent/Dockerfile").read_text("utf-8"))
    yield from _problems_of_the_chart(root / "charts" / "kubectl-sew")


def _problems_of_the_image(dockerfile: str) -> Iterator[str]:
    (base,) = re.findall(r"^ARG BASE=(\S+)$", dockerfile, re.MULTILINE)
    if not re.search(r"@sha256:[0-9a-f]{64}$", base):
        yield f"agent/Dockerfile has the base {base} without a digest: add that of the one that you reviewed"


def _problems_of_the_chart(chart: Path) -> Iterator[str]:
    expected = {
        "Chart.yaml": {"version": __version__, "appVersion": f'"{__version__}"', "home": HOMEPAGE},
        "values.yaml": {"  repository": IMAGE},
    }
    for name, lines in expected.items():
        text = (chart / name).read_text("utf-8")
        for key, value in lines.items():
            if re.findall(rf"^{key}: (\S+)$", text, re.MULTILINE) != [value]:
                yield f"charts/kubectl-sew/{name} has not the line `{key.strip()}: {value}`"


if __name__ == "__main__":
    found = list(problems(*sys.argv[1:3]))
    print("\n".join(found) or f"{sys.argv[1]} may be released")
    sys.exit(1 if found else 0)
