"""Deliveries to receivers that take their time: the running agent, with its default settings.

    python -m benchmarks.concurrency [--tls] [--seconds N] [--workers N] [SCENARIO ...]

The receivers are in another process. For each scenario: accepted requests a second (in all, in the best second, from
the fifth second on, and from the tenth), the processor's time of the agent for each, the share of requests on a
connection that was kept, requests that came before the end of a Retry-After and were not in flight when it was
answered, the most requests in flight, and the agent's peak of memory.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from examples.make_events import events
from kubectl_sew.event import Event
from sew_agent.store.contract import Store
from sew_agent.store.records import EnqueueBatch, NewDelivery
from sew_agent.store.sqlite.store import open_store
from testbed.raw_server import Authority

PAGE = 1000
POLL = 0.25
STARTING = 60.0
"""Seconds in which an agent must have begun."""


def timed(latency: float, count: int) -> list[dict[str, object]]:
    """Return so many receivers that take so many seconds."""
    return [{"latency": latency}] * count


class Scenario(NamedTuple):
    """Receivers, events for each of them, and bytes that each event has more."""

    receivers: list[dict[str, object]]
    each: int
    size: int = 0


SCENARIOS = {
    "100 webhooks at 0.2 s": Scenario(timed(0.2, 100), 300),
    "one webhook at 0.2 s": Scenario(timed(0.2, 1), 20_000),
    "1,000 webhooks at 0.3 s": Scenario(timed(0.3, 1000), 30),
    "100 mixed: 0.1, 0.5, 2 s": Scenario(timed(0.1, 34) + timed(0.5, 33) + timed(2.0, 33), 300),
    "19 at 0.2 s": Scenario(timed(0.2, 19), 1500),
    "19 at 0.2 s beside one that hangs": Scenario([*timed(0.2, 19), {"hangs": True}], 1500),
    "one above 50/s answers 429": Scenario([{"limit": 50, "latency": 0.01}], 3000),
    "one quick": Scenario(timed(0.0, 1), 20_000),
    "1,000 at 0.3 s with events of 100 kB": Scenario(timed(0.3, 1000), 10, 100_000),
}


@dataclass(frozen=True)
class AgentUse:
    """Processor seconds and peak MiB of a process."""

    cpu: float
    peak: int


def use_of(pid: int) -> AgentUse:
    """Return what a running process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    peak = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert peak
    return AgentUse((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak[1]) // 1024)


def fill(store: Store, webhooks: Sequence[str], count: int, size: int = 0) -> None:
    """Enqueue `count` events for every webhook, each `size` bytes larger than Calico's, and close the store."""
    samples = [document | {"payload": "x" * size} if size else document for document in events(PAGE)]
    for start in range(0, count, PAGE):
        page = [document | {"id": f"{start}-{number}"} for number, document in enumerate(samples[: count - start])]
        deliveries = [NewDelivery(Event("", document["id"], document), tuple(webhooks)) for document in page]
        store.enqueue(EnqueueBatch(deliveries, {}, time.time()))
    store.close()


def manifest(name: str, port: int, authority: Authority | None) -> dict[str, object]:
    """Return a webhook whose receiver has this port."""
    scheme, host = ("https", "localhost") if authority else ("http", "127.0.0.1")
    config = [{"name": "url", "value": f"{scheme}://{host}:{port}/events"}]
    if authority:
        config.append({"name": "ca.crt", "value": authority.certificate})
    spec = {"consumer": "Generic", "state": "Enabled", "query": "severity >= 0", "config": config}
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "SecurityEventWebhook",
        "metadata": {"name": name},
        "spec": spec,
    }


def write_webhooks(folder: Path, names: Sequence[str], ports: Sequence[int], authority: Authority | None) -> None:
    """Write what an agent serves into a folder, with no event."""
    (folder / "webhooks").mkdir()
    for webhook, port in zip(names, ports, strict=True):
        (folder / "webhooks" / f"{webhook}.json").write_text(json.dumps(manifest(webhook, port, authority)))
    (folder / "events").touch()


@contextmanager
def running(
    folder: Path, workers: int | None, *, state: str = "state", store: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """Run an agent over what is in a folder. `store`: URL of its store, where that is not in its state folder."""
    command = [sys.executable, "-m", "sew_agent", "run", "--listen", "off", "--state", str(folder / state)]
    command += ["--store", store] if store else []
    command += ["--webhooks", str(folder / "webhooks"), "--events", str(folder / "events")]
    command += ["--egress-allow", "127.0.0.0/8"] + (["--workers", str(workers)] if workers else [])
    with (folder / f"{state}.log").open("wb") as log, subprocess.Popen(command, stderr=log) as agent:
        try:
            yield agent
        finally:
            agent.kill()


@contextmanager
def receivers(config: dict[str, Any]) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Run the receivers, and yield their process with their ports."""
    command = [sys.executable, "-m", "benchmarks.timed_receivers", json.dumps(config)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def counts_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what the receivers have counted."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    counts: dict[str, Any] = json.loads(process.stdout.readline())
    return counts


def measure(name: str, seconds: float, workers: int | None, *, tls: bool) -> str:
    """Run a scenario, and return its figures in words."""
    kinds, count, size = SCENARIOS[name]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        authority = Authority(folder) if tls else None
        config: dict[str, Any] = {"receivers": kinds}
        if authority:
            config["certificate"], config["key"] = map(str, authority.sign("localhost"))
        with receivers(config) as (process, ports):
            names = [f"w{number}" for number in range(len(ports))]
            fill(open_store(folder / "state"), names, count, size)
            write_webhooks(folder, names, ports, authority)
            with running(folder, workers) as agent:
                return watched(agent, process, len(ports) * count, seconds)


def watched(agent: subprocess.Popen[bytes], process: subprocess.Popen[str], pending: int, seconds: float) -> str:
    """Wait until all is delivered or the time is over, and return the figures."""
    counts = counts_of(process)
    before, ends = AgentUse(0.0, 0), time.monotonic() + STARTING
    while not counts["requests"] and agent.poll() is None and time.monotonic() < ends:
        before = use_of(agent.pid)
        time.sleep(POLL / 10)
        counts = counts_of(process)
    ends = time.monotonic() + seconds
    while sum(counts["accepted"].values()) < pending and agent.poll() is None and time.monotonic() < ends:
        time.sleep(POLL)
        counts = counts_of(process)
    after = use_of(agent.pid)
    return described(counts, after.cpu - before.cpu, after.peak)


def described(counts: dict[str, Any], cpu: float, peak: int) -> str:
    """Return figures in words."""
    accepted = {int(second): number for second, number in counts["accepted"].items()}
    total, last = sum(accepted.values()), max(accepted, default=0)
    whole = [number for second, number in accepted.items() if 0 < second < last] or [0]
    rate = total / max(counts["ended"] - counts["began"], 0.001)
    return (
        f"{rate:,.0f}/s, best second {max(whole):,}, from the 5th {since(accepted, 5):,.0f}/s, from the 10th"
        f" {since(accepted, 10):,.0f}/s; processor {1000 * cpu / max(total, 1):.2f} ms each; kept"
        f" {1 - counts['connections'] / max(counts['requests'], 1):.1%}; refused {counts['refused']}, early"
        f" {counts['early']}; most in flight {counts['most_open']}; peak {peak} MiB"
    )


def since(accepted: dict[int, int], second: int) -> float:
    """Return the mean of the whole seconds from this one on."""
    last = max(accepted, default=0)
    return sum(accepted.get(number, 0) for number in range(second, last)) / (last - second) if last > second else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.concurrency")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--workers", type=int)
    parser.add_argument("scenarios", nargs="*", default=[])
    given = parser.parse_args()
    for name in SCENARIOS:
        if not given.scenarios or any(wanted in name for wanted in given.scenarios):
            print(f"{name}: {measure(name, given.seconds, given.workers, tls=given.tls)}", flush=True)


if __name__ == "__main__":
    main()
