"""Draws docs/pictures anew: `make pictures`. The pages are those of a real dashboard beside a real agent."""

import sys
import tempfile
import time
from pathlib import Path

from testbed.receivers import Answer, Incoming, Receiver
from testbed.servers.browser import BrowserPage, browser, find
from testbed.servers.building import UnavailableError
from tests.e2e.dashboards import Dashboard, dashboard
from tests.e2e.sew_agent import Folder
from tests.waiting import eventually

FOLDER = Path("docs/pictures")
_LOOKS = {"chat": 204, "archive": 204, "siem": 503, "tickets": 401, "on-call": 204}
_QUERIES = {"siem": "type = waf AND severity >= 40", "on-call": "severity >= 90", "chat": "type IN {waf, alert}"}
_ROUNDS, _PAUSE = 8, 5.0


def main() -> int:
    try:
        programs = find()
    except UnavailableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    receiver = Receiver(_answer)
    with receiver, tempfile.TemporaryDirectory(prefix="sew-") as name:
        folder = _folder(Path(name), receiver.url)
        flags = ("--state", str(folder.state), "--webhooks", str(folder.webhooks), "--events", str(folder.events))
        try:
            with dashboard(*flags) as shown, browser(programs) as page:
                _draw(shown, page, folder)
        finally:
            folder.stop()
    return 0


def _answer(incoming: Incoming) -> Answer:
    return Answer(int(incoming.path.strip("/")))


def _folder(path: Path, url: str) -> Folder:
    folder = Folder(path)
    for name, status in _LOOKS.items():
        folder.webhook(name, f"{url}/{status}", query=_QUERIES.get(name, "severity >= 0"))
    folder.webhook("draft", f"{url}/204", query="tpye = waf")
    folder.write(range(20))
    folder.start(SEW_RETRY_INITIAL="5s", SEW_RETRY_MAX="60s")
    eventually(folder.state.exists, "the agent has begun")
    return folder


def _draw(shown: Dashboard, page: BrowserPage, folder: Folder) -> None:
    page.resize(1200, 760)
    shown.enter(page)
    for number in range(_ROUNDS):  # so that there is something to sample
        folder.write(range(1_000 * (number + 1), 1_000 * (number + 1) + 3 + 5 * (number % 4)), severity=40 + number * 5)
        time.sleep(_PAUSE)
    address = shown.address
    _keep(page, "dashboard-overview", f"{address}/")
    _keep(page, "dashboard-webhook", f"{address}/webhooks/chat")
    _keep(page, "dashboard-query", f"{address}/query?query=type+%3D+waf+AND+sevrity+%3E%3D+90")
    page.resize(1200, 760, dark=True)
    _keep(page, "dashboard-dark", f"{address}/webhooks/siem")


def _keep(page: BrowserPage, name: str, address: str) -> None:
    page.open(address)
    page.script("document.querySelector('.place').textContent = 'the agent with the state /var/lib/sew'")
    (FOLDER / f"{name}.png").write_bytes(page.picture())


if __name__ == "__main__":
    sys.exit(main())
