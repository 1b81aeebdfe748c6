"""`kubectl sew dashboard` as a process, as a person starts it, and what must hold of each of its pages."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.receivers import Answer, Incoming, Receiver
from testbed.servers.browser import BrowserPage
from tests.waiting import eventually

CANARY = "CANARY-of-a-credential"
HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"


class NamedReceiver(Receiver):
    """Answers hostile text by the path /NAME/STATUS/…, and takes everything for the names in `mended`."""

    def __init__(self) -> None:
        self.mended: set[str] = set()
        super().__init__(self._decide)

    def _decide(self, incoming: Incoming) -> Answer:
        name, status, *_ = incoming.path.strip("/").split("/")
        return Answer(204 if name in self.mended else int(status), body=HOSTILE.encode())


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


def assert_sound(page: BrowserPage, address: str) -> None:
    """Open a page: it has no barriers, fits a phone, runs no script of others, and shows no secret."""
    page.open(address)
    assert page.barriers() == []
    page.resize(390, 844, dark=True)
    assert page.barriers() == []
    assert page.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert page.script("return window.hacked") is None
    assert CANARY not in page.script("return document.documentElement.outerHTML")
    assert [line for line in page.console() if "/nowhere" not in line] == []


def ask_to_purge(page: BrowserPage, webhook: str) -> str:
    """Go from a webhook's dead letters to the first, and to the question before it is given up; return what that says.

    `webhook`: the address of its page.
    """
    page.open(f"{webhook}/dead-letters")
    page.click("tbody th a")
    assert "onerror" in page.text
    page.click("a[href*='do/purge']")
    return page.text


def ask_to_send_again(page: BrowserPage, webhook: str, event: str) -> str:
    """Go from the log of a webhook's failed deliveries to the question before one is sent again; return what it says.

    `webhook`: the address of its page.
    """
    page.open(f"{webhook}/deliveries?failed=1&event={event}")
    page.click("tbody a[href*='/deliveries/']")
    page.click("a[href*='do/redeliver']")
    return page.text
