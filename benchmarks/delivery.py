"""Deliveries a second with the durable store on, beside a bare loop over urllib3; memory, idle and with a backlog.

    python -m benchmarks.delivery [DELIVERIES [BACKLOG]]

The bare loop is urllib3 in one thread with keep-alive, the same bodies and the same receiver. The two alternate.
Memory is that of the running `sew-agent`: the most that it ever held, and what it holds after a while.
"""

import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import urllib3

from benchmarks.receiver import receiver
from examples.make_events import events
from kubectl_sew.consumers.base import Outcome
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from sew_agent.base.settings import from_environment, parse_rules
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.dispatcher import Dispatcher
from sew_agent.delivery.http.client import HttpClient
from sew_agent.delivery.http.egress import EgressGuard
from sew_agent.delivery.http.resolver import Resolver
from sew_agent.delivery.http.transport import HttpTransport
from sew_agent.delivery.queues import Queues
from sew_agent.delivery.retry import Decision, Policy
from sew_agent.store.contract import Store
from sew_agent.store.records import Delivery, EnqueueBatch, NewDelivery, StoreError
from sew_agent.store.sqlite.store import open_store

ROUNDS = 3
PAGE = 1000
RATE = 1e9
SETTLING = 10.0
"""Seconds after which an agent has begun its work."""


class _Quiet:
    def attempted(self, route: Route, delivery: Delivery, outcome: Outcome, decision: Decision, seconds: float) -> None:
        pass

    def store_failed(self, error: StoreError) -> None:
        raise error


def fill(store: Store, webhook: str, count: int) -> None:
    """Enqueue `count` events of realistic size for one webhook."""
    samples = list(events(PAGE))
    for start in range(0, count, PAGE):
        page = [document | {"id": f"{start}-{n}"} for n, document in enumerate(samples[: count - start])]
        deliveries = [NewDelivery(Event("", document["id"], document), (webhook,)) for document in page]
        store.enqueue(EnqueueBatch(deliveries, {}, time.time()))


def ours(port: int, count: int) -> float:
    """Return the seconds to deliver what is in the store."""
    with tempfile.TemporaryDirectory() as folder:
        return deliver(open_store(Path(folder)), port, count)


def deliver(store: Store, port: int, count: int) -> float:
    """Return the seconds to deliver so much from a store, and close it."""
    fill(store, "bench", count)
    sender = HttpClient(EgressGuard(allow=parse_rules("127.0.0.0/8")), Resolver(), user_agent="benchmark")
    policy = Policy(2, 900, 259200, random.random)
    queues = Queues(store, dict.fromkeys(CONSUMERS, RATE), from_environment({})[0].workers, policy)
    dispatcher = Dispatcher(store, queues, HttpTransport(sender, 10), _Quiet(), time.time, time.monotonic)
    dispatcher.serve({"bench": Route("bench", CONSUMERS["Generic"], {"url": f"http://127.0.0.1:{port}/events"})})
    started = time.perf_counter()
    dispatcher.start(int)
    while store.pending_counts():
        time.sleep(0.01)
    seconds = time.perf_counter() - started
    dispatcher.stop(5)
    store.close()
    return seconds


def bare(port: int, count: int) -> float:
    """Return the seconds for the same bodies in a bare loop."""
    bodies = [json.dumps(document | {"labels": {}}, separators=(",", ":")).encode() for document in events(PAGE)]
    pool = urllib3.HTTPConnectionPool("127.0.0.1", port)
    headers = {"Content-Type": "application/json", "webhook-id": "0" * 32}
    started = time.perf_counter()
    for number in range(count):
        pool.request("POST", "/events", body=bodies[number % PAGE], headers=headers)
    return time.perf_counter() - started


def backlog(count: int) -> None:
    """Print the memory of an idle agent, and of one with `count` deliveries that no receiver takes."""
    with tempfile.TemporaryDirectory() as folder:
        idle, _ = memory(Path(folder) / "idle")
        state = Path(folder) / "state"
        store = open_store(state, max_bytes=2**40)
        started = time.perf_counter()
        fill(store, "bench", count)
        seconds = time.perf_counter() - started
        store.close()
        size = sum(path.stat().st_size for path in state.iterdir())
        settled, peak = memory(state)
    print(f"idle: RSS {idle} MiB")
    print(
        f"backlog of {count:,}: taken in at {count / seconds:,.0f}/s, {size / 2**20:,.0f} MiB on disk,"
        f" RSS {settled} MiB, at most {peak} MiB"
    )


def memory(state: Path) -> tuple[int, int]:
    """Return the RSS in MiB of an agent a few seconds after its start, and its peak. Its receiver is down."""
    manifest = {"apiVersion": "projectcalico.org/v3", "kind": "SecurityEventWebhook", "metadata": {"name": "bench"}}
    config = [{"name": "url", "value": "http://127.0.0.1:9/"}]
    spec = {"consumer": "Generic", "state": "Enabled", "query": "severity >= 0", "config": config}
    webhooks, events = state.parent / "webhooks.json", state.parent / "events"
    webhooks.write_text(json.dumps(manifest | {"spec": spec}))
    events.touch()
    command = [sys.executable, "-m", "sew_agent", "run", "--listen", "off", "--state", str(state)]
    command += ["--webhooks", str(webhooks), "--events", str(events), "--egress-allow", "127.0.0.0/8"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as agent:
        time.sleep(SETTLING)
        status = Path(f"/proc/{agent.pid}/status").read_text()
        agent.terminate()
    held = {name: int(kib) // 1024 for name, kib in re.findall(r"^Vm(RSS|HWM):\s+(\d+) kB", status, re.MULTILINE)}
    return held["RSS"], held["HWM"]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    backlog(int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
    ratios = []
    with receiver() as port:
        bare(port, 500)
        for _ in range(ROUNDS):
            loop, agent = bare(port, count), ours(port, count)
            ratios.append(loop / agent)
            print(
                f"bare loop {count / loop:,.0f}/s, agent {count / agent:,.0f}/s: {loop / agent:.2f} times the bare loop"
            )
    print(f"median {statistics.median(ratios):.2f} times the bare loop")


if __name__ == "__main__":
    main()
