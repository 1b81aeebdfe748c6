"""A real Chromium without a window, driven by the W3C's WebDriver protocol, and axe-core. Free of pytest.

Chromium, its driver and npm are Debian's packages; npm fetches axe-core, which looks for what keeps people out.
"""

import base64
import json
import os
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from testbed.servers.building import built, program, run
from testbed.servers.running import Server, free_port

AXE = "4.14.1"
READY_WITHIN = 30.0
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key of an element's id, as WebDriver has it."""
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb")


@dataclass(frozen=True)
class BrowserPrograms:
    """Chromium, its driver, and the script of axe-core."""

    chromium: Path
    driver: Path
    axe: Path


def find() -> BrowserPrograms:
    """Find or install them. Raises UnavailableError."""
    chromium, driver = program("chromium", "chromium"), program("chromedriver", "chromium-driver")
    return BrowserPrograms(chromium, driver, built("axe-core", AXE, _fetch_axe) / "axe.min.js")


def _fetch_axe(folder: Path) -> None:
    run(program("npm", "npm"), "pack", "--silent", f"axe-core@{AXE}", cwd=folder)
    (archive,) = folder.glob("*.tgz")
    run("tar", "-xzf", archive, "--strip-components=1", "package/axe.min.js", cwd=folder)
    archive.unlink()


@dataclass(frozen=True)
class BrowserPage:
    """The browser's one page."""

    session: str
    axe: Path

    def open(self, address: str) -> None:
        """Go to an address, and wait until it is loaded."""
        self._ask("POST", "/url", url=address)

    @property
    def address(self) -> str:
        return str(self._ask("GET", "/url"))

    @property
    def text(self) -> str:
        """The text that a person sees."""
        return str(self.script("return document.body.innerText"))

    def script(self, text: str, *arguments: Any) -> Any:
        """Return what a function body returns in the page."""
        return self._ask("POST", "/execute/sync", script=text, args=list(arguments))

    def later(self, text: str, *arguments: Any) -> Any:
        """Return what a function body gives to its last argument, a callback."""
        return self._ask("POST", "/execute/async", script=text, args=list(arguments))

    def click(self, selector: str) -> None:
        """Click the first element of a CSS selector."""
        self._ask("POST", f"/element/{self._element(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        """Type into the first element of a CSS selector."""
        self._ask("POST", f"/element/{self._element(selector)}/value", text=text)

    def resize(self, width: int, height: int, *, zoom: float = 1.0, dark: bool = False) -> None:
        """Take a size in CSS pixels of a zoomed page, and light or dark colours."""
        metrics = {"width": int(width / zoom), "height": int(height / zoom), "deviceScaleFactor": zoom, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", {"features": [scheme]})

    def command(self, name: str, parameters: Mapping[str, Any]) -> Any:
        """Give a command of Chromium's own protocol."""
        return self._ask("POST", "/goog/cdp/execute", cmd=name, params=dict(parameters))

    def picture(self) -> bytes:
        """Return what is in the window, as PNG."""
        return base64.b64decode(str(self._ask("GET", "/screenshot")))

    def barriers(self) -> list[str]:
        """Return what axe-core finds that is serious or critical: rule, element, and why."""
        self.command("Runtime.evaluate", {"expression": self.axe.read_text("utf-8")})
        found = self.later(_RUN_AXE)
        return [
            f"{rule['id']}: {node['target']}: {node['failureSummary']}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]

    def console(self) -> list[str]:
        """Return what the page has logged as errors, such as what its policy has refused."""
        return [str(entry["message"]) for entry in self._ask("POST", "/se/log", type="browser")]

    def _element(self, selector: str) -> str:
        found: dict[str, str] = self._ask("POST", "/element", using="css selector", value=selector)
        return found[_ELEMENT]

    def _ask(self, method: str, path: str, **body: Any) -> Any:
        return _ask(method, self.session + path, body)


_RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then((results) => done(results.violations));
"""


@contextmanager
def browser(programs: BrowserPrograms) -> Iterator[BrowserPage]:
    """Run a browser with a profile of its own, and keep nothing of it."""
    with tempfile.TemporaryDirectory(prefix="sew-browser-", ignore_cleanup_errors=True) as folder:
        port = free_port()
        environment = {"HOME": folder, "TMPDIR": folder, "XDG_CONFIG_HOME": folder, "XDG_CACHE_HOME": folder}
        command = [programs.driver, f"--port={port}"]
        with Server(command, Path(folder) / "driver.log", os.environ | environment) as server:
            base = f"http://127.0.0.1:{port}"
            server.wait_until(lambda: _is_up(base), READY_WITHIN)
            yield BrowserPage(f"{base}/session/{_session(base, programs.chromium, folder)}", programs.axe)


def _session(base: str, chromium: Path, folder: str) -> str:
    options = {"binary": str(chromium), "args": [*_FLAGS, f"--user-data-dir={folder}/profile"]}
    wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "SEVERE"}}
    made = _ask("POST", f"{base}/session", {"capabilities": {"alwaysMatch": wanted}})
    return str(made["sessionId"])


def _is_up(base: str) -> bool:
    try:
        return bool(_ask("GET", f"{base}/status", {})["ready"])
    except (URLError, OSError):
        return False


def _ask(method: str, address: str, body: Mapping[str, Any]) -> Any:
    data = json.dumps(body).encode() if method == "POST" else None
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except HTTPError as error:
        said = json.load(error)["value"]
        raise AssertionError(f"{method} {address}: {said['error']}: {said['message']}") from None
