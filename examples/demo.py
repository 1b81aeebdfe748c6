"""Deliver 300 events on this machine, with the agent killed in the middle: `make demo`.

The demonstration starts receivers on loopback, gives the webhooks of examples/webhooks and the events of
examples/events.ndjson to the real agent, kills it, starts it again, and shows that nothing was lost.
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
from kubectl_sew.json_text import line
from kubectl_sew.query import CALICO, bind, compile_matcher, parse
from kubectl_sew.resource import Webhook, load_manifests
from testbed import receivers
from testbed.jira import jira as jira_receiver
from testbed.servers.alertmanager import alertmanager, find
from testbed.servers.building import UnavailableError

EXAMPLES = Path(__file__).parent
EVENTS = EXAMPLES / "events.ndjson"
SLACK_PATH = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
TIMEOUT = 60


@dataclass(frozen=True)
class DemoReceiver:
    """A webhook's receiver: the address that the examples name, its own, and what it has received."""

    webhook: str
    address: str
    url: str
    received: Callable[[], Counter[str]]
    """Count by delivery id. Alertmanager merges duplicates."""
    show: Callable[[], str]
    """Return one received message in a line."""


def main(*arguments: str) -> int:
    """`--dashboard` leaves an agent and its dashboard running until Ctrl-C."""
    with ExitStack() as stack:
        places = list(_places(stack))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kubectl-sew-demo-")))
        webhooks = _write_webhooks(folder / "webhooks", places)
        due = {webhook.name: _due(webhook) for webhook in webhooks}
        _introduce(webhooks, due)
        code = _run(folder, places, due)
        if "--dashboard" in arguments:
            _show(folder, places)
        else:
            print("`make demo-dashboard` shows the webhooks in a browser.")
        return code


def _show(folder: Path, places: list[DemoReceiver]) -> None:
    """Keep an agent on the same state folder, with a dashboard, until Ctrl-C."""
    agent = _start(folder, places, "agent-3.log", once=False)
    paths = ["--state", folder / "state", "--webhooks", folder / "webhooks", "--events", EVENTS]
    try:
        subprocess.run([sys.executable, "-m", "kubectl_sew.cli.main", "dashboard", *paths], check=False)
    except KeyboardInterrupt:
        print()
    finally:
        agent.terminate()
        agent.wait()


def _introduce(webhooks: list[Webhook], due: Mapping[str, set[str]]) -> None:
    events = EVENTS.relative_to(EXAMPLES.parent)
    print(f"{_count_events()} security events ({events}) and the webhooks of examples/webhooks, each pointed")
    print("at a receiver of its own on this machine that is strict to its contract:\n")
    print(f"  {'webhook':<13} {'consumer':<13} {'selects':>7}  its query")
    for webhook in webhooks:
        print(f"  {webhook.name:<13} {webhook.consumer:<13} {len(due[webhook.name]):>7}  {webhook.query}")
    print(f"\nSo {_total(due)} deliveries are due.\n")


def _run(folder: Path, places: list[DemoReceiver], due: Mapping[str, set[str]]) -> int:
    started = time.monotonic()
    print("1. sew-agent is started, and killed (kill -9) in the middle: ", end="", flush=True)
    agent = _start(folder, places, "agent-1.log")
    at_kill = _kill_in_the_middle(agent, places, due)
    print(f"{at_kill} requests had arrived.")
    print("2. It is started again on the same state folder: ", end="", flush=True)
    agent = _start(folder, places, "agent-2.log")
    code = agent.wait(timeout=TIMEOUT)
    print(f"it ended by itself, exit code {code}, {time.monotonic() - started:.0f} s in all.\n")
    lost = _report(places, due)
    if code or lost:
        print((folder / "agent-2.log").read_text()[-3000:], file=sys.stderr)
    return 1 if code or lost else 0


def _places(stack: ExitStack) -> Iterator[DemoReceiver]:
    jira = stack.enter_context(
        jira_receiver(project="PRJ", issue_type="Bug", username="security@example.com", token="a-jira-api-token")
    )
    yield DemoReceiver(
        "jira-webhook",
        "https://your-jira-instance-name.atlassian.net",
        jira.url,
        lambda: jira.ids(lambda request: request.json()["fields"]["description"].split()[-1]),
        lambda: "issue: " + jira.accepted[0].json()["fields"]["summary"],
    )
    slack = stack.enter_context(receivers.slack(SLACK_PATH))
    yield DemoReceiver(
        "slack-urgent",
        "https://hooks.slack.com",
        slack.url,
        lambda: slack.ids(lambda request: request.json()["blocks"][0]["block_id"]),
        lambda: "message: " + slack.accepted[0].json()["text"],
    )
    generic = stack.enter_context(receivers.generic())
    yield DemoReceiver(
        "archive",
        "https://collector.example.com",
        generic.url,
        lambda: generic.ids(lambda request: request.headers["webhook-id"]),
        lambda: "JSON: " + generic.accepted[0].body.decode(),
    )
    yield from _alertmanager(stack)


def _alertmanager(stack: ExitStack) -> Iterator[DemoReceiver]:
    try:
        url = stack.enter_context(alertmanager(find()))
    except UnavailableError as error:
        print(f"(without Alertmanager: {error})\n")
        return
    yield DemoReceiver(
        "on-call",
        "http://alertmanager.monitoring.svc:9093",
        url,
        lambda: Counter(alert["labels"]["delivery_id"] for alert in _alerts(url)),
        lambda: "alert: " + _alerts(url)[0]["annotations"]["summary"],
    )


def _alerts(url: str) -> list[dict[str, dict[str, str]]]:
    with build_opener(ProxyHandler({})).open(f"{url}/api/v2/alerts", timeout=10) as answer:
        alerts: list[dict[str, dict[str, str]]] = json.load(answer)
        return alerts


def _write_webhooks(folder: Path, places: list[DemoReceiver]) -> list[Webhook]:
    """Write the examples as they are, but for the addresses: each points at our receiver."""
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


def _due(webhook: Webhook) -> set[str]:
    """Return the ids that the webhook's receiver must get, computed without the agent."""
    matches = compile_matcher(bind(parse(webhook.query), CALICO))
    documents = (json.loads(line) for line in EVENTS.open())
    now = time.time()
    return {delivery_id(webhook.name, Event("", doc["id"], doc)) for doc in documents if matches(doc, now)}


def _count_events() -> int:
    return sum(1 for _ in EVENTS.open())


def _start(folder: Path, places: list[DemoReceiver], log: str, *, once: bool = True) -> subprocess.Popen[bytes]:
    slack = next(place.url for place in places if place.webhook == "slack-urgent")
    command = [sys.executable, "-m", "sew_agent", "run"]
    command += ["--once", "--timeout", f"{TIMEOUT}s"] if once else ["--listen", "off"]
    command += ["--webhooks", str(folder / "webhooks"), "--events", str(EVENTS), "--state", str(folder / "state")]
    settings = {"SEW_EGRESS_ALLOW": "127.0.0.0/8", "SEW_SLACK_URL_PREFIXES": slack, "SEW_RATE_JIRA": "20/s"}
    with (folder / log).open("wb") as stderr:
        return subprocess.Popen(command, env=os.environ | settings, stderr=stderr)


def _kill_in_the_middle(agent: subprocess.Popen[bytes], places: list[DemoReceiver], due: Mapping[str, set[str]]) -> int:
    half = _total(due) // 2
    deadline = time.monotonic() + TIMEOUT
    while (arrived := _arrived(places)) < half and agent.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    return arrived


def _arrived(places: list[DemoReceiver]) -> int:
    return sum(place.received().total() for place in places)


def _report(places: list[DemoReceiver], due: Mapping[str, set[str]]) -> int:
    """Print what each receiver got, and return how many deliveries are missing."""
    lost = twice = 0
    print(f"  {'webhook':<13} {'due':>5} {'received':>9} {'lost':>5} {'twice':>6}  for example")
    for place in places:
        got, want = place.received(), due[place.webhook]
        missing, again = len(want - got.keys()), sum(1 for times in got.values() if times > 1)
        lost, twice = lost + missing, twice + again
        shown = line(place.show(), 64)
        print(f"  {place.webhook:<13} {len(want):>5} {len(got):>9} {missing:>5} {again:>6}  {shown}")
    print(f"\n{lost} deliveries were lost." if lost else f"\nNothing was lost: all {_total(due)} arrived.", end=" ")
    print(f"{twice} were in flight at the kill, and were sent again with the same id." if twice else "None came twice.")
    return lost


def _total(due: Mapping[str, set[str]]) -> int:
    return sum(map(len, due.values()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
