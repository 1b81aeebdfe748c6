"""The main job, whole, on this machine: `make demo`.

Starts receivers on loopback, gives the webhooks of examples/webhooks and the events of examples/events.ndjson to the
real agent, kills it in the middle, starts it again, and shows what each receiver got and that nothing was lost.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from kubectl_sew.event import Event, delivery_id
from kubectl_sew.query import CALICO, compile_matcher, parse
from kubectl_sew.resource import Webhook, load_manifests
from tests import receivers
from tests.servers.alertmanager import alertmanager, find
from tests.servers.building import UnavailableError

EXAMPLES = Path(__file__).parent
EVENTS = EXAMPLES / "events.ndjson"
SLACK_PATH = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
TIMEOUT = 60


@dataclass(frozen=True)
class Place:
    """Where a webhook's requests arrive: the address that the examples name, ours, and what has been received."""

    webhook: str
    address: str
    url: str
    received: Callable[[], Counter[str]]
    """Delivery id -> how often it was received; Alertmanager merges what is sent twice."""
    show: Callable[[], str]
    """One thing that was received, in a line."""


def main() -> int:
    with ExitStack() as stack:
        places = list(_places(stack))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kubectl-sew-demo-")))
        webhooks = _write_webhooks(folder / "webhooks", places)
        owed = {webhook.name: _owed(webhook) for webhook in webhooks}
        total = sum(map(len, owed.values()))
        print(f"{_count_events()} events in {EVENTS.relative_to(EXAMPLES.parent)}; {total} deliveries owed:")
        for webhook in webhooks:
            print(f"  {webhook.name:<13} {webhook.consumer:<13} {len(owed[webhook.name]):>4}  {webhook.query}")
        return _run(folder, places, owed)


def _run(folder: Path, places: list[Place], owed: Mapping[str, set[str]]) -> int:
    started = time.monotonic()
    agent = _start(folder, places, "agent-1.log")
    at_kill = _kill_in_the_middle(agent, places, owed)
    print(f"\nThe agent was killed (SIGKILL) after {at_kill} requests had arrived. It is started again:")
    agent = _start(folder, places, "agent-2.log")
    code = agent.wait(timeout=TIMEOUT)
    print(f"it ended by itself with exit code {code}; {time.monotonic() - started:.0f} s in all.\n")
    lost = _report(places, owed)
    if code or lost:
        print((folder / "agent-2.log").read_text()[-3000:], file=sys.stderr)
    return 1 if code or lost else 0


def _places(stack: ExitStack) -> Iterator[Place]:
    jira = stack.enter_context(
        receivers.jira(project="PRJ", issue_type="Bug", username="security@example.com", token="a-jira-api-token")
    )
    yield Place(
        "jira-webhook",
        "https://your-jira-instance-name.atlassian.net",
        jira.url,
        lambda: jira.ids(lambda request: request.json()["fields"]["description"].split()[-1]),
        lambda: jira.accepted[0].json()["fields"]["summary"],
    )
    slack = stack.enter_context(receivers.slack(SLACK_PATH))
    yield Place(
        "slack-urgent",
        "https://hooks.slack.com",
        slack.url,
        lambda: slack.ids(lambda request: request.json()["blocks"][0]["block_id"]),
        lambda: slack.accepted[0].json()["text"],
    )
    generic = stack.enter_context(receivers.generic())
    yield Place(
        "archive",
        "https://collector.example.com",
        generic.url,
        lambda: generic.ids(lambda request: request.headers["webhook-id"]),
        lambda: str(generic.accepted[0].json()),
    )
    yield from _alertmanager(stack)


def _alertmanager(stack: ExitStack) -> Iterator[Place]:
    try:
        url = stack.enter_context(alertmanager(find()))
    except UnavailableError as error:
        print(f"Without Alertmanager: {error}\n")
        return
    yield Place(
        "on-call",
        "http://alertmanager.monitoring.svc:9093",
        url,
        lambda: Counter(alert["labels"]["delivery_id"] for alert in _alerts(url)),
        lambda: _alerts(url)[0]["annotations"]["summary"],
    )


def _alerts(url: str) -> list[dict[str, dict[str, str]]]:
    with build_opener(ProxyHandler({})).open(f"{url}/api/v2/alerts", timeout=10) as answer:
        alerts: list[dict[str, dict[str, str]]] = json.load(answer)
        return alerts


def _write_webhooks(folder: Path, places: list[Place]) -> list[Webhook]:
    """The examples as they are, but for the addresses: each points at our receiver."""
    folder.mkdir()
    webhooks: list[Webhook] = []
    for file in sorted((EXAMPLES / "webhooks").glob("*.yaml")):
        text = file.read_text()
        here = [place for place in places if place.address in text]
        if not here:
            continue
        text = text.replace(here[0].address, here[0].url)
        (folder / file.name).write_text(text)
        webhooks.extend(entry.webhook for entry in load_manifests(text, file.name).webhooks)
    return webhooks


def _owed(webhook: Webhook) -> set[str]:
    """The ids of what the webhook's receiver must get, found without the agent."""
    matches = compile_matcher(parse(webhook.query), CALICO)
    documents = (json.loads(line) for line in EVENTS.open())
    now = time.time()
    return {delivery_id(webhook.name, Event("", doc["id"], doc)) for doc in documents if matches(doc, now)}


def _count_events() -> int:
    return sum(1 for _ in EVENTS.open())


def _start(folder: Path, places: list[Place], log: str) -> subprocess.Popen[bytes]:
    slack = next(place.url for place in places if place.webhook == "slack-urgent")
    command = [sys.executable, "-m", "agent", "run", "--once", "--timeout", f"{TIMEOUT}s"]
    command += ["--webhooks", str(folder / "webhooks"), "--events", str(EVENTS), "--state", str(folder / "state")]
    settings = {"SEW_EGRESS_ALLOW": "127.0.0.0/8", "SEW_SLACK_URL_PREFIXES": slack, "SEW_RATE_JIRA": "20/s"}
    with (folder / log).open("wb") as stderr:
        return subprocess.Popen(command, env=os.environ | settings, stderr=stderr)


def _kill_in_the_middle(agent: subprocess.Popen[bytes], places: list[Place], owed: Mapping[str, set[str]]) -> int:
    half = sum(map(len, owed.values())) // 2
    deadline = time.monotonic() + TIMEOUT
    while (arrived := _arrived(places)) < half and agent.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    return arrived


def _arrived(places: list[Place]) -> int:
    return sum(place.received().total() for place in places)


def _report(places: list[Place], owed: Mapping[str, set[str]]) -> int:
    """Prints a line for each webhook and returns how many deliveries are missing."""
    print(f"{'webhook':<13} {'owed':>5} {'received':>9} {'sent twice':>11} {'not owed':>9} {'lost':>5}")
    lost = 0
    for place in places:
        got, want = place.received(), owed[place.webhook]
        twice = sum(1 for times in got.values() if times > 1)
        missing = len(want - got.keys())
        lost += missing
        print(f"{place.webhook:<13} {len(want):>5} {len(got):>9} {twice:>11} {len(got.keys() - want):>9} {missing:>5}")
    print("\nThe first that each receiver got:")
    for place in places:
        print(f"  {place.webhook:<13} {place.show()[:100]}")
    print("\nNothing was lost." if not lost else f"\n{lost} deliveries were lost.")
    print("What was sent twice was in flight at the kill: at most one request for each worker, with the same id.")
    return lost


if __name__ == "__main__":
    sys.exit(main())
