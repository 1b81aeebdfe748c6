"""Addresses of the project, its pages, its image and its chart: whoever installed a program has no `docs/` beside it.

The one place for them. What must repeat them (setup.cfg, the manifests) is held to it by tests, and a release is
refused where they are not those of the repository that releases (krew/check_release.py).
"""

from kubectl_sew import __version__

_OWNER = "kubectl-sew"
HOMEPAGE = f"https://github.com/{_OWNER}/kubectl-sew"
IMAGE = f"ghcr.io/{_OWNER}/sew-agent"
"""The agent's image, to which a release pushes its version as tag."""
PACKAGE = f"git+{HOMEPAGE}@v{__version__}"
"""What pip installs this version from: no registry of Python packages has the project."""
CHART = f"oci://ghcr.io/{_OWNER}/charts/kubectl-sew"
"""The Helm chart, to which a release pushes its version."""


def page(name: str, heading: str = "") -> str:
    """Return the address of docs/NAME.md, and of a heading on it."""
    return f"{HOMEPAGE}/blob/main/docs/{name}.md" + (f"#{heading}" if heading else "")


def pip_install(*extras: str) -> str:
    """Return the command that installs this version with extras of setup.cfg, as a person types it."""
    return f"pip install 'kubectl-sew[{','.join(extras)}] @ {PACKAGE}'"
