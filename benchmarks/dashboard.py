"""Measure how long the dashboard's first page takes to be seen, with many webhooks, in a real Chromium.

    python -m benchmarks.dashboard [WEBHOOKS [ROUNDS]]

An agent on files has WEBHOOKS (default 1,000) of which every tenth has dead letters. The page is opened ROUNDS (default
10) times after the first reading of the dashboard. Less than a second is wanted from the click to the first paint.
Printed are the medians, and of them what the dashboard's own answer takes and what the browser: `sew-agent status`,
which the dashboard asks each 5 s beside the pages, is measured by itself.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from testbed.receivers import Answer, Receiver
from testbed.servers.browser import BrowserPage, browser, find
from tests.e2e.dashboards import dashboard
from tests.e2e.sew_agent import Folder
from tests.waiting import eventually

_TIMES = """
const page = performance.getEntriesByType("navigation")[0];
const paint = performance.getEntriesByName("first-contentful-paint")[0];
return {paint: paint ? paint.startTime : 0, answer: page.responseStart, whole: page.responseEnd,
        ready: page.domContentLoadedEventEnd, bytes: page.decodedBodySize, sent: page.encodedBodySize,
        rows: document.querySelectorAll("table.fleet tbody tr").length};
"""


def main() -> None:
    """Print the figures."""
    webhooks = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    with tempfile.TemporaryDirectory() as place, Receiver(lambda _: Answer(400, b"no such project")) as receiver:
        folder = Folder(Path(place))
        manifests(folder, receiver.url, webhooks)
        folder.write(range(3))
        agent = folder.start()
        try:
            eventually(lambda: len(agent.says("webhook_accepted")) == webhooks, "all are served", 120)
            eventually(lambda: len(receiver.refused) >= 3 * (webhooks // 10), "dead letters", 120)
            began = time.perf_counter()
            folder.command("status", "-o", "json")
            asked = time.perf_counter() - began
            flags = ("--state", str(folder.state), "--webhooks", str(folder.webhooks))
            with browser(find()) as page, dashboard(*flags) as started:
                started.enter(page)
                measured = [seen(page, started.address) for _ in range(rounds)]
        finally:
            folder.stop()
    report(measured, webhooks, asked)


def manifests(folder: Folder, url: str, webhooks: int) -> None:
    """Write all webhooks into one file; each tenth gets the events, and its receiver refuses them."""
    listed = []
    for number in range(webhooks):
        query = "type = waf" if number % 10 == 0 else "type = alert"
        config = [{"name": "url", "value": f"{url}/{number}"}]
        spec = {"consumer": "Generic", "state": "Enabled", "query": query, "config": config}
        head = {"apiVersion": "projectcalico.org/v3", "kind": "SecurityEventWebhook"}
        listed.append(json.dumps({**head, "metadata": {"name": f"webhook-{number:04}"}, "spec": spec}))
    (folder.webhooks / "all.yaml").write_text("\n---\n".join(listed))


def seen(page: BrowserPage, address: str) -> dict[str, float]:
    """Open the first page, and return its times in milliseconds since the click."""
    page.open(f"{address}/")
    eventually(lambda: page.script(_TIMES)["paint"], "the first paint")
    times: dict[str, float] = page.script(_TIMES)
    return times


def report(measured: list[dict[str, float]], webhooks: int, asked: float) -> None:
    """Print the medians."""
    middle = {name: median(one[name] for one in measured) for name in measured[0]}
    paints = [one["paint"] for one in measured]
    print(f"{webhooks:,} webhooks, {middle['rows']:.0f} rows, {len(measured)} times")
    print(f"  first paint    {middle['paint']:6.0f} ms (from {min(paints):.0f} to {max(paints):.0f})")
    print(f"  the answer     {middle['answer']:6.0f} ms until it begins, {middle['whole']:.0f} until it has ended")
    print(f"  all is there   {middle['ready']:6.0f} ms")
    print(f"  the page has {middle['bytes'] / 1024:,.0f} KiB, {middle['sent'] / 1024:,.0f} KiB as it was sent")
    print(f"  beside it, sew-agent status takes {asked * 1e3:,.0f} ms")


if __name__ == "__main__":
    main()
