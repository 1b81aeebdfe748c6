"""`kubectl sew dashboard` as a process, as a person starts it."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.servers.browser import BrowserPage
from tests.waiting import eventually


@dataclass(frozen=True)
class Dashboard:
    """A running dashboard, by the link that it printed."""

    link: str
    process: "subprocess.Popen[str]"

    @property
    def address(self) -> str:
        return self.link.partition("/?")[0]

    def enter(self, page: BrowserPage) -> None:
        """Come by the link, and wait for the first reading."""
        page.open(self.link)
        eventually(lambda: "Reading " not in page.text and "Agent" in page.text, "the overview")


@contextmanager
def dashboard(*flags: str, env: Mapping[str, str] | None = None) -> Iterator[Dashboard]:
    """Run it until the end of the block; Ctrl-C must end it then."""
    program = Path(sys.executable).with_name("kubectl-sew")
    command = [program, "dashboard", "--no-open", *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=env, text=True, **pipes) as process:
        try:
            assert process.stdout
            link = process.stdout.readline().strip()
            assert link.startswith("http://127.0.0.1:"), process.communicate()[1]
            yield Dashboard(link, process)
        finally:
            process.kill()
