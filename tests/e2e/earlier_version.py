"""The agent as it was before the newest step of PostgreSQL's schema, from the checkout's own history."""

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

from sew_agent.store.postgresql import schema
from testbed.servers.building import UnavailableError

_ROOT = Path(__file__).parents[2]
_SCHEMA = "agent/sew_agent/store/postgresql/schema.py"


def earlier_version(folder: Path) -> dict[str, str]:
    """Put it into a folder, and return the settings with which an agent is that one. Raises UnavailableError."""
    step = schema.MIGRATIONS[-1].strip()
    commits = _git("log", "--format=%H", "--reverse", f"-S{step}", "--", _SCHEMA).decode().split()
    before = f"{commits[0]}^" if commits else "HEAD"
    with tarfile.open(fileobj=BytesIO(_git("archive", before, "agent", "kubectl_sew"))) as archive:
        archive.extractall(folder, filter="data")
    return {"PYTHONPATH": f"{folder / 'agent'}:{folder}", "PYTHONSAFEPATH": "1"}


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", str(_ROOT), *arguments], check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnavailableError(
            f"the version before is needed: git, and a checkout with its history ({error})"
        ) from None
